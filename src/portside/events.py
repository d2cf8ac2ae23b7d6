"""The events of a connection: one small immutable value for each, and its JSON.

``at`` is the wall clock in nanoseconds since 1970; JSON writes it as UTC with microseconds. An event is made
where the thing happens and never changes; a receiver may keep it.
"""

import base64
import time
from functools import lru_cache
from typing import Any, ClassVar, Literal

import msgspec

from portside.json_text import encode_json

CloseReason = Literal[
    "peer_closed",  # the peer sent FIN, and all bytes buffered for it were sent
    "peer_reset",  # the peer sent RST
    "peer_vanished",  # the peer answered neither probes nor data any more
    "local_closed",  # this side closed
    "local_reset",  # this side sent RST
    "idle_timeout",  # nothing moved for --idle-timeout
    "write_timeout",  # the peer did not take the bytes buffered for it
    "fault",  # a --fault ended it
    "shutdown",  # the server ended
    "killed",  # somebody had the kernel destroy the socket of this side, as `watch --kill` and `ss -K` do
    "error",  # any other error that the network reports, such as a lost route
]
ActName = Literal[
    "send", "pause", "resume", "throttle", "fault", "close", "note", "limit", "access", "broadcast", "drain"
]
ClosedBy = Literal["upstream", "operator"]
RefuseReason = Literal[
    "max_conns", "max_conns_per_ip", "denied", "tls_failed", "proxy_header", "no_file_descriptors", "fault"
]


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happened on a server, ``at`` nanoseconds since 1970 by the wall clock.

    ``event`` is its name in JSON. In all events ``conn`` is the connection's number, and ``peer`` its address.

    >>> portside.Received(at=0, conn=1, peer="127.0.0.1:41184", data=b"hello\\n").event
    'received'
    """

    event: ClassVar[str]

    at: int


class Listening(Event, frozen=True, gc=False):
    """A port is open at ``address``, written as it is shown: ``127.0.0.1:12345``."""

    event: ClassVar[str] = "listening"

    address: str


class Tls(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A TLS session as its handshake agreed on it. ``peer`` is the subject of the peer's certificate (RFC 4514).

    >>> async with portside.listen("127.0.0.1:0", tls=True, echo=True) as server:
    ...     async with portside.connect(server.port, tls=True, tls_verify=False) as connection:
    ...         print(connection.tls.version)
    TLSv1.3
    """

    version: str
    cipher: str
    sni: str | None = None
    alpn: str | None = None
    peer: str | None = None


