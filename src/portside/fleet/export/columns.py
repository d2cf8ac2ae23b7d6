"""The columns of an export: what a record has, flat, by the names of OpenTelemetry's semantic conventions.

1. What they have no name for is ``portside.…``; the kernel's tcp_info is ``tcp.…`` with the fields' own names.
2. The columns of a kind are always the same and in the same order, whatever a machine tells: a file fits the next one.
3. Nothing that comes from the broker is trusted: a value that is not of its column's type is left out.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from portside.diagnosis.findings import Finding
from portside.fleet.schema import (
    ConnectionEvent,
    CurrentFindings,
    Envelope,
    Kind,
    ServerEvent,
)
from portside.json_text import encode_json
from portside.kernel import states
from portside.kernel.column_names import INFO_COLUMNS, SHARES

Type = Literal["string", "int", "float", "bool", "time"]
Value = str | int | float | bool | datetime | None

EXPORTED: Final[tuple[Kind, ...]] = ("closed", "summary", "findings", "node", "server")

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_STATES: Final[Mapping[str, str]] = {
    "SYN_RECV": "syn_received",
    "FIN_WAIT1": "fin_wait_1",
    "FIN_WAIT2": "fin_wait_2",
    "CLOSE": "closed",
}
"""The kernel's names that OpenTelemetry writes otherwise than in small letters (``network.connection.state``)."""


class Item(NamedTuple):
    """A record, or one of the findings of one, with the message that it came in. ``number`` is the record's own."""

    message: Envelope
    number: int
    record: Any
    local: tuple[str | None, int | None] = (None, None)
    peer: tuple[str | None, int | None] = (None, None)


class ExportColumn(NamedTuple):
    """A column, and where its values come from."""

    name: str
    type: Type
    read: Callable[[Item], object]

    def value(self, item: Item) -> Value:
        """The value of an item in this column, None where that is not known or not of the column's type."""
        found = self.read(item)
        return None if found is None else _TYPES[self.type](found)


def items(message: Envelope) -> Iterator[Item]:
    """The rows of a message: one a record, and of findings one each."""
    for number, record in enumerate(message.records, message.seq):
        match record:
            case ConnectionEvent():
                yield Item(message, number, record, end_of(record.socket.local), end_of(record.socket.remote))
            case CurrentFindings():
                for each in record.findings:
                    yield Item(message, number, (record, each), end_of(each.subject.local), end_of(each.subject.remote))
            case ServerEvent():
                yield Item(message, number, record, peer=end_of(_text(record.event.get("peer"))))
            case _:
                yield Item(message, number, record)


def end_of(text: str | None) -> tuple[str | None, int | None]:
    """The address and port of one end as it is written: ``10.0.0.1:80``, ``[::1]:80``, or a host alone."""
    if not text:
        return None, None
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5) or (":" in host and host[:1] != "["):
        return text, None
    return host.removeprefix("[").removesuffix("]"), int(port)


def state_name(state: str | None) -> str | None:
    """A state as OpenTelemetry writes it: ``close_wait``."""
    return None if state is None else _STATES.get(state, state.lower())


def _text(value: object) -> str | None:
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    elif isinstance(value, dict):
        value = encode_json(value).decode()
    if not isinstance(value, str):
        return None
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and _LEAST <= value <= _MOST else None


def _float(value: object) -> float | None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or (isinstance(value, int) and _int(value) is None)
    ):
        return None
    return float(value) if math.isfinite(value) else None


