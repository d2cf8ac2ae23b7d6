"""The connections of a server as columns, for filter and sort: their own, and the kernel's joined to them.

A column is made when it is asked for. The names are those of the filter: ``NUMBERS``, ``TEXTS`` and ``ENDS`` here, and
every number of ``kernel.filter.columns``. ``pid`` and ``program`` are those of the process at the other end, where that
is on this machine.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from portside.control.closed_connections import ClosedConnection
from portside.control.connection_ends import Ends
from portside.control.kernel_facts import SocketFacts
from portside.control.notes import Notes
from portside.kernel.filter.columns import FILTER_COLUMNS, FilterColumn, Vocabulary, parse_integer
from portside.kernel.filter.evaluate import (
    Truth,
    compare,
    evaluate_condition,
    evaluate_tree,
    has_end,
    known,
    unknown,
)
from portside.kernel.filter.tree import (
    OWNER_COLUMNS,
    Condition,
    Filter,
    HostIn,
    Number,
    PortIn,
    ProgramIs,
    Side,
    TextIs,
    columns_of,
    mentions_state,
)
from portside.kernel.filter.wildcards import wildcard_matcher
from portside.kernel.models import Owner
from portside.kernel.table import ColumnValues, Mask, SocketTable
from portside.server.connection import Connection
from portside.units import parse_duration, parse_size

AnyConnection = Connection | ClosedConnection
NUMBERS = {
    "conn": FilterColumn("conn", parse_integer),
    "received": FilterColumn("received", parse_size),
    "sent": FilterColumn("sent", parse_size),
    "buffered": FilterColumn("buffered", parse_size),
    "idle": FilterColumn("idle_s", parse_duration),
    "age": FilterColumn("age_s", parse_duration),
    "faults": FilterColumn("faults", parse_integer),
}
TEXTS = {name: name for name in ("tls", "sni", "alpn", "proxy", "note", "tag", "hold", "reason")}
ENDS: dict[str, Side] = {"peer": "remote", "local": "local", "dst": "remote", "src": "local"}
VOCABULARY = Vocabulary({**FILTER_COLUMNS, **NUMBERS}, TEXTS, ENDS)
"""What a filter of connections may be about."""

_OWN_COLUMNS = frozenset((*(each.column for each in NUMBERS.values()), *TEXTS))
Places = npt.NDArray[np.int64]
Texts = list[str | None]


def needs_facts(tree: Filter) -> bool:
    """Whether a filter asks for what only the kernel knows."""
    return mentions_state(tree) or not columns_of(tree) <= _OWN_COLUMNS


def needs_owners(tree: Filter) -> bool:
    """Whether a filter asks for the processes at the other ends."""
    return bool(columns_of(tree) & OWNER_COLUMNS)


class Peers(NamedTuple):
    """The sockets at the other ends, with their owners, and for each row of the facts the place of its other end."""

    table: SocketTable
    of_facts: Places


class ConnectionRows:
    """Open connections, then closed ones, as rows of columns at one moment, ``now`` in seconds of the loop's clock."""

    def __init__(
        self,
        connections: Sequence[Connection],
        closed: Sequence[ClosedConnection],
        *,
        ends: Ends,
        facts: SocketFacts,
        peers: Peers | None,
        notes: Notes,
        now: float,
    ) -> None:
        self.open = connections
        self.closed = closed
        self.ends = ends
        self.numbers = ends.numbers
        self.facts = facts
        self.now = now
        self._notes = notes
        self.places = facts.places(ends.inodes)
        self.peers = peers
        if peers is not None and len(peers.of_facts):
            self.peer_places = np.where(self.places >= 0, peers.of_facts[np.maximum(self.places, 0)], -1)
        else:
            self.peer_places = np.full(len(ends.numbers), -1)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[AnyConnection]:
        return chain(self.open, self.closed)

    def row(self, place: int) -> AnyConnection:
        """The connection at a place."""
        return self.open[place] if place < len(self.open) else self.closed[place - len(self.open)]

    # Columns.

    def number(self, column: str) -> ColumnValues:
        """A column of numbers, the connections' own or the kernel's. Raises KeyError."""
        if column in _NUMBERS_OF:
            values = _NUMBERS_OF[column](self)
            return ColumnValues(np.where(np.isnan(values), 0, values), ~np.isnan(values))
        if self.facts.table is None or not len(self.facts.table):
            return ColumnValues(np.zeros(len(self), "i8"), np.zeros(len(self), bool))
        values, is_known = self.facts.table.column(column)
        at = np.maximum(self.places, 0)
        return ColumnValues(values[at], is_known[at] & (self.places >= 0))

    def texts(self, column: str) -> list[Texts]:
        """A column of text: for each connection all that it has of it, nothing or several."""
        of = _TEXTS_OF[column]
        return [of(self, each) for each in self]

    def note_texts(self, connection: AnyConnection) -> Texts:
        """The note on a connection."""
        return [self._notes.of(connection.number).text or None]

    def tags(self, connection: AnyConnection) -> Texts:
        """The tags of a connection."""
        return list(self._notes.of(connection.number).tags)

    def owners(self, places: npt.NDArray[np.intp] | None = None) -> list[tuple[Owner, ...] | None]:
        """The processes at the other ends, of all connections or those at some places; None where none is known."""
        peer_places = self.peer_places if places is None else self.peer_places[places]
        if self.peers is None or not len(self.peers.table):
            return [None] * len(peer_places)
        owners = self.peers.table.owners or {}
        keys = self.peers.table.owner_keys[np.maximum(peer_places, 0)]
        return [
            owners.get(key) if place >= 0 and key else None
            for key, place in zip(keys.tolist(), peer_places.tolist(), strict=True)
        ]

    # The filter.

    def matching(self, tree: Filter) -> Mask:
        """Which connections match a filter."""
        return evaluate_tree(tree, len(self), self._truth).true

    def _truth(self, node: Condition) -> Truth:
        match node:
            case PortIn() | HostIn():
                return known(has_end(node, getattr(self.ends, node.side)))
            case TextIs(column, pattern):
                return known(self._has_text(column, pattern))
            case Number("pid") | ProgramIs():
                table = self.peers.table if self.peers is not None else None
                return self._joined(node, table, self.peer_places)
            case Number(column, comparison, value) if column in _NUMBERS_OF:
                values, is_known = self.number(column)
                return compare(values, comparison, value, is_known)
        return self._joined(node, self.facts.table, self.places)

    def _joined(self, node: Condition, table: SocketTable | None, places: Places) -> Truth:
        """The truth of a condition on another table, for the connections that have a place there."""
        if table is None or not len(table):
            return unknown(len(self))
        truth = evaluate_condition(node, table)
        at, there = np.maximum(places, 0), places >= 0
        return Truth(truth.true[at] & there, truth.false[at] & there)

    def _has_text(self, column: str, pattern: str) -> Mask:
        matches = wildcard_matcher(pattern)
        seen: dict[str, bool] = {}
        found = np.zeros(len(self), bool)
        for place, texts in enumerate(self.texts(column)):
            for text in texts:
                if text is None:
                    continue
                if text not in seen:
                    seen[text] = matches(text)
                found[place] |= seen[text]
        return found


