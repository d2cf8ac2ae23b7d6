"""The rows of a long list that a table holds: those that are seen, and some before and after them."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from portside.tui.console.columns import Row

MOST_ROWS = 1000  # that the API gives at once
_LEAST_ROWS = 50  # before it is known how many are seen


class RowRange(NamedTuple):
    """The rows from ``offset`` on, at most ``limit``."""

    offset: int
    limit: int


class RowWindow:
    """A slice of a list of ``total`` rows; ``key`` tells a row from all others."""

    def __init__(self, key: Callable[[Row], Hashable]) -> None:
        self.key = key
        self.total = 0
        self.totals: Mapping[str, Any] = {}
        self._offset = 0
        self._rows: Sequence[Row] = ()
        self._places: dict[Hashable, int] = {}

    def put(self, offset: int, page: Mapping[str, Any]) -> None:
        """Hold a page of the API that begins with the row ``offset``."""
        self._offset, self._rows = offset, page["items"]
        self.total, self.totals = page["total"], page.get("totals") or {}
        self._places = {self.key(row): offset + place for place, row in enumerate(self._rows)}

    def row(self, index: int) -> Row | None:
        """A row by its place in the whole list; None where it is not held."""
        place = index - self._offset
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def place_of(self, key: Hashable) -> int | None:
        """The place of a row in the whole list, if the row is held."""
        return self._places.get(key)

    def covers(self, index: int) -> bool:
        """Whether it is known which row is at a place, or that there is none."""
        return self._offset <= index < self._offset + len(self._rows) or index >= self.total

    def lacks(self, top: int, height: int) -> bool:
        """Whether one of the rows that are seen is not held."""
        return not (self.covers(top) and self.covers(max(top, min(top + height, self.total) - 1)))

    @staticmethod
    def wanted(top: int, height: int) -> RowRange:
        """The rows to ask for where those from ``top`` on are seen: a screenful more on each side."""
        offset = max(0, top - height)
        return RowRange(offset, min(MOST_ROWS, max(_LEAST_ROWS, top - offset + 2 * height)))
