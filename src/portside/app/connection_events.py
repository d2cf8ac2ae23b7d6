"""The events of connections, made of all that the kernel tells: the table at each interval, announcements at once.

Nothing is shown here: ``watch --events`` writes what comes, and ``portside.watch`` makes values of it.
"""

import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from portside.app.notices import Notify, write_notice
from portside.kernel import states
from portside.kernel.backend import Backend, BackendError, DumpRequest
from portside.kernel.backends import open_backend
from portside.kernel.connection_tracker import ConnectionTracker, EventBatch
from portside.kernel.counters import TcpCounters, TcpMib
from portside.kernel.decoder import decode
from portside.kernel.destroy_monitor import HELD_BYTES, DestroyMonitor, DestroyNotifications, joined
from portside.kernel.dump_reader import DumpReader
from portside.kernel.filter import parse
from portside.kernel.filter.evaluate import evaluate, possible
from portside.kernel.filter.tree import OWNER_COLUMNS, columns_of
from portside.kernel.interfaces import interface_names
from portside.kernel.netns import Namespace
from portside.kernel.owners import OwnerFinder
from portside.kernel.resolver import SystemResolver
from portside.kernel.snapshot import unsupported_columns
from portside.kernel.table import Mask, SocketTable
from portside.kernel.tracked_sockets import TrackedSockets
from portside.kernel.views import View, in_view

_UNDER_WAY_S = 0.5  # how long to wait at the end for notifications in transit
_ATTEMPTS = 3


class EventQuery(NamedTuple):
    """Which connections are followed, and how; ``interval`` is in seconds, ``family`` 2 or 10 (AF_INET6).

    ``reader`` is one for the table that is open already. Without ``time_wait``, what the kernel keeps of connections
    that have ended is not read, which may be most of its table. Announcements that came within ``join_s`` seconds are
    taken together, as of the last of them; up to ``held_bytes`` of them wait here.
    ``thorough`` is how owners are looked for (``OwnerFinder``).
    """

    filter: str
    view: View | None = None
    family: int | None = None
    netns: str | None = None
    source: str | None = None
    owners: bool = True
    commands: bool = False
    interval: float = 1.0
    time_wait: bool = True
    join_s: float = 0.0
    held_bytes: int = HELD_BYTES
    reader: DumpReader | None = None
    thorough: bool = True


class Seen(NamedTuple):
    """How many ends of connections were seen, of those that the kernel counted; how many announcements were lost."""

    seen: int
    counts: TcpMib
    lost: int


