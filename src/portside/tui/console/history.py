"""The kernel's facts of a connection over time, for lines of bars, and for going back."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from portside.events import parse_utc

SPANS_S = (60, 300, 900)
_MOST_ROWS = 2000
_CARRIED_S = 20.0  # rows are up to 15 s apart: so long the value of a row holds


class Moment(NamedTuple):
    """A row: when (seconds since 1970), and the values by the names of their columns."""

    at_s: float
    values: Mapping[str, Any]


class FactHistory:
    """Rows in the order of time."""

    def __init__(self) -> None:
        self._rows: list[Moment] = []
        self._times: list[float] = []
        self.newest: str | None = None  # as the API writes it

    def add(self, table: Mapping[str, Any]) -> None:
        """Add the rows of an answer that are later than those that are there."""
        names = table["columns"][1:]
        for at, *values in table["rows"]:
            at_s = parse_utc(at) / 1e9
            if not self._times or at_s > self._times[-1]:
                self._rows.append(Moment(at_s, dict(zip(names, values, strict=True))))
                self._times.append(at_s)
                self.newest = at
        del self._rows[:-_MOST_ROWS], self._times[:-_MOST_ROWS]

    @property
    def span(self) -> tuple[float, float] | None:
        """The times of the first and the last row."""
        return (self._times[0], self._times[-1]) if self._times else None

    def before(self, at_s: float) -> Moment | None:
        """The last row at a time or before it."""
        place = bisect_right(self._times, at_s)
        return self._rows[place - 1] if place else None

    def largest(self, name: str, end_s: float, span_s: float, cells: int) -> list[float | None]:
        """The largest value of a column in each of so many cells of time that end at ``end_s``."""
        edges = _edges(end_s, span_s, cells)
        return [self._largest(name, start, end) for start, end in pairwise(edges)]

    def rates(self, name: str, end_s: float, span_s: float, cells: int) -> list[float | None]:
        """How much a column that counts went up a second, in each of so many cells."""
        edges = _edges(end_s, span_s, cells)
        values = [self._between(name, edge) for edge in edges]
        step = span_s / cells
        return [
            max(0, after - before) / step if before is not None and after is not None else None
            for before, after in pairwise(values)
        ]

    def rate_at(self, name: str, at_s: float) -> float | None:
        """How much a column that counts went up a second, before a time."""
        place = bisect_right(self._times, at_s) - 1
        if place < 1:
            return None
        before, after = self._rows[place - 1], self._rows[place]
        low, high = before.values.get(name), after.values.get(name)
        if low is None or high is None:
            return None
        return float(max(0, high - low) / (after.at_s - before.at_s))

    def _value(self, name: str, at_s: float) -> float | None:
        row = self.before(at_s)
        return None if row is None or at_s - row.at_s > _CARRIED_S else row.values.get(name)

    def _between(self, name: str, at_s: float) -> float | None:
        """The value of a column that counts, in proportion between the rows before and after: rows are not cells."""
        place = bisect_right(self._times, at_s)
        value = self._value(name, at_s)
        if value is None or place == len(self._rows):
            return value
        before, after = self._rows[place - 1], self._rows[place]
        later = after.values.get(name)
        if later is None:
            return value
        return float(value + (later - value) * (at_s - before.at_s) / (after.at_s - before.at_s))

    def _largest(self, name: str, start: float, end: float) -> float | None:
        first, last = bisect_right(self._times, start), bisect_right(self._times, end)
        values = [row.values.get(name) for row in self._rows[first:last]]
        known = [value for value in values if value is not None]
        return max(known) if known else self._value(name, end)


def _edges(end_s: float, span_s: float, cells: int) -> Sequence[float]:
    return [end_s - span_s + span_s * cell / cells for cell in range(cells + 1)]
