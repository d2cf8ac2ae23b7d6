"""The flight recorder's memory: the last 15 minutes of some numbers about many things, in bounded memory.

1. A *sample* has one row for each thing, a connection or a listener, by its number. It is kept for a minute as it came,
   for 5 minutes every 5 s, and for 15 minutes every 15 s (``TIERS``).
2. A row that does not change is stored once, as a *run* from its first second to its last. So thousands of idle
   connections take one row each, however long they are watched.
3. The run that goes on is in arrays with a place for each thing; runs that have ended are in a ring for each tier,
   where the newest overwrite the oldest. Where more rows change than a ring can hold for its span, samples are taken
   less often there: the span stays, and rows are missing in between.

Times are whole seconds of a clock that never goes back. Nothing here reads a clock; ``add`` and ``rows`` may be called
from different threads.
"""

import threading
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

SPAN_S = 900
_GAP_STEPS = 3  # after so many steps without a sample, what was there before is not taken for what is there now

Numbers = npt.NDArray[np.int64]
Samples = npt.NDArray[np.void]


class TierSpec(NamedTuple):
    """Seconds for which rows are kept, seconds between two rows, and the part of the memory."""

    span_s: int
    step_s: int
    share: float


TIERS = (TierSpec(60, 1, 0.5), TierSpec(300, 5, 0.25), TierSpec(SPAN_S, 15, 0.25))


class UnchangedRun(NamedTuple):
    """A row that was the same in all samples from one second to another."""

    first_s: int
    last_s: int
    row: Any


class _Runs(NamedTuple):
    """Runs as arrays: the numbers of the things, first and last seconds, rows."""

    numbers: Numbers
    first_s: Numbers
    last_s: Numbers
    rows: Samples

    def select(self, which: Any) -> "_Runs":
        return _Runs(*(each[which] for each in self))


def _room(size: int, dtype: np.dtype[Any]) -> _Runs:
    return _Runs(np.zeros(size, "i8"), np.zeros(size, "i8"), np.zeros(size, "i8"), np.zeros(size, dtype))


class _Tier:
    """The runs of one tier."""

    def __init__(self, spec: TierSpec, capacity: int, dtype: np.dtype[Any]) -> None:
        self.spec = spec
        self._capacity = capacity
        self._ended = _room(capacity, dtype)  # memory that is taken as it fills
        self._written = 0
        self._going_on = _room(0, dtype)
        self._sampled_s = -(1 << 62)
        self._next_s = self._sampled_s

    def add(self, second: int, numbers: Numbers, rows: Samples) -> None:
        """Take a sample, if it is time for one; ``numbers`` in ascending order."""
        if second < self._next_s:
            return
        before = self._going_on
        first_s = np.full(len(numbers), second)
        goes_on = np.zeros(len(before.numbers), bool)
        if len(before.numbers) and second - self._sampled_s <= _GAP_STEPS * max(1, self._next_s - self._sampled_s):
            at = np.minimum(np.searchsorted(before.numbers, numbers), len(before.numbers) - 1)
            same = (before.numbers[at] == numbers) & (_words(before.rows)[at] == _words(rows)).all(axis=1)
            first_s[same] = before.first_s[at[same]]
            goes_on[at[same]] = True
        ended = before.select(~goes_on)
        self._keep(ended)
        self._going_on = _Runs(numbers, first_s, np.full(len(numbers), second), rows)
        self._sampled_s = second
        crowded = -(-self.spec.span_s * len(ended.numbers) // self._capacity)
        step = self.spec.step_s * max(1, -(-crowded // self.spec.step_s))
        self._next_s = second - second % step + step

    def _keep(self, ended: _Runs) -> None:
        ended = ended.select(slice(-self._capacity, None))
        places = (self._written + np.arange(len(ended.numbers))) % self._capacity
        for kept, new in zip(self._ended, ended, strict=True):
            kept[places] = new
        self._written += len(places)

    def runs(self, number: int, since_s: int) -> list[UnchangedRun]:
        """The runs of a thing that reach to ``since_s`` or beyond, in the order of time."""
        found = []
        filled = min(self._written, self._capacity)
        for runs in (self._ended.select(slice(0, filled)), self._going_on):
            which = np.flatnonzero((runs.numbers == number) & (runs.last_s >= since_s))
            found += [
                UnchangedRun(int(runs.first_s[at]), int(runs.last_s[at]), runs.rows[at].copy()) for at in which.tolist()
            ]
        return sorted(found, key=lambda run: run.first_s)


def _words(rows: Samples) -> npt.NDArray[np.uint64]:
    """Rows as integers of 8 bytes, which compare faster than fields."""
    return np.ascontiguousarray(rows).view("u8").reshape(len(rows), rows.dtype.itemsize // 8)


class History:
    """The samples of the last 15 minutes. ``dtype`` is that of a row, its size a multiple of 8; padding has to be 0.

    Runs that have ended take at most ``most_bytes``, and those that go on a row of each tier for each thing.
    """

    def __init__(self, dtype: np.dtype[Any], most_bytes: int) -> None:
        self.dtype = dtype
        each = dtype.itemsize + 3 * 8
        self._lock = threading.Lock()
        self._tiers = [_Tier(spec, max(1, int(most_bytes * spec.share) // each), dtype) for spec in TIERS]

    def add(self, second: int, numbers: Numbers, rows: Samples) -> None:
        """Take a sample of all things at a second: their numbers in ascending order, and a row for each."""
        with self._lock:
            for tier in self._tiers:
                tier.add(second, numbers, rows)

    def rows(self, number: int, now_s: int, since_s: int) -> list[tuple[int, Any]]:
        """The rows of a thing after ``since_s``, each with its second; thinned with age, in the order of time.

        A second in which nothing is known of the thing has no row.
        """
        with self._lock:
            runs = [tier.runs(number, max(since_s, now_s - tier.spec.span_s)) for tier in self._tiers]
        found = []
        newer_s = now_s + 1  # what is newer is in the tiers before
        for tier, of_tier in zip(self._tiers, runs, strict=True):
            step, oldest_s = tier.spec.step_s, max(since_s + 1, now_s - tier.spec.span_s)
            for run in of_tier:
                begin = run.first_s + 1
                seconds = [run.first_s, *range(begin - begin % -step, run.last_s + 1, step)]
                found += [(second, run.row) for second in seconds if oldest_s <= second < newer_s]
            newer_s = now_s - tier.spec.span_s
        return sorted(found, key=lambda each: each[0])