class ConnectionEvents:
    """The sources of the events, and the tracked connections. ``stack`` gives all back; ``notify`` gets notices.

    ``on_announced`` gets each table of announcements before anything is made of it. Times of the events are of the
    monotonic clock. Raises FilterError, NamespaceError and BackendError. The class has more than 12 attributes because
    it wires up that many parts.
    """

    def __init__(
        self,
        query: EventQuery,
        stack: ExitStack,
        notify: Notify = write_notice,
        on_announced: Callable[[SocketTable], object] = lambda _: None,
    ) -> None:
        self._query = query
        self._notify = notify
        self._on_announced = on_announced
        self._namespace = Namespace(query.netns) if query.netns is not None else None
        if self._namespace is not None:
            stack.callback(self._namespace.close)
        tree = parse(query.filter, SystemResolver(self._namespace))
        self._filter = in_view(tree, query.view)
        self._columns = columns_of(tree)
        wants_owners = query.owners or bool(self._columns & OWNER_COLUMNS)
        self._owners = OwnerFinder(commands=query.commands, thorough=query.thorough) if wants_owners else None
        self.monitor = self._open_monitor()
        if self.monitor is not None:
            stack.callback(self.monitor.close)
        self._began_ns = time.monotonic_ns()
        self._backend, self._first = self._open_backend()
        stack.callback(self._backend.close)
        self._tracker = ConnectionTracker(self._matches, announced=self.monitor is not None, started_ns=self._began_ns)
        self._counters = self._open_counters(stack)
        self.lost = 0
        """How many announcements were lost."""
        self._counted_before: TcpMib | None = None
        self._seen_before = 0

    # What is read.

    @property
    def _request(self) -> DumpRequest:
        left_out = 1 << states.CLOSE | (0 if self._query.time_wait else 1 << states.TIME_WAIT)
        return DumpRequest(states=states.ALL & ~left_out, commands=self._query.commands)

    def _open_monitor(self) -> DestroyMonitor | None:
        name = self._query.source
        if name in (None, "netlink"):
            try:
                return DestroyMonitor(self._namespace, held_bytes=self._query.held_bytes)
            except BackendError as error:
                if name is not None:
                    raise
                why = str(error)
        else:
            why = f"the source is {name}"
        self._notify(f"only polling: connections shorter than {self._query.interval:g} s may be missed ({why})", None)
        return None

    def _open_backend(self) -> tuple[Backend, SocketTable]:
        opened = open_backend(self._request, self._query.source, self._namespace, self._query.reader)
        for note in opened.notes:
            self._notify(note, None)
        if self.monitor is not None and opened.backend.name != "netlink":
            self._notify(f"only polling: connections shorter than {self._query.interval:g} s may be missed", None)
            self.monitor.close()
            self.monitor = None
        for note in unsupported_columns(self._columns, opened.dump.table, opened.backend.name):
            self._notify(note, None)
        return opened.backend, opened.dump.table

    def _open_counters(self, stack: ExitStack) -> TcpCounters | None:
        try:
            return stack.enter_context(TcpCounters(self._namespace))
        except BackendError as error:
            self._notify(f"what is seen cannot be compared with the kernel's own counts: {error}", None)
            return None

    def start(self, on_begun: Callable[[], object] = lambda: None) -> list[EventBatch]:
        """Take the first snapshot, and count from a moment at which no connection opened meanwhile, if there is one.

        ``on_begun`` is called when from now on nothing is missed.
        """
        before, at_ns, first = None, self._began_ns, self._first
        early, last = [], DestroyNotifications((), 0)
        for _ in range(_ATTEMPTS):
            after = self._count()
            early.append(last)
            last = DestroyNotifications((), 0)
            if before is not None and before == after:
                break
            before, at_ns = after, time.monotonic_ns()
            first = self._backend.read(self._request).table
            last = self._take()
        self._counted_before = before
        self._tracker.on_snapshot(self._with_owners(first), at_ns)
        on_begun()
        events = [event for taken in early for event in self._apply(taken)]
        self._seen_before = self._tracker.opened
        return events + self._apply(last)  # came after the kernel's counts were read, and so is counted by both

    def _count(self) -> TcpMib | None:
        return self._counters.read() if self._counters is not None else None

    @property
    def tracked(self) -> TrackedSockets | None:
        """The sockets of the last table, listeners too; None before ``start``."""
        return self._tracker.known

    # Which sockets are reported.

    def _matches(self, table: SocketTable, age_s: npt.NDArray[np.float64]) -> Mask:
        matching = evaluate(self._filter, table, age_s)
        if self._query.family is not None:
            matching &= table.base["family"] == self._query.family
        return matching

    def _with_owners(self, table: SocketTable) -> SocketTable:
        """The table with the owners of what may be shown."""
        if self._owners is None or table.owners is not None:
            return table
        shown = possible(self._filter, table)
        inodes, cookies = table.base["inode"][shown].tolist(), table.column("cookie")
        found = self._owners.find(inodes, cookies.values[shown].tolist() if cookies.known.all() else None)
        return table.with_owners(dict(found), self._owners.hidden, self._owners.no_commands)

    def _with_interfaces(self, table: SocketTable) -> SocketTable:
        """The table of notifications with the names of the interfaces that their sockets are bound to."""
        if not table.base["interface"].any():
            return table
        return replace(table, interfaces=interface_names(self._namespace))

    # What comes.

    def poll(self) -> list[EventBatch]:
        """Read the table, with the announcements before and after it."""
        events = self.drain()
        at_ns = time.monotonic_ns()
        dump = self._backend.read(self._request)
        events += self._tracker.on_snapshot(self._with_owners(dump.table), at_ns)
        events += self.drain()
        return events + self._tracker.expire()

    def drain(self) -> list[EventBatch]:
        """Take the announcements that wait."""
        return self._apply(self._take())

    def _take(self) -> DestroyNotifications:
        return self.monitor.take() if self.monitor is not None else DestroyNotifications((), 0)

    def _apply(self, taken: DestroyNotifications) -> list[EventBatch]:
        events: list[EventBatch] = []
        for data, at_ns in joined(taken.batches, round(self._query.join_s * 1e9)):
            table = decode(data).table
            self._on_announced(table)
            events += self._tracker.on_destroy(self._with_interfaces(table), at_ns)
        if taken.lost:
            self.lost += taken.lost
            self._notify(
                f"{taken.lost} announcements of closed connections were lost: the kernel had no room for them",
                "as root the buffer is larger; without, net.core.rmem_max limits it",
            )
        return events

    def finish(self) -> Iterator[list[EventBatch]]:
        """Read the table a last time, and wait for notifications in transit."""
        end = time.monotonic() + _UNDER_WAY_S
        while True:
            before = self._count()
            yield self.poll()
            if before is None or self._counted_before is None:
                return
            missing = before.since(self._counted_before).opened - (self._tracker.opened - self._seen_before)
            left = end - time.monotonic()
            if missing <= 0 or left <= 0 or self.monitor is None:
                return
            select.select([self.monitor], [], [], min(left, 0.05))

    def seen(self) -> Seen | None:
        """The share that was seen of what the kernel counted; None where that is not known. Raises PortsideError."""
        if self._counters is None or self._counted_before is None:
            return None
        counts = self._counters.read().since(self._counted_before)
        return Seen(self._tracker.opened - self._seen_before, counts, self.lost)
