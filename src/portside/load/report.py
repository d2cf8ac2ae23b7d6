"""The report of a load run: numbers, the kernel's word on them, and what they mean."""

from collections.abc import Iterator
from textwrap import wrap
from typing import NamedTuple

import msgspec

from portside.load.error_kinds import ERRORS
from portside.load.histogram import Histogram
from portside.load.totals import WorkerTotals
from portside.units import counted

_PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99_9": 99.9, "p99_99": 99.99}
_US = 1000
_LEAST_WIDTH = 40  # for sentences, on whatever terminal

Times = dict[str, float | None]
"""Percentiles in microseconds by name (``p50`` … ``p99_99``), and ``max``; None where there is no value."""


class Kernel(msgspec.Struct, frozen=True, kw_only=True):
    """The kernel's facts of the connections: segments sent again; shares of the time in which there was something to
    send; smoothed round trips at the end of each."""

    retransmitted: int
    receiver_limited: float | None  # the server's window was closed
    sender_limited: float | None  # our send buffer was full
    rtt_us: Times


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """A run, as ``--json`` writes it. Durations are seconds, rates a second, times microseconds."""

    target: str
    duration: float
    connections: int
    workers: int
    wanted_rate: float | None
    sent: int
    replies: int
    errors: dict[str, int]
    rate: float
    bytes_sent: int
    bytes_received: int
    opened: int
    connect_rate: float
    latency_us: Times
    connect_us: Times
    late_us: Times | None  # behind the schedule of an open loop, for which the client is the reason
    kernel: Kernel | None
    verdict: list[str]
    failed: list[str]


class Observed(NamedTuple):
    """Observations beside the workers: counters of the kernel that grew, the local listener, the processors."""

    counters: dict[str, int]
    accept_queue: tuple[int, int] | None = None  # the most that waited in it, and its limit
    busy_processors: float | None = None  # the share of all processors that was used


def times_of(histogram: Histogram) -> Times:
    """The percentiles of a histogram."""
    times: Times = {name: _microseconds(histogram.percentile(percent)) for name, percent in _PERCENTILES.items()}
    times["max"] = _microseconds(histogram.largest)
    return times


def kernel_of(totals: WorkerTotals) -> Kernel | None:
    """The kernel's facts of the connections; None where there are none (unix sockets)."""
    sums = totals.kernel
    if not sums:
        return None
    busy = sums["busy_us"]
    return Kernel(
        retransmitted=sums["retrans_total"],
        receiver_limited=round(sums["rwnd_limited_us"] / busy, 4) if busy else None,
        sender_limited=round(sums["sndbuf_limited_us"] / busy, 4) if busy else None,
        rtt_us=times_of(totals.rtt),
    )


def _microseconds(ns: int | None) -> float | None:
    return None if ns is None else round(ns / _US, 1)


def text_lines(report: LoadReport, width: int | None = None) -> Iterator[str]:
    """The report for a person; with a ``width`` its sentences go on below, so that a terminal divides no word."""
    rate = f"{report.rate:,.0f}/s"
    wanted = f" of {report.wanted_rate:,.0f}/s" if report.wanted_rate is not None else ""
    yield (
        f"{counted(report.replies, 'message')} answered in {report.duration:.1f}s, {rate}{wanted}; {report.sent:,} sent"
    )
    yield (
        f"{counted(report.connections, 'connection')} at a time, {report.opened:,} opened, "
        f"{counted(report.workers, 'process', 'processes')}"
    )
    yield f"{_size(report.bytes_sent)} sent, {_size(report.bytes_received)} received"
    yield ""
    names = [name.replace("_", ".") for name in report.latency_us]
    yield f"            {''.join(f'{name:>9}' for name in names)}"
    rows = {"latency": report.latency_us, "connecting": report.connect_us, "sent late": report.late_us}
    if report.kernel is not None:
        rows["rtt"] = report.kernel.rtt_us
    for name, times in rows.items():
        if times is not None and times["max"] is not None:
            yield f"{name:<12}{''.join(f'{show_time(value):>9}' for value in times.values())}"
    yield ""
    errors = sorted(report.errors.items(), key=lambda each: -each[1])
    for sentence in (
        *(f"error: {count:,} {ERRORS.get(kind, kind)}" for kind, count in errors),
        *report.verdict,
        *(f"failed: {condition}" for condition in report.failed),
    ):
        yield from _folded(sentence, width)


def _folded(sentence: str, width: int | None) -> list[str]:
    if width is None:
        return [sentence]
    return wrap(
        sentence, max(_LEAST_WIDTH, width), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def show_time(microseconds: float | None) -> str:
    """A time for a person, three digits or more: ``612us``, ``1.42ms``, ``2.10s``; ``-`` for none."""
    if microseconds is None:
        return "-"
    if microseconds < 1000:
        return f"{microseconds:.0f}us"
    if microseconds < 1e6:
        return f"{microseconds / 1e3:.2f}ms" if microseconds < 1e5 else f"{microseconds / 1e3:.0f}ms"
    return f"{microseconds / 1e6:.2f}s"


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
