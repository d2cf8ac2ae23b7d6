"""The two clocks of a recording: steady time says how long, the wall clock says when.

Steady time is the wall clock at the beginning of a run, counted on by the monotonic clock: ns since 1970 that never
jump. The entries of a segment have steady times. Where the wall clock was set, or has drifted by STEP_NS, a note says
by how much it differs from then on (``ClockStep``), so a reader knows both times of every entry. A segment begins with
the note that is in force; without one, both times are the same.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

_MEASUREMENTS = 5
STEP_NS = 1_000_000  # smaller differences are those of slewing, and of reading two clocks one after the other


class ClockStep(NamedTuple):
    """From the steady time ``at`` on, the wall clock is ahead of it by ``correction`` ns; behind where negative."""

    at: int
    correction: int


class SteadyClock:
    """The clock of a run, which turns the wall times of its events into steady times. For one thread at a time.

    ``look`` is called for each batch of events, soon after they happened, and then ``steady`` for each of its times, in
    their order; only the last is needed where ``look`` returns True.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._offset = self._measure()
        self.correction = 0  # of the wall clock, as far as events have been collected: ns
        self._next: int | None = None  # the correction that was seen, until the first event after the step
        self._window = (0, self.now())  # steady times of the last two looks: events of the batch lie between them
        self._latest = 0  # of the steady times that were given

    def now(self) -> int:
        """Steady time."""
        return self._monotonic_ns() + self._offset

    def look(self) -> bool:
        """Compare the clocks: whether the wall times of the next events are steady times as well."""
        wall, now = self._wall_ns(), self.now()
        self._window = self._window[1], now
        if not -STEP_NS < wall - now - self.correction < STEP_NS:  # or the thread was interrupted between the two
            correction = self._measure() - self._offset
            if not -STEP_NS < correction - self.correction < STEP_NS:
                self._next = correction
                return False
        return not self.correction

    def _measure(self) -> int:
        """The difference of the clocks, of some measurements the one that took the least time."""
        measured = []
        for _ in range(_MEASUREMENTS):
            before, wall, after = self._monotonic_ns(), self._wall_ns(), self._monotonic_ns()
            measured.append((after - before, wall - (before + after) // 2))
        return min(measured)[1]

    def steady(self, wall: int) -> tuple[int, ClockStep | None]:
        """The steady time of an event, and the step of the wall clock where this is the first event after one."""
        step = None
        if self._next is not None and not self._is_within_batch(wall - self.correction):
            step = self._take_step(self._limit(wall - self._next), self._next)
        self._latest = max(self._limit(wall - self.correction), self._latest)
        return self._latest, step

    def end_batch(self) -> ClockStep | None:
        """The step of the wall clock that came after the last event of the batch; None where there was none."""
        return self._take_step(self._window[1], self._next) if self._next is not None else None

    def _is_within_batch(self, at: int) -> bool:
        return self._window[0] - STEP_NS <= at <= self._window[1] + STEP_NS

    def _limit(self, at: int) -> int:
        """The time, or the nearest one in the window: the wall clock may have been set twice since the last look."""
        return at if self._is_within_batch(at) else min(max(at, self._window[0]), self._window[1])

    def _take_step(self, at: int, correction: int) -> ClockStep:
        self.correction, self._next = correction, None
        # Behind all events before it, also those of the last batch, whose times may be off by STEP_NS.
        self._latest = max(at, self._latest + 1, self._window[0] + STEP_NS)
        return ClockStep(self._latest, correction)


class WallTimes:
    """The wall times of a segment's entries; ``steps`` are those of the segment, in the order of their times."""

    __slots__ = ("_corrections", "_times")

    def __init__(self, steps: Sequence[ClockStep]) -> None:
        self._times = [step.at for step in steps]
        self._corrections = [0, *(step.correction for step in steps)]

    def __bool__(self) -> bool:
        return bool(self._times)

    def of(self, at: int) -> int:
        """The wall time (ns since 1970) at a steady time."""
        return at + self._corrections[bisect_right(self._times, at)]
