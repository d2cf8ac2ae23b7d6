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

from portside.app.connection_events import ConnectionEvents, EventQuery, Seen
from portside.app.event_lines import header, json_lines, text_lines
from portside.app.notices import write_notice
from portside.app.signals import EndSignals
from portside.app.stdout import terminal_width
from portside.app.watch_filter import filter_text, view_of, wrong_filter
from portside.errors import PortsideError
from portside.kernel.connection_tracker import EventBatch
from portside.kernel.destroy_monitor import DestroyMonitor
from portside.kernel.filter import FilterError
from portside.settings.watch import Watch

_REPORT_S = 10.0  # how often a terminal shows what was seen
_PATIENCE_MS = 500  # how long a reader of standard output may take after a signal
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
    """One run of ``watch --events``: the events that come, and standard output."""

    def __init__(self, settings: Watch, stack: ExitStack) -> None:
        self._settings = settings
        self._output = _EventOutput()
        stack.callback(self._output.close)
        query = EventQuery(
            filter_text(settings),
            view_of(settings),
            2 if settings.ipv4 else 10 if settings.ipv6 else None,
            settings.netns,
            settings.source,
            owners=not settings.no_processes,
            commands=settings.json,
            interval=settings.interval,
        )
        try:
            self._events = ConnectionEvents(query, stack)
        except FilterError as error:
            raise wrong_filter(error) from None
        self._reported: Seen | None = None

    def serve(self) -> None:
        """Run until the end: notifications are taken at once, the table is read every interval."""
        try:
            self._show(self._events.start(self._begun))
            interval = self._settings.interval
            next_poll = time.monotonic() + interval
            next_report = time.monotonic() + _REPORT_S
            while self._output.wait(self._events.monitor, next_poll - time.monotonic()):
                self._show(self._events.drain())
                now = time.monotonic()
                if now >= next_poll:
                    self._show(self._events.poll())
                    next_poll = max(next_poll + interval, time.monotonic() + interval / 2)
                if now >= next_report:
                    next_report = now + _REPORT_S
                    if not self._settings.json and sys.stderr.isatty():
                        self._report_counts()
            for events in self._events.finish():
                self._show(events)
        except _EndedError:
            if not self._output.ending:
                return
        self._report_counts(at_end=True)

    def _begun(self) -> None:
        if not self._settings.json:
            self._output.write(header(terminal_width()))  # from here on nothing is missed

    def _show(self, events: list[EventBatch]) -> None:
        owners = not self._settings.no_processes
        to_wall_ns = time.time_ns() - time.monotonic_ns()
        width = terminal_width() if events else None
        for each in events:
            shown = each._replace(at_ns=each.at_ns + to_wall_ns)
            json = self._settings.json
            self._output.write(json_lines(shown) if json else text_lines(shown, owners=owners, width=width))

    def _report_counts(self, *, at_end: bool = False) -> None:
        """Report what was seen of what the kernel counted; before the end only where that changed."""
        try:
            report = self._events.seen()
        except PortsideError as error:
            write_notice(str(error))
            return
        if report is None or (not at_end and report == self._reported):
            return
        self._reported = report
        counts = report.counts
        failed = f", {counts.failed} attempts failed" if counts.failed else ""
        resets = f", {counts.resets} reset" if counts.resets else ""
        lost = f"; {report.lost} announcements were lost" if report.lost else ""
        write_notice(
            f"seen {report.seen} of {counts.opened} ends of connections that the kernel counted: "
            f"{counts.active} opened from here, {counts.passive} accepted here{failed}{resets}{lost}"
        )


class _EventOutput:
    """Standard output, and the signals that end the run even while its reader takes nothing.

    ``descriptors.write_all`` does not do: a write must never block, because a signal has to interrupt the wait for the
    reader and to limit it. So each write waits for poll(2), and is no larger than a pipe takes at once.
    """

    def __init__(self) -> None:
        self.ending = False
        self._asked = EndSignals()
        self._gone = False
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
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
        match self._asked.take():
            case "first":
                self.ending = True
                os.write(self._wake, b"\0")
            case "again":
                os._exit(1)
