"""Counters over time: how much each has grown, whatever happens to it meanwhile."""

from collections import deque
from collections.abc import Mapping
from itertools import pairwise

_MOST = 800  # samples: ten a second for as long as they are kept; of more in a second every other one goes


def growth(before: int, now: int) -> int:
    """How much a counter grew from one reading to the next.

    A counter that is smaller than before has wrapped around, at 32 or 64 bits, or was reset (a new namespace, a
    module loaded again). It has wrapped where that makes the growth less than a quarter of its range, else it was
    reset, and has grown from 0.
    """
    if now >= before:
        return now - before
    for bits in (32, 64):
        grown = (now - before) % (1 << bits)
        if before >> (bits - 1) == 1 and grown < 1 << (bits - 2):
            return grown
    return now


class CounterSeries:
    """The readings of counters over the last ``span_s`` seconds."""

    def __init__(self, span_s: float) -> None:
        self._span_ns = round(span_s * 1e9)
        self._samples: deque[tuple[int, Mapping[str, int]]] = deque()

    def add(self, at_ns: int, counters: Mapping[str, int]) -> None:
        """Add a reading, and forget what is older than needed."""
        self._samples.append((at_ns, counters))
        while len(self._samples) > 2 and self._samples[1][0] <= at_ns - self._span_ns:
            self._samples.popleft()
        if len(self._samples) > _MOST:  # the newest stays, and so does the oldest: the growth between them is whole
            self._samples = deque([self._samples[0], *list(self._samples)[2:-1:2], self._samples[-1]])

    def now(self, name: str) -> int | None:
        """The last reading of a counter or gauge; None where there is none."""
        return self._samples[-1][1].get(name) if self._samples else None

    def steps(self, name: str, since_ns: int, until_ns: int | None = None) -> list[int]:
        """The growth of a counter from each reading to the next, over those from ``since_ns`` to ``until_ns``.

        A reading in which the counter is missing, as those of an older kernel, makes no step.
        """
        values = [counters[name] for _, counters in self._between(since_ns, until_ns) if name in counters]
        return [growth(before, now) for before, now in pairwise(values)]

    def times(self) -> list[int]:
        """The times of all readings that are kept."""
        return [at_ns for at_ns, _ in self._samples]

    def span_s(self, since_ns: int, until_ns: int | None = None) -> float:
        """The time from the first reading at or after ``since_ns`` to the last up to ``until_ns``, in seconds."""
        times = [at_ns for at_ns, _ in self._between(since_ns, until_ns)]
        return (times[-1] - times[0]) / 1e9 if times else 0.0

    def _between(self, since_ns: int, until_ns: int | None) -> list[tuple[int, Mapping[str, int]]]:
        return [each for each in self._samples if each[0] >= since_ns and (until_ns is None or each[0] <= until_ns)]
