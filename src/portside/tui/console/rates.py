"""Rates of a server over the last minute, from the counts that it says."""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

SPAN_S = 60


class RateSample(NamedTuple):
    """Counts a second between two looks at the server."""

    opened: float
    received: float
    sent: float


class RateSeries:
    """The rates of the last 60 looks, one a second."""

    def __init__(self) -> None:
        self._rates: deque[RateSample] = deque(maxlen=SPAN_S)
        self._last: tuple[str, float, Mapping[str, Any]] | None = None

    def add(self, info: Mapping[str, Any]) -> None:
        """Add what a server says of itself; nothing where it is too soon after the last time."""
        run, uptime, counts = info["started"], float(info["uptime"]), info["counts"]
        if self._last is not None and self._last[0] == run:
            seconds = uptime - self._last[1]
            if seconds < 0.9:
                return
            before = self._last[2]
            rate = RateSample(*((counts[name] - before[name]) / seconds for name in RateSample._fields))
            self._rates.append(rate)
        self._last = (run, uptime, counts)

    @property
    def now(self) -> RateSample | None:
        """The newest."""
        return self._rates[-1] if self._rates else None

    def values(self, name: str, cells: int) -> list[float | None]:
        """A rate in so many cells over the minute, each the largest of its time; None where nobody has looked yet."""
        values: list[float | None] = [getattr(each, name) for each in self._rates]
        values[:0] = [None] * (SPAN_S - len(values))
        return [_largest(values[SPAN_S * cell // cells : SPAN_S * (cell + 1) // cells]) for cell in range(cells)]


def _largest(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
