"""What ``diagnose`` looks at: the socket table, closed sockets, counters and limits, read once each interval."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Self

from portside.app.kernel_columns import KernelColumns
from portside.app.network_readings import NetworkReadings, holders_among, known_holders
from portside.diagnosis.observation import Columns, Holders, Observation, RowNumbers
from portside.kernel import states
from portside.kernel.backend import BackendError
from portside.kernel.decoder import decode
from portside.kernel.destroy_monitor import DestroyMonitor
from portside.kernel.dump_reader import DumpReader
from portside.kernel.filter.evaluate import evaluate
from portside.kernel.filter.tree import EVERYTHING, OWNER_COLUMNS, And, Filter, StateIn, columns_of
from portside.kernel.netns import Namespace
from portside.kernel.owners import OwnerFinder
from portside.kernel.snapshot import Query, Watcher
from portside.kernel.table import SocketTable

Closed = Callable[[], tuple[Sequence[Columns] | None, int]]
"""Returns the sockets that were closed since the last look (None: that is not known), and how many were lost."""

_ANNOUNCED_BYTES = 16 << 20  # what is held of closed sockets between two looks: 40,000; more waits in the kernel


class DiagnosisSource:
    """Observations of this machine, or of another network namespace.

    ``tree`` says which sockets are looked at. ``notes`` are what the user should know: what could not be opened.
    ``closed`` is asked for closed sockets where somebody else listens to the kernel's announcements. Without
    ``time_wait``, what the kernel keeps of connections in TIME_WAIT is not looked at. ``clock_ns`` is a clock that is
    never set. ``reader`` is one for the table that is open already. Raises BackendError where no table can be read.
    """

    def __init__(
        self,
        tree: Filter = EVERYTHING,
        namespace: Namespace | None = None,
        *,
        source: str | None = None,
        closed: Closed | None = None,
        time_wait: bool = True,
        reader: DumpReader | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.notes: list[str] = []
        self._closed_elsewhere = closed
        self._tree = tree
        self._namespace = namespace
        self._owners = OwnerFinder()
        with ExitStack() as stack:
            listens = closed is None and source in (None, "netlink")
            self._monitor = self._open_monitor(stack) if listens else None
            self._readings = NetworkReadings(namespace, clock_ns=clock_ns)
            stack.callback(self._readings.close)
            wants_owners = bool(columns_of(tree) & OWNER_COLUMNS)
            looked_at = tree if time_wait else And((tree, StateIn(states.ALL & ~(1 << states.TIME_WAIT))))
            query = Query(looked_at, "all", namespace, source, owners=wants_owners, reader=reader)
            self._watcher = stack.enter_context(Watcher(query))
            self._stack = stack.pop_all()
        self.notes += self._readings.notes

    def observe(self) -> Observation:
        """Look once. Raises BackendError, NetlinkError and NamespaceError."""
        seen = self._watcher.poll()
        if seen.source != "netlink" and self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        for note in seen.notes:
            if note not in self.notes:
                self.notes.append(note)
        table = seen.table
        holders = known_holders(table) if table.owners is not None else lambda rows: self._holders(table, rows)
        closed, lost = self._closed()
        return self._readings.observation(table, closed, holders, lost)

    def close(self) -> None:
        """Close all that is open."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_monitor(self, stack: ExitStack) -> DestroyMonitor | None:
        try:
            monitor = DestroyMonitor(self._namespace, held_bytes=_ANNOUNCED_BYTES)
        except BackendError as error:
            self.notes.append(f"closed sockets are not seen: {error}")
            return None
        stack.callback(monitor.close)
        return monitor

    def _closed(self) -> tuple[Sequence[Columns] | None, int]:
        """The sockets that were closed since the last look, as far as the filter matches them; how many were lost."""
        if self._closed_elsewhere is not None:
            return self._closed_elsewhere()
        if self._monitor is None:
            return None, 0
        closed = []
        taken = self._monitor.take()
        for batch in taken.batches:
            table = decode(batch.data).table
            if self._tree is not EVERYTHING:
                table = table.select(evaluate(self._tree, table))
            closed.append(KernelColumns(table))
        return closed, taken.lost

    def _holders(self, table: SocketTable, rows: RowNumbers) -> Holders:
        """The processes that hold the sockets of some rows, which are looked up."""
        cookies = table.column("cookie")
        inodes = table.base["inode"][rows].tolist()
        found = self._owners.find(inodes, cookies.values[rows].tolist() if cookies.known.all() else None)
        return holders_among(found, self._owners.hidden, table, rows)