class Proxy(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The fields of a PROXY header other than the client's address, which is shown as peer; ``via`` is the proxy.

    ``version`` is 1 or 2, ``destination`` the address that the client connected to, and ``tlvs`` what version 2 adds,
    by name.
    """

    via: str
    version: int
    destination: str | None = None  # where the client connected to
    tlvs: dict[str, Any] = {}  # see wire.proxy_tlvs


class Opened(Event, frozen=True, gc=False):
    """A client is connected; over TLS, the handshake has succeeded.

    ``tls`` is what it agreed on, None without TLS; ``proxy`` is its PROXY header, None where there was none.
    """

    event: ClassVar[str] = "opened"

    conn: int
    peer: str
    local: str
    tls: Tls | None = None
    proxy: Proxy | None = None


class Payload(Event, frozen=True, gc=False):
    """Bytes that passed. ``cut`` is True for a piece of a message longer than --max-frame."""

    conn: int
    peer: str
    data: bytes
    cut: bool = False


class Received(Payload, frozen=True, gc=False):
    """Bytes came from the peer: ``data``. ``cut`` is True for a piece of a message longer than ``--max-frame``."""

    event: ClassVar[str] = "received"


class Sent(Payload, frozen=True, gc=False):
    """Bytes were handed to the kernel, or to the buffer before it, for the peer: ``data``."""

    event: ClassVar[str] = "sent"


class RuleApplied(Event, frozen=True, gc=False, kw_only=True):
    """A rule of --rules or --reply applied, or, where ``rule`` is None, a message came that none was for.

    ``rule`` is its number and ``name`` the name that the file gives it. ``state`` is the state in which the client was,
    None where the rules have only one, and ``goto`` the one in which it is from now on.
    """

    event: ClassVar[str] = "rule"

    conn: int
    peer: str
    rule: int | None = None
    name: str | None = None
    state: str | None = None
    goto: str | None = None


class Forwarded(Event, frozen=True, gc=False):
    """A client of --forward has its connection to the upstream server, at ``address``."""

    event: ClassVar[str] = "forwarded"

    conn: int
    peer: str
    address: str


class HalfClosed(Event, frozen=True, gc=False):
    """The peer sent FIN and may still read."""

    event: ClassVar[str] = "half_closed"

    conn: int
    peer: str


class Closed(Event, frozen=True, gc=False):
    """A connection has ended. ``received`` and ``sent`` are bytes, ``duration`` is seconds.

    ``reason`` is why, and ``error`` the network's error in words where the reason is ``error``. ``by`` is who ended it,
    where that was neither the peer nor this side by itself.
    """

    event: ClassVar[str] = "closed"

    conn: int
    peer: str
    reason: CloseReason
    received: int
    sent: int
    duration: float
    error: str | None = None
    by: ClosedBy | None = None  # who ended it, where that was neither the peer nor this side by itself


class Refused(Event, frozen=True, gc=False):
    """A client was not admitted, and its connection was closed at once; ``error`` says more about ``reason``."""

    event: ClassVar[str] = "refused"

    peer: str
    reason: RefuseReason
    error: str | None = None


class Fault(Event, frozen=True, gc=False, kw_only=True):
    """A fault of ``--fault`` acted on a connection or, if ``conn`` is None, on the port ``address``.

    ``fault`` is its kind and ``spec`` the fault as it was asked for. ``leg`` is ``upstream`` on the upstream connection
    of a relay, and None on the client's. ``offset`` is the number of bytes of that ``direction`` before it, ``size``
    that of the bytes that it dropped or changed; ``over`` is True where the fault came to its end.
    """

    event: ClassVar[str] = "fault"

    conn: int | None = None
    peer: str | None = None
    fault: str
    spec: str  # as it was asked for
    address: str | None = None  # of the port
    leg: Literal["upstream"] | None = None  # None: the client's
    direction: Literal["in", "out"] | None = None
    offset: int | None = None  # bytes of that direction before it
    size: int | None = None  # bytes that it dropped or changed
    over: Literal[True] | None = None  # it came to its end


class Act(Event, frozen=True, gc=False, kw_only=True):
    """An operator did something to the running server or, where ``conn`` is given, to one connection.

    ``by`` says who asked for it, as ``unix uid 0`` or ``web 127.0.0.1:5000``, ``detail`` what exactly was done.
    """

    event: ClassVar[str] = "act"

    act: ActName
    conn: int | None = None
    peer: str | None = None
    by: str
    detail: str | None = None


class Gap(Event, frozen=True, gc=False):
    """Bytes that passed within ``duration`` seconds before ``at`` and are missing from a recording.

    ``conn`` 0 stands for connections that opened and closed in that time; ``connections`` is their number.
    """

    event: ClassVar[str] = "gap"

    conn: int
    received: int
    sent: int
    duration: float
    why: str
    connections: int | None = None


class Stopped(Event, frozen=True, gc=False):
    """The server ended; ``reason`` is ``closed`` where a program has closed it."""

    event: ClassVar[str] = "stopped"

    reason: Literal["signal", "once", "output_closed", "killed", "operator", "closed"]


EVENTS: tuple[type[Event], ...] = (
    Listening,
    Opened,
    Received,
    Sent,
    RuleApplied,
    Forwarded,
    HalfClosed,
    Closed,
    Refused,
    Fault,
    Act,
    Gap,
    Stopped,
)
_BY_NAME = {kind.event: kind for kind in EVENTS if not issubclass(kind, Payload)}


def to_json(event: Event) -> bytes:
    """Write an event as one JSON object, without the newline, as ``encode_json`` does.

    Payload is in ``text`` where it is valid UTF-8 and otherwise in ``base64``; fields that are None are left out.
    """
    if isinstance(event, Payload):
        return payload_to_json(event, json_prefix(event))
    fields: dict[str, object] = {"event": event.event, "at": utc(event.at)}
    for name in event.__struct_fields__[1:]:
        value = getattr(event, name)
        if value is not None:
            fields[name] = value
    return encode_json(fields)


def from_json(data: bytes, at: int, *, same_time: bool = False) -> Event:
    """Read an event without payload that ``to_json`` wrote; ``at`` (ns) is taken where the JSON rounds it to µs.

    ``same_time`` says that both are the same, so that the JSON's need not be read. Raises ValueError for anything else.
    """
    fields = msgspec.json.decode(data, type=dict[str, object])
    kind = _BY_NAME.get(str(fields.get("event")))
    if kind is None:
        raise ValueError(f"no event is named {fields.get('event')!r}")
    if not same_time and (written := fields.get("at")) != utc(at):  # the wall clock was set while it was recorded
        at = parse_utc(str(written))
    return msgspec.convert({**fields, "at": at}, kind)


def json_prefix(event: Payload) -> bytes:
    """The part of the JSON of payload that does not change within one direction of a connection."""
    return b'"conn":%d,"peer":%s,"size":' % (event.conn, encode_json(event.peer))


def payload_to_json(event: Payload, prefix: bytes) -> bytes:
    """``to_json`` for payload, with ``json_prefix`` made before: the hot path."""
    return json_head(type(event), event.at, prefix) + json_tail(event.data, cut=event.cut)


def json_head(kind: type[Payload], at: int, prefix: bytes) -> bytes:
    """The JSON of payload up to its size: the same for all messages of one read."""
    second, nanoseconds = divmod(at, 1_000_000_000)
    return b'{"event":"%s","at":"%s.%06dZ",%s' % (
        b"received" if kind is Received else b"sent",
        _utc_second(second),
        nanoseconds // 1000,
        prefix,
    )


def json_tail(data: bytes, *, cut: bool) -> bytes:
    """The JSON of payload from its size on."""
    try:
        payload = b'"text":' + encode_json(data.decode())
    except UnicodeDecodeError:
        payload = b'"base64":"' + base64.b64encode(data) + b'"'
    return b"%d,%s%s" % (len(data), payload, b',"cut":true}' if cut else b"}")


def utc(at: int) -> str:
    """Write nanoseconds since 1970 as ``2026-11-22T12:00:01.123456Z``."""
    second, nanoseconds = divmod(at, 1_000_000_000)
    return f"{_utc_second(second).decode()}.{nanoseconds // 1000:06d}Z"


def parse_utc(text: str) -> int:
    """Read what ``utc`` wrote as nanoseconds since 1970. Raises ValueError."""
    from datetime import UTC, datetime, timedelta  # only recordings need it

    if not text.endswith("Z"):
        raise ValueError(f"{text!r} is no time in UTC")
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@lru_cache(maxsize=8)
def _utc_second(second: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
