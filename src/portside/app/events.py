"""``portside watch --events``: a line each time a connection opens, changes its state or closes.

The kernel's notifications of destroyed sockets are received at once, and the table is read once per interval;
``connection_tracker`` joins the two. Times are those of the monotonic clock, so that durations are right although
somebody sets the wall clock; a line has the wall clock of the moment at which it is written. The kernel's own counts
(``counters``) show at the end how much was seen.
"""

import os
import select
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from portside.app.event_lines import header, json_lines, text_lines
from portside.app.notices import write_notice
from portside.app.stdout import terminal_width
from portside.app.watch_filter import filter_text, view_of, wrong_filter
from portside.errors import PortsideError
from portside.kernel import states
from portside.kernel.backend import Backend, BackendError, DumpRequest
from portside.kernel.backends import open_backend
from portside.kernel.connection_tracker import ConnectionTracker, EventBatch
from portside.kernel.counters import TcpCounters, TcpMib
from portside.kernel.decoder import decode
from portside.kernel.destroy_monitor import DestroyMonitor, DestroyNotifications
from portside.kernel.filter import FilterError, parse
from portside.kernel.filter.evaluate import evaluate, possible
from portside.kernel.filter.tree import OWNER_COLUMNS, columns_of
from portside.kernel.interfaces import interface_names
from portside.kernel.netns import Namespace
from portside.kernel.owners import OwnerFinder
from portside.kernel.resolver import SystemResolver
from portside.kernel.snapshot import unsupported_columns
from portside.kernel.table import Mask, SocketTable
from portside.kernel.views import in_view
from portside.settings.watch import Watch

_REPORT_S = 10.0  # how often a terminal shows what was seen
_UNDER_WAY_S = 0.5  # how long to wait at the end for notifications in transit
_PATIENCE_MS = 500  # how long a reader of standard output may take after a signal
_ATTEMPTS = 3
_LONGEST_S = 86400.0  # what poll(2) is asked to wait at once: it takes some weeks at most
_PIPE_BYTES = 4096  # what a pipe takes at once when it is writable (PIPE_BUF)


def run(settings: Watch) -> int:
    """Report events until a signal, or until the reader of standard output goes away; the exit status."""
    with ExitStack() as stack:
        _EventMonitor(settings, stack).serve()
    return 0


class _EndedError(Exception):
    """Standard output has lost its reader, or its reader takes nothing after a signal."""


