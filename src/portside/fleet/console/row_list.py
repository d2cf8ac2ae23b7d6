"""Lists over a fleet: filtered and sorted in Python, kept for a while, given away in pages.

A list is made anew when the fleet has changed, and takes a fifth of the time at most, so that one with 500,000 rows
leaves room for everything else.
"""

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from portside.control.client.http_client import ApiError, Query
from portside.kernel.filter.errors import FilterError
from portside.nearest import nearest

Row = TypeVar("Row")
Key = Callable[[Any], Any]

MOST_ON_A_PAGE: Final = 1000
_MOST_OFFSET: Final = 1 << 40
_MOST_KEPT: Final = 4
_FRESH_S: Final = 0.5
_BUSY_SHARE: Final = 5


class ListQuery(NamedTuple):
    """What is asked of a list."""

    filter: str
    sort: str
    offset: int
    limit: int

    @classmethod
    def read(cls, name: str, query: Query, others: Sequence[str] = ()) -> "ListQuery":
        """Read the parameters of a request. Raises ApiError."""
        known = ("filter", "sort", "offset", "limit", "after", *others)
        for given in query:
            if given not in known:
                raise refusal(name, f"there is no parameter {given!r}: there are {', '.join(known)}")
        offset = query.get("after") or query.get("offset", 0)
        return cls(
            str(query.get("filter", "")).strip(),
            str(query.get("sort", "")),
            number_of(name, "offset", offset, 0, _MOST_OFFSET),
            number_of(name, "limit", query.get("limit", 100), 1, MOST_ON_A_PAGE),
        )


def sort_key(name: str, asked: ListQuery, keys: Mapping[str, Key]) -> Key | None:
    """The key of the column to sort by; None where none was named. Raises ApiError for an unknown one."""
    column = asked.sort.removeprefix("-").lower()
    if not column:
        return None
    if column not in keys:
        like = nearest(column, tuple(keys))
        hint = f"did you mean {like}?" if like else f"columns: {', '.join(keys)}"
        raise refusal(name, f"there is no column {column!r}: {hint}", code="column")
    return keys[column]


class Made(NamedTuple, Generic[Row]):
    """A list in its order; ``totals`` is what was summed up over it."""

    rows: Sequence[Row]
    totals: Any
    changes: int
    made_at: float
    took_s: float


class KeptLists(Generic[Row]):
    """The lists that were asked for last, by what was asked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lists: dict[Hashable, Made[Row]] = {}
        self._lock = threading.Lock()
        self._clock = clock

    def get(self, asked: Hashable, changes: int, make: Callable[[], tuple[Sequence[Row], Any]]) -> Made[Row]:
        """The list, made anew where it is too old."""
        with self._lock:
            made, now = self._lists.get(asked), self._clock()
            age_s = float("inf") if made is None else now - made.made_at
            if made is None or (made.changes != changes and age_s >= max(_FRESH_S, _BUSY_SHARE * made.took_s)):
                rows, totals = make()
                made = Made(rows, totals, changes, now, self._clock() - now)
            self._lists.pop(asked, None)
            self._lists[asked] = made
            while len(self._lists) > _MOST_KEPT:
                self._lists.pop(next(iter(self._lists)))
            return made


def in_order(rows: list[Row], key: Key, *, reverse: bool) -> list[Row]:
    """Rows by a key; those without one come last in both directions, equal ones stay in their order."""
    known = [(value, row) for row in rows if (value := key(row)) is not None]
    known.sort(key=lambda each: each[0], reverse=reverse)
    if len(known) == len(rows):
        return [row for _, row in known]
    return [row for _, row in known] + [row for row in rows if key(row) is None]


def refusal(name: str, why: str, status: int = 400, code: str | None = None) -> ApiError:
    """A request that is not answered as asked."""
    return ApiError(name, {"detail": why, "code": code}, status)


def wrong_filter(name: str, error: FilterError) -> ApiError:
    """A filter that cannot be read, with the place in it."""
    problem = {"detail": error.problem, "code": "filter", "position": error.at, "length": error.width}
    return ApiError(name, problem, 400)


def number_of(name: str, parameter: str, value: str | int, least: int, most: int) -> int:
    """A number of a query. Raises ApiError."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise refusal(name, f"{parameter}: {text!r} is no number from {least} to {most}")
    return int(text)