def _each(rows: ConnectionRows, attribute: str) -> npt.NDArray[np.float64]:
    return np.fromiter((getattr(each, attribute) for each in rows), "f8", len(rows))


def _ages(rows: ConnectionRows) -> npt.NDArray[np.float64]:
    ends = np.full(len(rows), rows.now)
    ends[len(rows.open) :] = [each.closed_at for each in rows.closed]
    return ends - _each(rows, "opened_at")


def _idle(rows: ConnectionRows) -> npt.NDArray[np.float64]:
    return np.concatenate(
        [rows.now - np.array([each.active_at for each in rows.open], "f8"), np.full(len(rows.closed), np.nan)]
    )


def _buffered(rows: ConnectionRows) -> npt.NDArray[np.float64]:
    return np.array([*(each.buffered_bytes for each in rows.open), *[0] * len(rows.closed)], "f8")


_NUMBERS_OF: dict[str, Callable[[ConnectionRows], npt.NDArray[np.float64]]] = {
    "conn": lambda rows: rows.numbers.astype("f8"),
    "received": lambda rows: _each(rows, "received"),
    "sent": lambda rows: _each(rows, "sent"),
    "buffered": _buffered,
    "idle_s": _idle,
    "age_s": _ages,
    "faults": lambda rows: _each(rows, "fault_count"),
    "opened": lambda rows: _each(rows, "opened_at"),
    "closed": lambda rows: np.array([*[np.nan] * len(rows.open), *(each.closed_at for each in rows.closed)], "f8"),
}


def holds_of(connection: AnyConnection) -> list[str]:
    """The names of the holds for which a connection is not read."""
    if isinstance(connection, ClosedConnection) or not connection.read_paused:
        return []
    return [hold.name.lower() for hold in connection.holds if hold.name]


def _tls(attribute: str) -> Callable[[ConnectionRows, AnyConnection], Texts]:
    def texts(_: ConnectionRows, connection: AnyConnection) -> Texts:
        tls = connection.info.tls
        return [getattr(tls, attribute)] if tls is not None else []

    return texts


def _reason(_: ConnectionRows, connection: AnyConnection) -> Texts:
    return [connection.reason] if isinstance(connection, ClosedConnection) else []


def _proxy(_: ConnectionRows, connection: AnyConnection) -> Texts:
    proxy = connection.info.proxy
    return [proxy.via] if proxy is not None else []


_TEXTS_OF: dict[str, Callable[[ConnectionRows, AnyConnection], Any]] = {
    "tls": _tls("version"),
    "sni": _tls("sni"),
    "alpn": _tls("alpn"),
    "proxy": _proxy,
    "note": ConnectionRows.note_texts,
    "tag": ConnectionRows.tags,
    "hold": lambda _, connection: holds_of(connection),
    "reason": _reason,
}