class _EventMonitor:
    """One run of ``watch --events``: what is read, the connections that are tracked, and standard output.

    The class has more than 12 attributes because it wires up that many parts.
    """

    def __init__(self, settings: Watch, stack: ExitStack) -> None:
        self._settings = settings
        self._namespace = Namespace(settings.netns) if settings.netns is not None else None
        if self._namespace is not None:
            stack.callback(self._namespace.close)
        try:
            tree = parse(filter_text(settings), SystemResolver(self._namespace))
        except FilterError as error:
            raise wrong_filter(error) from None
        self._filter = in_view(tree, view_of(settings))
        self._family = 2 if settings.ipv4 else 10 if settings.ipv6 else None
        self._columns = columns_of(tree)
        wants_owners = not settings.no_processes or bool(self._columns & OWNER_COLUMNS)
        self._owners = OwnerFinder(commands=settings.json) if wants_owners else None
        self._output = _EventOutput()
        stack.callback(self._output.close)
        self._monitor = self._open_monitor()
        if self._monitor is not None:
            stack.callback(self._monitor.close)
        self._began_ns = time.monotonic_ns()
        self._backend, first = self._open_backend()
        stack.callback(self._backend.close)
        self._tracker = ConnectionTracker(self._matches, announced=self._monitor is not None, started_ns=self._began_ns)
        self._counters = self._open_counters(stack)
        self._lost = 0
        self._reported: tuple[int, TcpMib] | None = None
        self._counted_before: TcpMib | None = None
        self._seen_before = 0
        self._first = first

    # What is read.

    @property
    def _request(self) -> DumpRequest:
        return DumpRequest(states=states.ALL & ~(1 << states.CLOSE), commands=self._settings.json)

    def _open_monitor(self) -> DestroyMonitor | None:
        name = self._settings.source
        if name in (None, "netlink"):
            try:
                return DestroyMonitor(self._namespace)
            except BackendError as error:
                if name is not None:
                    raise
                why = str(error)
        else:
            why = f"the source is {name}"
        write_notice(f"only polling: connections shorter than {self._settings.interval:g} s may be missed ({why})")
        return None

    def _open_backend(self) -> tuple[Backend, SocketTable]:
        opened = open_backend(self._request, self._settings.source, self._namespace)
        for note in opened.notes:
            write_notice(note)
        if self._monitor is not None and opened.backend.name != "netlink":
            write_notice(f"only polling: connections shorter than {self._settings.interval:g} s may be missed")
            self._monitor.close()
            self._monitor = None
        for note in unsupported_columns(self._columns, opened.dump.table, opened.backend.name):
            write_notice(note)
        return opened.backend, opened.dump.table

    def _open_counters(self, stack: ExitStack) -> TcpCounters | None:
        try:
            return stack.enter_context(TcpCounters(self._namespace))
        except BackendError as error:
            write_notice(f"what is seen cannot be compared with the kernel's own counts: {error}")
            return None

    def _start(self, first: SocketTable) -> None:
        """Take the first snapshot, and count from a moment at which no connection opened meanwhile, if there is one."""
        before, at_ns = None, self._began_ns
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
        if not self._settings.json:
            self._output.write(header(terminal_width()))  # from here on nothing is missed
        for taken in early:
            self._apply(taken)
        self._seen_before = self._tracker.opened
        self._apply(last)  # came after the kernel's counts were read, and so is counted by both

    def _count(self) -> TcpMib | None:
        return self._counters.read() if self._counters is not None else None

    # Which sockets are reported.

    def _matches(self, table: SocketTable, age_s: npt.NDArray[np.float64]) -> Mask:
        matching = evaluate(self._filter, table, age_s)
        if self._family is not None:
            matching &= table.base["family"] == self._family
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

    # The loop.

    def serve(self) -> None:
        """Run until the end: notifications are taken at once, the table is read every interval."""
        try:
            self._start(self._first)
            interval = self._settings.interval
            next_poll = time.monotonic() + interval
            next_report = time.monotonic() + _REPORT_S
            while self._output.wait(self._monitor, next_poll - time.monotonic()):
                self._drain()
                now = time.monotonic()
                if now >= next_poll:
                    self._poll()
                    next_poll = max(next_poll + interval, time.monotonic() + interval / 2)
                if now >= next_report:
                    next_report = now + _REPORT_S
                    if not self._settings.json and sys.stderr.isatty():
                        self._report_counts()
            self._finish()
        except _EndedError:
            if not self._output.ending:
                return
        self._report_counts(at_end=True)

    def _poll(self) -> None:
        self._drain()
        at_ns = time.monotonic_ns()
        dump = self._backend.read(self._request)
        self._show(self._tracker.on_snapshot(self._with_owners(dump.table), at_ns))
        self._drain()
        self._show(self._tracker.expire())

    def _drain(self) -> None:
        self._apply(self._take())

    def _take(self) -> DestroyNotifications:
        return self._monitor.take() if self._monitor is not None else DestroyNotifications((), 0)

    def _apply(self, taken: DestroyNotifications) -> None:
        for data, at_ns in taken.batches:
            self._show(self._tracker.on_destroy(self._with_interfaces(decode(data).table), at_ns))
        if taken.lost:
            self._lost += taken.lost
            write_notice(
                f"{taken.lost} announcements of closed connections were lost: the kernel had no room for them",
                "as root the buffer is larger; without, net.core.rmem_max limits it",
            )

    def _finish(self) -> None:
        """Read the table a last time, and wait for notifications in transit."""
        end = time.monotonic() + _UNDER_WAY_S
        while True:
            before = self._count()
            self._poll()
            if before is None or self._counted_before is None:
                return
            missing = before.since(self._counted_before).opened - (self._tracker.opened - self._seen_before)
            left = end - time.monotonic()
            if missing <= 0 or left <= 0 or self._monitor is None:
                return
            select.select([self._monitor], [], [], min(left, 0.05))

    def _show(self, events: list[EventBatch]) -> None:
        owners = self._owners is not None and not self._settings.no_processes
        to_wall_ns = time.time_ns() - time.monotonic_ns()
        width = terminal_width() if events else None
        for each in events:
            shown = each._replace(at_ns=each.at_ns + to_wall_ns)
            json = self._settings.json
            self._output.write(json_lines(shown) if json else text_lines(shown, owners=owners, width=width))

    def _report_counts(self, *, at_end: bool = False) -> None:
        """Report what was seen of what the kernel counted; before the end only where that changed."""
        if self._counters is None or self._counted_before is None:
            return
        try:
            counts = self._counters.read().since(self._counted_before)
        except PortsideError as error:
            write_notice(str(error))
            return
        report = (self._tracker.opened - self._seen_before, counts)
        if not at_end and report == self._reported:
            return
        self._reported = report
        failed = f", {counts.failed} attempts failed" if counts.failed else ""
        resets = f", {counts.resets} reset" if counts.resets else ""
        lost = f"; {self._lost} announcements were lost" if self._lost else ""
        write_notice(
            f"seen {report[0]} of {counts.opened} ends of connections that the kernel counted: "
            f"{counts.active} opened from here, {counts.passive} accepted here{failed}{resets}{lost}"
        )


