"""A connection as an item of a list: each field, made from the connection."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from portside.control.closed_connections import ClosedConnection
from portside.control.connection_columns import AnyConnection, ConnectionRows, holds_of
from portside.control.schema_connections import ConnectionFields, ConnectionItem, ConnectionState
from portside.events import utc

OWN_FIELDS = tuple(name for name in ConnectionFields.__struct_fields__ if name != "owners")
"""The fields that a list has where none are named: all that need no look into the kernel's table."""


class Clock(Struct, frozen=True):
    """The moment of a list, and how the loop's clock relates to the wall clock."""

    now: float
    offset_ns: int

    def utc(self, loop_s: float) -> str:
        """A time of the loop's clock as events have it."""
        return utc(round(loop_s * 1e9) + self.offset_ns)


def make_item(rows: ConnectionRows, connection: AnyConnection, fields: tuple[str, ...], clock: Clock) -> ConnectionItem:
    """An item with some of the own fields."""
    values: dict[str, Any] = {
        name: _FIELDS[name](rows, connection, clock) for name in fields if name not in ("conn", "owners")
    }
    return ConnectionItem(conn=connection.number, **values)


def _state(connection: AnyConnection) -> ConnectionState:
    if isinstance(connection, ClosedConnection):
        return "closed"
    if connection.is_closing:
        return "closing"
    return "half_closed" if connection.half_closed else "eof_sent" if connection.eof_sent else "open"


def _closed_at(connection: AnyConnection) -> float | None:
    return connection.closed_at if isinstance(connection, ClosedConnection) else None


def _age(connection: AnyConnection, now: float) -> float:
    closed_at = _closed_at(connection)
    return round(max(0.0, (now if closed_at is None else closed_at) - connection.opened_at), 3)


def _closed(name: str) -> Callable[[ConnectionRows, AnyConnection, Clock], Any]:
    return lambda _, connection, __: getattr(connection, name) if isinstance(connection, ClosedConnection) else None


def _open(name: str, otherwise: object) -> Callable[[ConnectionRows, AnyConnection, Clock], Any]:
    return lambda _, connection, __: (
        getattr(connection, name) if not isinstance(connection, ClosedConnection) else otherwise
    )


def _info(name: str) -> Callable[[ConnectionRows, AnyConnection, Clock], Any]:
    return lambda _, connection, __: getattr(connection.info, name)


def _tls(name: str) -> Callable[[ConnectionRows, AnyConnection, Clock], Any]:
    return lambda _, connection, __: getattr(connection.info.tls, name, None)


_FIELDS: dict[str, Callable[[ConnectionRows, AnyConnection, Clock], Any]] = {
    "peer": _info("peer"),
    "local": _info("local"),
    "state": lambda _, connection, __: _state(connection),
    "opened": lambda _, connection, clock: clock.utc(connection.opened_at),
    "closed": lambda _, connection, clock: None if (at := _closed_at(connection)) is None else clock.utc(at),
    "age": lambda _, connection, clock: _age(connection, clock.now),
    "idle": lambda _, connection, clock: (
        None if isinstance(connection, ClosedConnection) else round(max(0.0, clock.now - connection.active_at), 3)
    ),
    "received": lambda _, connection, __: connection.received,
    "sent": lambda _, connection, __: connection.sent,
    "buffered": _open("buffered_bytes", 0),
    "holds": lambda _, connection, __: holds_of(connection),
    "write_paused": _open("write_paused", otherwise=False),
    "tls": _info("tls"),
    "sni": _tls("sni"),
    "alpn": _tls("alpn"),
    "proxy": _info("proxy"),
    "note": lambda rows, connection, _: rows.note_texts(connection)[0],
    "tags": lambda rows, connection, _: rows.tags(connection),
    "faults": lambda _, connection, __: connection.fault_count,
    "reason": _closed("reason"),
    "error": _closed("error"),
    "by": _closed("by"),
}
