"""``portside load``: starts the workers, follows them, and reports."""

import selectors
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TextIO

import msgspec

from portside.addresses import Address
from portside.app.notices import write_stderr
from portside.app.process_limits import raise_descriptor_limit
from portside.app.signals import readable_at_signal
from portside.app.stdout import terminal_width, write_lines, write_stdout
from portside.client.dial import NOTHING_LISTENS, display_name
from portside.errors import InvalidValue, PortsideError, UsageError, reason_of
from portside.json_text import encode_json
from portside.load.conditions import FailCondition, parse_condition
from portside.load.error_kinds import ERRORS
from portside.load.hdr_log import log_lines
from portside.load.observer import RunObserver
from portside.load.plan import plan
from portside.load.report import LoadReport, Observed, kernel_of, show_time, text_lines, times_of
from portside.load.totals import WorkerTotals
from portside.load.verdict import verdict
from portside.load.work import Work
from portside.load.workers import WorkerProcess
from portside.units import counted

if TYPE_CHECKING:
    from portside.settings.load import Load

_LOOK_EVERY_S = 1.0
_MOST_SILENT_LOOKS = 10  # workers speak ten times a second: one that says nothing for so long is stopped or stuck


def run(settings: "Load", address: Address) -> int:
    """Load a server; 0, or 1 where nothing was answered or a condition of --fail-if holds."""
    conditions = _conditions(settings)
    raise_descriptor_limit()
    works = plan(settings, address)
    name = display_name(address)
    hdr = _open_log(settings.hdr)
    with ExitStack() as stack:
        if hdr is not None:
            stack.enter_context(hdr)
        stop = stack.enter_context(readable_at_signal(signal.SIGINT, signal.SIGTERM))
        observer = RunObserver(address.port if works[0].target.is_here else None)
        stack.callback(observer.close)
        workers = _start(works, stack)
        began_wall_ns = time.time_ns()
        totals = _Run(workers, observer, stop, is_shown=sys.stderr.isatty()).follow()
        observed = observer.end()
        report = _report(settings, name, works, totals, observed)
        report = _judged(report, conditions)
        _print(report, is_json=settings.json)  # before the log, for which the disk may have no room
        if hdr is not None:
            _write_log(hdr, began_wall_ns, totals)
    return int(bool(report.failed) or not report.replies)


def _print(report: LoadReport, *, is_json: bool) -> None:
    """Print a report. Raises PortsideError where no connection was made."""
    if not report.opened:
        why = max(report.errors, key=report.errors.__getitem__, default="")
        hint = {
            "refused": NOTHING_LISTENS,
            "tls_failed": f"`portside connect --tls {report.target}` says why; --no-tls-verify takes any certificate",
        }.get(why)
        raise PortsideError(f"cannot load {report.target}", f"no connection was made: {ERRORS.get(why, why)}", hint)
    if is_json:
        write_stdout([encode_json(report) + b"\n"])
    else:
        write_lines(text_lines(report, terminal_width()))


def _conditions(settings: "Load") -> list[FailCondition]:
    try:
        return [parse_condition(text) for text in settings.fail_if]
    except InvalidValue as problem:
        raise UsageError("load", f"--fail-if: {problem}") from None


def _start(works: Sequence[Work], stack: ExitStack) -> list[WorkerProcess]:
    workers: list[WorkerProcess] = []
    for work in works:
        worker = WorkerProcess(work, [fd for each in workers for fd in each.descriptors])
        stack.callback(worker.close)
        workers.append(worker)
    return workers


