"""The connections that are open, as one record that fits into a message: the most interesting of them first."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from portside.fleet.agent.compact_sockets import OPEN_INFO, compact_sockets
from portside.fleet.schema import OpenConnections
from portside.kernel import states
from portside.kernel.models import Socket
from portside.kernel.table import SocketTable
from portside.kernel.tracked_sockets import TrackedSockets

MOST_SOCKETS: Final = 2000
MOST_BYTES: Final = 800_000
_CHANGED_S, _ALWAYS_S = 10.0, 60.0  # between two records: where something has changed, and at most
_BYTES_EACH_S: Final = 20_000  # a large record is not made more often than this on average
_MOVED_BYTES: Final = 64 << 10  # in all: less has not changed anything (the agent's own connection moves too)
_NO_CONNECTION: Final = (states.LISTEN, states.TIME_WAIT, states.CLOSE)

_Keys = npt.NDArray[np.uint64]
_Ints = npt.NDArray[np.int64]


class OpenSnapshots:
    """Makes a record where it is time for one. ``size_of`` is how many bytes a socket takes in a message."""

    def __init__(self, size_of: Callable[[Socket], int]) -> None:
        self._size_of = size_of
        self._keys: _Keys = np.zeros(0, "u8")
        self._moved: _Ints = np.zeros(0, "i8")
        self._seen: _Ints = np.zeros((0, 3), "i8")
        self._at_s: float | None = None
        self._bytes = 0

    def look(self, tracked: TrackedSockets, at: str, now_s: float) -> OpenConnections | None:
        """The record of this table; None where the last one does still, or is too young."""
        since_s = float("inf") if self._at_s is None else now_s - self._at_s
        if since_s < max(_CHANGED_S, self._bytes / _BYTES_EACH_S):
            return None
        shown = tracked.select(tracked.reported & ~np.isin(tracked.table.base["state"], _NO_CONNECTION))
        table = shown.table
        moved = _moved(shown)
        queued = _known(table, "recv_q") + _known(table, "send_q")
        seen = np.stack([table.base["state"], table.base["recv_q"], table.base["send_q"]], axis=1).astype("i8")
        added = moved - self._before(shown.keys)
        same = np.array_equal(shown.keys, self._keys) and np.array_equal(seen, self._seen)
        if since_s < _ALWAYS_S and same and int(added.sum()) < _MOVED_BYTES:
            return None
        order = np.lexsort((shown.keys, -added, -queued))[:MOST_SOCKETS]
        sockets = []
        size = 0
        for socket in compact_sockets(table.select(order), OPEN_INFO):
            size += self._size_of(socket)
            if size > MOST_BYTES:
                break
            sockets.append(socket)
        self._keys, self._moved, self._seen, self._at_s, self._bytes = shown.keys, moved, seen, now_s, size
        return OpenConnections(at=at, total=len(table), sockets=tuple(sockets))

    def _before(self, keys: _Keys) -> _Ints:
        """The bytes that each connection had moved at the last record; 0 for those that were not there."""
        if not len(self._keys):
            return np.zeros(len(keys), "i8")
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        before: _Ints = np.where(self._keys[places] == keys, self._moved[places], 0)
        return before


def _moved(shown: TrackedSockets) -> _Ints:
    """The bytes that each connection has sent and received since it was opened."""
    return _known(shown.table, "bytes_acked") + _known(shown.table, "bytes_received")


def _known(table: SocketTable, name: str) -> _Ints:
    """A column, 0 where it is not known."""
    column = table.column(name)
    values: _Ints = np.where(column.known, column.values, 0).astype("i8")
    return values
