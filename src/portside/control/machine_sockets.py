"""This machine's table of TCP sockets, as ``watch`` shows it, a page at a time."""

import time

import numpy as np
import numpy.typing as npt

from portside.app.column_sort import OwnerRanks, SortContext
from portside.app.column_text import WatchedSockets
from portside.app.sort_order import parse_sort
from portside.control.paging import PageKeys, RowOrder, page_of
from portside.control.schema_connections import SocketPage, SocketTotals
from portside.kernel import states
from portside.kernel.filter.evaluate import evaluate
from portside.kernel.filter.tree import Filter
from portside.kernel.materialize import to_sockets
from portside.kernel.snapshot import Query, Snapshot, Watcher
from portside.kernel.table import Mask, SocketTable
from portside.kernel.tracked_sockets import ends_as_keys

_FRESH_S = 1.0
_DUE_SHARE, _OLD_SHARE = 5, 10  # times what a reading took


class MachineSockets:
    """All sockets of this machine with their owners, read at most once a second, and less often where that takes long.

    They are read on one thread, and pages made on another.
    """

    def __init__(self) -> None:
        self._watcher: Watcher | None = None
        self._snapshot: Snapshot | None = None
        self._read_at = self._took_s = 0.0

    @property
    def is_old(self) -> bool:
        """Whether no page may be made of what was read last."""
        return self._snapshot is None or self._age_s > max(_FRESH_S, _OLD_SHARE * self._took_s)

    @property
    def is_due(self) -> bool:
        """Whether the sockets should be read anew."""
        return self._age_s > max(_FRESH_S, _DUE_SHARE * self._took_s)

    @property
    def _age_s(self) -> float:
        return time.monotonic() - self._read_at

    def read(self) -> None:
        """Read the sockets, if that is due. Raises PortsideError where none can be read."""
        if self._snapshot is not None and not self.is_due:
            return
        if self._watcher is None:
            self._watcher = Watcher(Query(view="all", commands=True))
        began = time.monotonic()
        snapshot = self._watcher.poll()
        self._snapshot, self._read_at, self._took_s = snapshot, began, time.monotonic() - began

    def page(self, tree: Filter, *, sort: str, limit: int, after: str | None, offset: int = 0) -> SocketPage:
        """A page of the sockets that match a filter, once they were read.

        Raises UsageError for a column that does not exist, and CursorError.
        """
        chosen = parse_sort(sort) if sort else None
        snapshot, age_s = self._snapshot, self._age_s
        if snapshot is None:
            raise RuntimeError("no socket was read yet")
        table = snapshot.table
        which = evaluate(tree, table)
        if chosen is None:
            everywhere = np.ones(len(table), bool)
            order = RowOrder("", PageKeys([], everywhere), _ties(table))
        else:
            values, known = chosen.sort_keys(WatchedSockets(table), SortContext(OwnerRanks()))
            order = RowOrder(chosen.column, PageKeys(list(values), known), _ties(table), chosen.reverse)
        page = page_of(which, order, limit, after, offset)
        return SocketPage(
            items=list(to_sockets(table.select(page.rows))),
            total=int(which.sum()),
            totals=SocketTotals(recv_q=_sum(table, which, "recv_q"), send_q=_sum(table, which, "send_q")),
            next=page.after,
            source=snapshot.source,
            notes=list(snapshot.notes),
            age=round(age_s, 3),
        )

    def close(self) -> None:
        """Close the files of the table."""
        if self._watcher is not None:
            self._watcher.close()


def _ties(table: SocketTable) -> npt.NDArray[np.uint64]:
    """A number of each socket that no other has: its cookie, or where there is none a hash of its ends."""
    cookies = table.column("cookie")
    numbers: npt.NDArray[np.uint64] = np.where(cookies.known, cookies.values, ends_as_keys(table.base)).astype("u8")
    return numbers


def _sum(table: SocketTable, which: Mask, name: str) -> int | None:
    values, known = table.column(name)
    connections = which & (table.base["state"] != states.LISTEN)
    known = known & connections
    return int(values[known].sum(dtype="u8")) if known.any() or not connections.any() else None