class _Run:
    """The workers of a run from their start to their end."""

    def __init__(self, workers: list[WorkerProcess], observer: RunObserver, stop_fd: int, *, is_shown: bool) -> None:
        self._workers = workers
        self._observer = observer
        self._stop_fd = stop_fd
        self._is_shown = is_shown
        self._totals = WorkerTotals(len(workers))
        self._silent_looks = [0] * len(workers)
        self._has_begun = False
        self._shown_replies = 0
        self._shown_at_s = 0.0

    def follow(self) -> WorkerTotals:
        """Follow the workers until all have ended; a signal has them stop sending, and one that is silent is killed."""
        self._observer.begin()
        look_at = time.monotonic() + _LOOK_EVERY_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._stop_fd, selectors.EVENT_READ, None)
            for number, worker in enumerate(self._workers):
                selector.register(worker.reports, selectors.EVENT_READ, number)
            while not all(worker.is_over for worker in self._workers):
                for key, _ in selector.select(max(0.0, look_at - time.monotonic())):
                    if key.data is None:
                        selector.unregister(self._stop_fd)
                        self._stop()
                    elif not self._take(key.data):
                        selector.unregister(key.fd)
                if (now := time.monotonic()) >= look_at:
                    look_at = max(look_at + _LOOK_EVERY_S, now)  # one look, however long this process was stopped
                    self._observer.look()
                    self._show()
                    self._kill_silent()
        return self._totals

    def _take(self, number: int) -> bool:
        """Take what a worker says; false once it has ended."""
        worker = self._workers[number]
        self._silent_looks[number] = 0
        for progress in worker.read():
            self._totals.add(number, progress)
        if worker.is_over and self._totals.stage(number) != "ended":
            self._totals.errors["worker_lost"] = self._totals.errors.get("worker_lost", 0) + 1
        if not self._has_begun and all(self._is_ready(each) for each in range(len(self._workers))):
            self._has_begun = True
            if self._totals.open:
                for each in self._workers:
                    each.begin()
            else:
                self._stop()
        return not worker.is_over

    def _kill_silent(self) -> None:
        """Kill workers that have said nothing for too long, so that the run ends without them.

        Looks are counted, not seconds: where all of us were stopped (Ctrl-Z) the workers go on as this process does.
        """
        for number, worker in enumerate(self._workers):
            self._silent_looks[number] += 1
            if self._silent_looks[number] > _MOST_SILENT_LOOKS and not worker.is_over:
                worker.kill()  # its reports end, which is taken as if another had killed it

    def _is_ready(self, number: int) -> bool:
        return self._workers[number].is_over or self._totals.stage(number) == "ready"

    def _stop(self) -> None:
        self._has_begun = True  # or never will
        for worker in self._workers:
            worker.stop()

    def _show(self) -> None:
        """A line of progress, on a terminal."""
        if not self._is_shown:
            return
        totals, now = self._totals, time.monotonic()
        answered = totals.replies - self._shown_replies
        rate = answered / (now - self._shown_at_s) if self._shown_at_s else 0.0
        self._shown_replies, self._shown_at_s = totals.replies, now
        write_stderr(progress_line(totals, rate) + "\n")


def progress_line(totals: WorkerTotals, rate: float) -> str:
    """How a run goes: time, connections, answers a second, and percentiles of the latency so far."""
    times = times_of(totals.latency)
    shown = "  ".join(f"{name} {show_time(times[name])}" for name in ("p50", "p99", "max"))
    errors = sum(totals.errors.values())
    failed = f"  {counted(errors, 'error')}" if errors else ""
    return f"{totals.duration_s:6.1f}s  {totals.open:,} open  {rate:,.0f} answers/s  {shown}{failed}"


def _report(settings: "Load", name: str, works: Sequence[Work], totals: WorkerTotals, observed: Observed) -> LoadReport:
    duration_s = totals.duration_s
    rate = totals.measured_replies / duration_s if duration_s else 0.0
    late = times_of(totals.lateness) if settings.rate is not None else None
    kernel = kernel_of(totals)
    return LoadReport(
        target=name,
        duration=round(duration_s, 3),
        connections=settings.connections,
        workers=len(works),
        wanted_rate=settings.rate,
        sent=totals.sent,
        replies=totals.replies,
        errors=totals.errors,
        rate=round(rate, 1),
        bytes_sent=totals.bytes_sent,
        bytes_received=totals.bytes_received,
        opened=totals.opened,
        connect_rate=round(totals.measured_opened / duration_s, 1) if duration_s else 0.0,
        latency_us=times_of(totals.latency),
        connect_us=times_of(totals.connect),
        late_us=late,
        kernel=kernel,
        verdict=list(
            verdict(
                rate=rate,
                wanted_rate=settings.rate,
                late_us=late,
                busiest=totals.busiest,
                duration_s=duration_s,
                kernel=kernel,
                observed=observed,
            )
        ),
        failed=[],
    )  # fmt: skip


def _judged(report: LoadReport, conditions: Sequence[FailCondition]) -> LoadReport:
    """The report with the conditions of --fail-if that hold."""
    failed = [f"{each.written}: {each.shown(report)}" for each in conditions if each.holds(report)]
    return msgspec.structs.replace(report, failed=failed)


def _open_log(path: str | None) -> TextIO | None:
    """The file of --hdr: a name that cannot be written is said before the run, not after it."""
    if path is None:
        return None
    try:
        return open(path, "w", encoding="ascii")
    except OSError as error:
        raise PortsideError(f"--hdr {path}", reason_of(error)) from None


def _write_log(file: TextIO, began_wall_ns: int, totals: WorkerTotals) -> None:
    histograms = {"latency": totals.latency, "connect": totals.connect}
    lines = log_lines(began_wall_ns, int(totals.duration_s * 1e9), histograms)
    try:
        with file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise PortsideError(f"--hdr {file.name}", reason_of(error)) from None