class _EventOutput:
    """Standard output, and the signals that end the run even while its reader takes nothing.

    ``descriptors.write_all`` does not do: a write must never block, because a signal has to interrupt the wait for the
    reader and to limit it. So each write waits for poll(2), and is no larger than a pipe takes at once.
    """

    def __init__(self) -> None:
        self.ending = False
        self._gone = False
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._handlers = [
            (number, signal.signal(number, self._end))
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) is not signal.SIG_IGN
        ]

    def close(self) -> None:
        """Restore the signal handlers."""
        for number, handler in self._handlers:
            signal.signal(number, handler)
        os.close(self._woken)
        os.close(self._wake)

    def wait(self, monitor: DestroyMonitor | None, timeout_s: float) -> bool:
        """Wait until a notification has come or the time is over; False when the run ends."""
        if self.ending:
            return False
        poller = select.poll()
        poller.register(self._woken, select.POLLIN)
        poller.register(1, 0)  # tells when its reader goes away
        if monitor is not None:
            poller.register(monitor, select.POLLIN)
        ready = dict(poller.poll(min(max(0.0, timeout_s), _LONGEST_S) * 1000))
        if 1 in ready:
            self._gone = True
            raise _EndedError
        return not self.ending

    def write(self, data: bytes) -> None:
        """Write all data. Raises _EndedError when the reader is gone, or does not read after a signal."""
        if self._gone:
            raise _EndedError
        left = memoryview(data)
        while left:
            self._wait_writable()
            try:
                left = left[os.write(1, left[:_PIPE_BYTES]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._gone = True
                raise _EndedError from None
            except OSError as error:
                raise PortsideError("writing to standard output", error) from error

    def _wait_writable(self) -> None:
        poller = select.poll()
        poller.register(1, select.POLLOUT)
        if not self.ending:
            poller.register(self._woken, select.POLLIN)
        while True:
            ready = dict(poller.poll(_PATIENCE_MS if self.ending else None))
            if 1 in ready:
                return
            if not ready and self.ending:
                self._gone = True
                raise _EndedError
            poller = select.poll()
            poller.register(1, select.POLLOUT)

    def _end(self, _number: int, _frame: object) -> None:
        if self.ending:
            os._exit(1)  # asked twice: end at once
        self.ending = True
        os.write(self._wake, b"\0")
