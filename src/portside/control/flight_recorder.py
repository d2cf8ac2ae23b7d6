"""The flight recorder: what is kept of each connection and each listener, once a second, and how it is shown.

An unknown value is stored with all bits set, and shown as null.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from portside.control.connection_ends import Ends
from portside.control.history import SPAN_S, History
from portside.control.kernel_facts import SocketFacts, find_places
from portside.control.schema_connections import HistoryTable, KernelValue
from portside.events import utc
from portside.kernel import states
from portside.kernel.table import SocketTable
from portside.server.connection import Connection
from portside.server.listener import Listener

MOST_BYTES = 64 << 20  # of the rows of connections that have changed: 0.6 million of them
_LISTENER_BYTES = 1 << 20
# Name here and in the socket table; None is made here.
_COLUMNS: tuple[tuple[str, str, str | None], ...] = (
    ("received", "u8", None),
    ("sent", "u8", None),
    ("bytes_received", "u8", "bytes_received"),
    ("bytes_acked", "u8", "bytes_acked"),
    ("buffered", "u4", None),
    ("recv_q", "u4", "recv_q"),
    ("send_q", "u4", "send_q"),
    ("notsent", "u4", "notsent_bytes"),
    ("unacked", "u4", None),
    ("rtt_us", "u4", "rtt_us"),
    ("cwnd", "u4", "cwnd"),
    ("retrans", "u4", "retrans_total"),
    ("snd_wnd", "u4", "snd_wnd"),
    ("rcv_wnd", "u4", "rcv_wnd"),
    ("state", "u4", "state"),
)
_LISTENER_COLUMNS: tuple[tuple[str, str, str | None], ...] = (
    ("accept_queue", "u4", "recv_q"),
    ("accept_queue_limit", "u4", "send_q"),
    ("drops", "u4", "drops"),
)


def _row_type(columns: tuple[tuple[str, str, str | None], ...]) -> np.dtype[Any]:
    """The columns without gaps, filled up to whole words."""
    size = sum(np.dtype(kind).itemsize for _, kind, _ in columns)
    fields = [(name, kind) for name, kind, _ in columns]
    return np.dtype([*fields, *([("padding", f"V{-size % 8}")] if size % 8 else [])])


ROW = _row_type(_COLUMNS)
LISTENER_ROW = _row_type(_LISTENER_COLUMNS)


class FlightRecorder:
    """The last 15 minutes of a server, in whole seconds since 1970 that never go back."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._connections = History(ROW, MOST_BYTES)
        self._listeners = History(LISTENER_ROW, _LISTENER_BYTES)
        self.listener_inodes = np.array([_inode(each.socket.fileno()) for each in listeners], "i8")

    def sample(self, second: int, connections: Sequence[Connection], ends: Ends, facts: SocketFacts) -> None:
        """Keep one row of each connection and listener. ``ends`` are those of the connections."""
        rows = np.zeros(len(connections), ROW)
        count = len(connections)
        rows["received"] = np.fromiter((each.received for each in connections), "u8", count)
        rows["sent"] = np.fromiter((each.sent for each in connections), "u8", count)
        buffered = np.fromiter((each.buffered_bytes for each in connections), "u8", count)
        rows["buffered"] = np.minimum(buffered, _unknown("u4") - 1)
        _fill(rows, _COLUMNS, facts.table, facts.places(ends.inodes))
        queued = (rows["send_q"] != _unknown("u4")) & (rows["notsent"] != _unknown("u4"))
        unacked = rows["send_q"].astype("i8") - rows["notsent"]
        rows["unacked"] = np.where(queued, np.maximum(unacked, 0), _unknown("u4"))
        order = np.argsort(ends.numbers, kind="stable")
        self._connections.add(second, ends.numbers[order], rows[order])
        self._listeners.add(second, np.arange(len(self.listener_inodes)), self.listener_rows(facts))

    def listener_rows(self, facts: SocketFacts) -> npt.NDArray[np.void]:
        """The facts of each listener as they are now."""
        rows = np.zeros(len(self.listener_inodes), LISTENER_ROW)
        _fill(rows, _LISTENER_COLUMNS, facts.table, find_places(facts.inodes, self.listener_inodes))
        return rows

    def connection(self, number: int, now_s: int, since_s: int | None) -> HistoryTable:
        """The rows of a connection, after a second where one is given."""
        return self._table(self._connections, number, now_s, since_s)

    def listener(self, place: int, now_s: int, since_s: int | None) -> HistoryTable:
        """The rows of a listener by its place among the listeners."""
        return self._table(self._listeners, place, now_s, since_s)

    def _table(self, history: History, number: int, now_s: int, since_s: int | None) -> HistoryTable:
        oldest_s = now_s - SPAN_S - 1
        since_s = oldest_s if since_s is None else max(since_s, oldest_s)
        names = [name for name in history.dtype.names or () if name != "padding"]
        rows = [
            [utc(second * 1_000_000_000), *row_values(row, names)]
            for second, row in history.rows(number, now_s, since_s)
        ]
        return HistoryTable(columns=["at", *names], rows=rows)


def row_values(row: Any, names: Sequence[str]) -> list[KernelValue]:
    """The values of a row, None where one is not known."""
    values: list[KernelValue] = []
    for name in names:
        value = row[name]
        if value == _unknown(value.dtype):
            values.append(None)
        else:
            values.append(states.name_of(int(value)) if name == "state" else int(value))
    return values


def _inode(fd: int) -> int:
    """The inode of a listener's socket; 0 where it is closed, as in a drain."""
    return os.fstat(fd).st_ino if fd >= 0 else 0


def _unknown(kind: Any) -> int:
    return int(np.iinfo(kind).max)


def _fill(
    rows: npt.NDArray[np.void],
    columns: tuple[tuple[str, str, str | None], ...],
    table: SocketTable | None,
    places: npt.NDArray[np.int64],
) -> None:
    """Fill in what the socket table has, for the rows that have a place there."""
    there, at = places >= 0, np.maximum(places, 0)
    for name, kind, source in columns:
        if source is None:
            continue
        rows[name] = _unknown(kind)
        if table is None or not len(table):
            continue
        values, known = table.column(source)
        chosen = there & known[at]
        rows[name][chosen] = values[at[chosen]]