def _bool(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


_TYPES: Final[Mapping[Type, Callable[[object], Value]]] = {
    "string": _text,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "time": _time,
}


def _field(name: str, type_: Type, field: str) -> ExportColumn:
    """A column that is a field of the record."""

    def read(item: Item) -> object:
        return getattr(item.record, field)

    return ExportColumn(name, type_, read)


def _outbox(field: str, type_: Type) -> ExportColumn:
    return ExportColumn(f"portside.outbox.{field}", type_, lambda item: getattr(item.record.outbox, field))


def _info(name: str, type_: Type) -> ExportColumn:
    def read(item: Item) -> object:
        info = item.record.socket.info
        return None if info is None else info.get(name)

    return ExportColumn(f"tcp.{name}", type_, read)


def _owner(item: Item, field: str) -> object:
    owners = item.record.socket.owners
    return getattr(owners[0], field) if owners else None


def _user(item: Item) -> str | None:
    uid = item.record.socket.uid
    return None if uid is None else str(uid)


def _network_type(item: Item) -> str | None:
    address = item.local[0] or item.peer[0]
    return None if address is None else "ipv6" if ":" in address else "ipv4"


def _finding(item: Item) -> Finding:
    found: Finding = item.record[1]
    return found


def _sockets(state: str) -> ExportColumn:
    return ExportColumn(f"portside.sockets.{state_name(state)}", "int", lambda item: item.record.sockets.get(state, 0))


_INFO_TYPES: Final[Mapping[str, Type]] = {
    "options": "string",
    "app_limited": "bool",
    **dict.fromkeys(SHARES, "float"),
}

_WHERE: Final = (
    ExportColumn("host.name", "string", lambda item: item.message.node),
    ExportColumn("portside.site", "string", lambda item: item.message.site),
    ExportColumn("portside.boot", "string", lambda item: item.message.boot),
    ExportColumn("portside.seq", "int", lambda item: item.number),
)
_LOCAL: Final = (
    ExportColumn("network.local.address", "string", lambda item: item.local[0]),
    ExportColumn("network.local.port", "int", lambda item: item.local[1]),
)
_PEER: Final = (
    ExportColumn("network.peer.address", "string", lambda item: item.peer[0]),
    ExportColumn("network.peer.port", "int", lambda item: item.peer[1]),
)
_TRANSPORT: Final = ExportColumn("network.transport", "string", lambda _: "tcp")
_TYPE: Final = ExportColumn("network.type", "string", _network_type)
_AT: Final = _field("timestamp", "time", "at")

_CLOSED: Final = (
    _AT,
    *_WHERE,
    _TRANSPORT,
    _TYPE,
    *_LOCAL,
    *_PEER,
    ExportColumn("network.connection.state", "string", lambda item: state_name(item.record.was)),
    ExportColumn("process.pid", "int", lambda item: _owner(item, "pid")),
    ExportColumn("process.executable.name", "string", lambda item: _owner(item, "program")),
    ExportColumn("process.command_line", "string", lambda item: _owner(item, "command")),
    ExportColumn("user.id", "string", _user),
    _field("portside.duration_s", "float", "duration"),
    _field("portside.seen", "string", "seen"),
    _field("portside.of", "int", "of"),
    ExportColumn("tcp.recv_q", "int", lambda item: item.record.socket.recv_q),
    ExportColumn("tcp.send_q", "int", lambda item: item.record.socket.send_q),
    _info("congestion", "string"),
    *(_info(name, _INFO_TYPES.get(name, "int")) for name in INFO_COLUMNS),
)
_SUMMARY: Final = (
    _AT,
    _field("portside.period_s", "float", "period_s"),
    *_WHERE,
    _TRANSPORT,
    _field("network.local.port", "int", "local_port"),
    _field("portside.peer.network", "string", "remote"),
    ExportColumn("network.connection.state", "string", lambda item: state_name(item.record.state)),
    _field("process.executable.name", "string", "program"),
    *(_field(f"portside.{name}", "int", name) for name in ("sockets", "opened", "closed", "reset")),
    *(
        _field(f"tcp.{name}", "int", name)
        for name in ("bytes_sent", "bytes_received", "segs_out", "retrans", "recv_q", "send_q", "rtt_us")
    ),
    _field("portside.others", "bool", "others"),
)
_FINDINGS: Final = (
    ExportColumn("timestamp", "time", lambda item: item.record[0].at),
    *_WHERE,
    ExportColumn("portside.finding.code", "string", lambda item: _finding(item).code),
    ExportColumn("portside.finding.severity", "string", lambda item: _finding(item).severity),
    ExportColumn("portside.finding.subject", "string", lambda item: _finding(item).subject.kind),
    _TYPE,
    *_LOCAL,
    *_PEER,
    ExportColumn("process.pid", "int", lambda item: _finding(item).subject.pid),
    ExportColumn("process.executable.name", "string", lambda item: _finding(item).subject.program),
    ExportColumn("portside.finding.summary", "string", lambda item: _finding(item).summary),
    ExportColumn("portside.finding.count", "int", lambda item: _finding(item).count),
    ExportColumn("portside.finding.first_seen", "time", lambda item: _finding(item).first_seen),
    ExportColumn("portside.finding.last_seen", "time", lambda item: _finding(item).last_seen),
    ExportColumn("portside.finding.evidence", "string", lambda item: dict(_finding(item).evidence)),
)
_NODE: Final = (
    _AT,
    *_WHERE,
    _field("host.id", "string", "machine"),
    _field("os.description", "string", "system"),
    _field("portside.version", "string", "version"),
    _field("portside.started", "time", "started"),
    _field("portside.every_s", "float", "every_s"),
    _field("portside.cpus", "int", "cpus"),
    _field("portside.load", "float", "load"),
    *(_sockets(state) for state in states.NUMBERS),
    _field("portside.cpu_s", "float", "cpu_s"),
    _field("portside.rss_bytes", "int", "rss_bytes"),
    _field("portside.records", "int", "records"),
    *(_outbox(name, "int") for name in ("records", "bytes")),
    _outbox("oldest_s", "float"),
    _outbox("dropped", "int"),
    _field("portside.sampled", "int", "sampled"),
    _field("portside.lost", "int", "lost"),
    _field("portside.notes", "string", "notes"),
    _field("portside.last", "bool", "last"),
)
_SERVER: Final = (
    ExportColumn("timestamp", "time", lambda item: item.record.event.get("at")),
    *_WHERE,
    _field("process.pid", "int", "pid"),
    ExportColumn("portside.event", "string", lambda item: item.record.event.get("event")),
    ExportColumn("portside.conn", "int", lambda item: item.record.event.get("conn")),
    _TRANSPORT,
    *_PEER,
    _field("portside.event_json", "string", "event"),
)

COLUMNS: Final[Mapping[str, tuple[ExportColumn, ...]]] = {
    "closed": _CLOSED,
    "summary": _SUMMARY,
    "findings": _FINDINGS,
    "node": _NODE,
    "server": _SERVER,
}
