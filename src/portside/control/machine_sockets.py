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


class MachineSockets:
    """All sockets of this machine with their owners, read at most once a second; used on one thread at a time."""

    def __init__(self) -> None:
        self._watcher: Watcher | None = None
        self._snapshot: tuple[float, Snapshot] | None = None

    def page(self, tree: Filter, *, sort: str, limit: int, after: str | None, offset: int = 0) -> SocketPage:
        """A page of the sockets that match a filter.

        Raises UsageError for a column that does not exist, CursorError, and PortsideError where no socket can be read.
        """
        chosen = parse_sort(sort) if sort else None
        read_at, snapshot = self._read()
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
            age=round(time.monotonic() - read_at, 3),
        )

    def _read(self) -> tuple[float, Snapshot]:
        now = time.monotonic()
        if self._snapshot is None or now - self._snapshot[0] > _FRESH_S:
            if self._watcher is None:
                self._watcher = Watcher(Query(view="all", commands=True))
            self._snapshot = now, self._watcher.poll()
        return self._snapshot

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
