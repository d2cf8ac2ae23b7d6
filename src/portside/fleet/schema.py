"""What agents publish: messages, and the records in them, as values.

A message is what JetStream stores: records of one kind, made at one time by one agent. It is written once, to the
outbox, and never changed, so that its number names the same bytes however often it is sent.

1. Each record has a number: ``seq`` of the message for its first record, one more for each record after it. Numbers
   count from 1 in each ``boot``, which is one run of an agent. A number is never used twice, and one that is missing
   belongs to a record that was given up: the next ``node`` record says how many those were.
2. A message is MessagePack, or JSON (``--json-payload``) whose first byte is ``{``.
3. ``v`` is the version of the schema. A field may be added without a new version, and a reader ignores what it does not
   know; a message of a later version is counted and left out.

    kind      subject's last word, and what its records are
    closed    a connection that has ended, with its last tcp_info (``ConnectionEvent``)
    opened    a connection that was opened (on request)
    changed   a connection whose state has changed (on request)
    summary   a minute of the connections of one program, port, remote network and state (``TrafficSummary``)
    open      the connections that are open now (``OpenConnections``, one record)
    findings  what is wrong now, as ``diagnose`` has it (``CurrentFindings``, one record)
    server    an event of a Portside server on the machine (``ServerEvent``)
    node      the agent's sign of life: its machine, its load, its outbox (``NodeStatus``, one record)

The last message of the kinds ``open``, ``findings`` and ``node`` is the present state of a machine; the others are
history.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal, get_args

import msgspec

from portside.diagnosis.findings import Finding
from portside.errors import InvalidValue
from portside.kernel.models import Socket

VERSION: Final = 1

Kind = Literal["closed", "opened", "changed", "summary", "open", "findings", "server", "node"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MOST_MESSAGE_BYTES: Final = 900_000
"""The most that a message may have: NATS takes 1 MiB by default, headers included."""


class ConnectionEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A connection that was opened, has changed its state or has closed, as ``watch --events --json`` has it.

    ``was`` is the state before and ``duration`` is in seconds, None where they are not known. ``of`` is above 1 where
    the agent had to leave events out: the event stands for so many.
    """

    event: Literal["opened", "changed", "closed"]
    at: str
    seen: Literal["poll", "destroy"]
    socket: Socket
    was: str | None = None
    duration: float | None = None
    of: int = 1


class TrafficSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The counts of ``period_s`` seconds up to ``at``, of one program, local port, remote network and state.

    ``program`` holds the sockets, or where no owner is known it listens on their port; None where neither is known.
    ``others`` is true for all groups together that had no room.
    ``local_port`` is None for the ports that the kernel chose for outgoing connections. ``remote`` is a network: a /24
    of IPv4, a /56 of IPv6, or ``loopback``. ``sockets``, ``recv_q`` and ``send_q`` are as of the end, the others what
    was added; bytes and segments are those of the connections that were open at the end or closed meanwhile.
    ``rtt_us`` is the median.
    """

    at: str
    period_s: float
    program: str | None
    local_port: int | None
    remote: str | None
    state: str
    sockets: int = 0
    opened: int = 0
    closed: int = 0
    reset: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    segs_out: int = 0
    retrans: int = 0
    recv_q: int = 0
    send_q: int = 0
    rtt_us: int | None = None
    others: bool = False


class OpenConnections(msgspec.Struct, frozen=True, kw_only=True):
    """The open connections of a machine at one time: those with the most bytes in their queues, then the busiest.

    ``total`` is how many there are; those that are not in ``sockets`` had no room.
    """

    at: str
    total: int
    sockets: tuple[Socket, ...]


class CurrentFindings(msgspec.Struct, frozen=True, kw_only=True):
    """The findings about a machine at one time; ``unseen`` has the codes that could not be looked for, and why."""

    at: str
    findings: tuple[Finding, ...]
    unseen: Mapping[str, str] = {}


class ServerEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a Portside server: the object that its API writes. ``missed`` events have their count."""

    pid: int
    event: dict[str, Any]


class OutboxStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of an outbox; ``dropped`` is how many records it has given up since the agent began."""

    records: int
    bytes: int
    oldest_s: float | None
    dropped: int


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The sign of life of an agent, every ``every_s`` seconds.

    ``machine`` tells one machine from another whatever its name. ``sockets`` is how many there are, by state.
    ``load`` is the load average of a minute. ``cpu_s`` and ``rss_bytes`` are the agent's own since it began.
    ``records`` is how many it has made. ``sampled`` is how many events it left out because there were too many, and
    ``lost`` how many announcements of the kernel were lost, since it began. ``last`` is true when it ends in order.
    """

    at: str
    every_s: float
    version: str
    machine: str
    started: str
    system: str
    cpus: int
    load: float | None
    sockets: Mapping[str, int]
    cpu_s: float
    rss_bytes: int | None
    records: int
    outbox: OutboxStatus
    sampled: int = 0
    lost: int = 0
    notes: tuple[str, ...] = ()
    last: bool = False


Record = ConnectionEvent | TrafficSummary | OpenConnections | CurrentFindings | ServerEvent | NodeStatus

RECORD_TYPES: Mapping[Kind, type[Record]] = {
    "closed": ConnectionEvent,
    "opened": ConnectionEvent,
    "changed": ConnectionEvent,
    "summary": TrafficSummary,
    "open": OpenConnections,
    "findings": CurrentFindings,
    "server": ServerEvent,
    "node": NodeStatus,
}


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it is sent. ``seq`` is the number of its first record; ``at`` is when it was made."""

    v: int
    kind: str
    site: str
    node: str
    boot: str
    seq: int
    at: str
    records: Sequence[Any]

    @property
    def id(self) -> str:
        """The value of ``Nats-Msg-Id``, by which JetStream keeps a message once that is sent twice."""
        return message_id(self.node, self.boot, self.seq)


class _Head(msgspec.Struct):
    """The part of a message that is read first: its version."""

    v: int


class LaterVersion(Exception):
    """A message of a later version of the schema, which this reader does not know."""


_packer = msgspec.msgpack.Encoder()
_head_of_json = msgspec.json.Decoder(_Head)
_head_of_pack = msgspec.msgpack.Decoder(_Head)


def message_id(node: str, boot: str, seq: int) -> str:
    """The number of a message in the whole fleet: ``NODE-BOOT-SEQ``."""
    return f"{node}-{boot}-{seq}"


def encode(message: Envelope, *, json: bool = False) -> bytes:
    """A message as bytes: MessagePack, or JSON that a terminal may show."""
    if json:
        from portside.json_text import encode_json

        return encode_json(message)
    return _packer.encode(message)


@cache
def _decoders(record: type[Record]) -> tuple[msgspec.json.Decoder[Envelope], msgspec.msgpack.Decoder[Envelope]]:
    """The decoders of messages with these records, made when there is one: all of them take 5 ms."""
    whole = msgspec.defstruct(
        "Envelope",
        [("records", tuple[record, ...])],  # type: ignore[valid-type]
        bases=(Envelope,),
        frozen=True,
        kw_only=True,
    )
    return msgspec.json.Decoder(whole), msgspec.msgpack.Decoder(whole)


def decode(data: bytes, kind: str) -> Envelope:
    """Read a message of a kind, with its records as values.

    Raises LaterVersion, and InvalidValue where the bytes are no such message.
    """
    is_json = data[:1] == b"{"
    try:
        head = (_head_of_json if is_json else _head_of_pack).decode(data)
        if head.v > VERSION:
            raise LaterVersion
        record: type[Record] | None = RECORD_TYPES.get(kind)  # type: ignore[call-overload]
        if record is None:
            raise LaterVersion
        message: Envelope = _decoders(record)[0 if is_json else 1].decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValue(f"no message of the kind {kind}: {error}") from None
    return message
