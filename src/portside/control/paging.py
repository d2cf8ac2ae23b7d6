"""Sorted pages of a table: the order of the rows, and the cursor that says where the next page begins.

1. Rows are ordered by keys, unknown ones last in either direction, and rows with equal keys by a number that no other
   row has (``ties``), in ascending order. So the order is total, and the same each time.
2. A cursor holds the keys of the last row of a page, not its place. Rows that come and go meanwhile move nothing: as
   long as the keys of a row stay as they are, it is shown once. A row whose keys change may be shown again, or never.
3. An offset is for a table that can be scrolled anywhere: rows that come and go meanwhile move the others.
4. Ages grow while somebody turns the pages. So a cursor has the time of the first page too, and the ages of the further
   ones are those of that time.
"""

import base64
import binascii
import math
from bisect import bisect_left
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from portside.kernel.table import Mask

Ints = npt.NDArray[np.int64]


class CursorError(ValueError):
    """A cursor that is none, or one of another order."""


class PageKeys(NamedTuple):
    """Keys of rows, the most significant first, and where a row has them.

    ``words``: the one key is a place in these, which are in ascending order; a cursor then has the word.
    """

    values: list[npt.NDArray[Any]]
    known: Mask
    words: list[str] | None = None


class RowOrder(NamedTuple):
    """An order by name, as it was asked for, with the keys of all rows and what tells rows apart that are equal."""

    name: str
    keys: PageKeys
    ties: npt.NDArray[Any]
    reverse: bool = False
    at: float = 0.0  # the time of the first page


class RowsPage(NamedTuple):
    """Places of rows, in order, and the cursor of the next page; None where this is the last."""

    rows: Ints
    after: str | None


class _Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    order: str
    at: float
    known: bool
    values: list[int | float | str]
    tie: int


def word_keys(texts: list[str | None]) -> PageKeys:
    """Keys of a column of text."""
    words = sorted({text for text in texts if text is not None})
    ranks = {word: rank for rank, word in enumerate(words)}
    values = np.array([-1.0 if text is None else ranks[text] for text in texts], "f8")
    return PageKeys([values], values >= 0, words)


def page_of(which: Mask, order: RowOrder, limit: int, after: str | None, offset: int = 0) -> RowsPage:
    """The ``limit`` rows of a mask that come after a cursor, and after ``offset`` rows more. Raises CursorError."""
    rows = np.flatnonzero(which)
    keys = order.keys
    known = keys.known[rows]
    values = [np.where(known, each[rows], 0) for each in keys.values]
    ascending = [~known, *(map(_turned, values) if order.reverse else values), order.ties[rows]]
    if after is not None:
        later = _after(ascending, _read_cursor(after, order), reverse=order.reverse)
        rows, ascending = rows[later], [each[later] for each in ascending]
    in_order = np.lexsort(ascending[::-1])
    end = offset + limit
    shown = rows[in_order[offset:end]]
    return RowsPage(shown, _cursor(order, int(shown[-1])) if len(in_order) > end else None)


def _turned(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values whose ascending order is the descending one of those given."""
    turned: npt.NDArray[Any] = -values if values.dtype.kind == "f" else ~values
    return turned


def _after(ascending: list[npt.NDArray[Any]], cursor: list[Any], *, reverse: bool) -> Mask:
    unknown, *values, ties = ascending
    later = np.zeros(len(ties), bool)
    equal = np.ones(len(ties), bool)
    is_unknown, *wanted, tie = cursor
    try:
        for number, (have, want) in enumerate(zip((unknown, *values, ties), (is_unknown, *wanted, tie), strict=True)):
            limit = np.array(want, have.dtype)
            if reverse and 0 < number <= len(values):
                limit = _turned(limit)
            later |= equal & (have > limit)
            equal &= have == limit
    except (OverflowError, ValueError, TypeError) as error:
        raise CursorError(str(error)) from None
    return later


def _cursor(order: RowOrder, row: int) -> str:
    known = bool(order.keys.known[row])
    values: list[Any] = [each[row].item() if known else 0 for each in order.keys.values]
    if order.keys.words is not None and known:
        values = [order.keys.words[int(values[0])]]
    cursor = _Cursor(_signed(order), order.at, known, values, order.ties[row].item())
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode().rstrip("=")


def _read_cursor(text: str, order: RowOrder) -> list[Any]:
    """The keys that a cursor holds, in the form of ``page_of``."""
    cursor = _decode(text)
    if cursor.order != _signed(order):
        raise CursorError(f"it belongs to the order {cursor.order!r}")
    values: list[Any] = list(cursor.values)
    words = order.keys.words
    if words is not None and cursor.known:
        values = [_place(words, values[0])] if len(values) == 1 and isinstance(values[0], str) else [None]
    if any(isinstance(each, str) or each is None or not math.isfinite(each) for each in values):
        raise CursorError("it has no such values")
    return [not cursor.known, *values, cursor.tie]


def first_page_time(after: str) -> float:
    """The time of the first page, which a cursor holds. Raises CursorError."""
    at = _decode(after).at
    if not math.isfinite(at):
        raise CursorError("it has no such time")
    return at


def _decode(text: str) -> _Cursor:
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        return msgspec.msgpack.decode(packed, type=_Cursor)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise CursorError(f"it is none of ours: {error}") from None


def _place(words: list[str], word: str) -> float:
    """The place of a word; between two where the word is there no more."""
    at = bisect_left(words, word)
    return float(at) if at < len(words) and words[at] == word else at - 0.5


def _signed(order: RowOrder) -> str:
    return f"-{order.name}" if order.reverse else order.name
