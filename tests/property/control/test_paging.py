"""Pages that follow each other: every row once, in the order of the keys."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.control.paging import CursorError, PageKeys, RowOrder, first_page_time, page_of, word_keys

NUMBERS = st.none() | st.integers(-3, 3).map(float)
WORDS = st.none() | st.sampled_from(["", "a", "b", "B", "ü"])


def all_pages(which: Any, order: RowOrder, limit: int) -> list[int]:
    shown: list[int] = []
    after = None
    while True:
        page = page_of(which, order, limit, after)
        assert len(page.rows) <= limit
        shown += page.rows.tolist()
        after = page.after
        if after is None:
            return shown
        assert first_page_time(after) == order.at


def in_order(keys: list[Any], ties: list[int], which: list[bool], *, reverse: bool) -> list[int]:
    rows = sorted((row for row in range(len(keys)) if which[row]), key=ties.__getitem__)
    known = sorted((row for row in rows if keys[row] is not None), key=keys.__getitem__)
    if reverse:
        known = sorted(known, key=keys.__getitem__, reverse=True)  # stable: equal ones stay in the order of their ties
    return known + [row for row in rows if keys[row] is None]


ROWS = st.lists(st.tuples(NUMBERS, WORDS, st.booleans()), max_size=30)


@given(ROWS, st.integers(1, 7), st.booleans(), st.randoms(use_true_random=False))
def test_no_row_is_shown_twice_or_left_out(rows: list[Any], limit: int, reverse: bool, random: Any) -> None:
    ties = list(range(100, 100 + len(rows)))
    random.shuffle(ties)
    numbers, words, which = ([row[index] for row in rows] for index in range(3))
    keys = PageKeys(
        [np.array([-1.0 if each is None else each for each in numbers], "f8")],
        np.array([each is not None for each in numbers], bool),
    )
    mask, tie_array = np.array(which, bool), np.array(ties, "i8")
    by_number = RowOrder("number", keys, tie_array, reverse, 12.5)
    assert all_pages(mask, by_number, limit) == in_order(numbers, ties, which, reverse=reverse)
    by_word = RowOrder("word", word_keys(words), tie_array, reverse)
    assert all_pages(mask, by_word, limit) == in_order(words, ties, which, reverse=reverse)


@given(ROWS, st.integers(0, 35), st.integers(1, 7))
def test_an_offset_leaves_out_rows_from_the_beginning(rows: list[Any], offset: int, limit: int) -> None:
    order = RowOrder("word", word_keys([row[1] for row in rows]), np.arange(len(rows)))
    which = np.array([row[2] for row in rows], bool)
    whole = all_pages(which, order, limit)
    page = page_of(which, order, limit, None, offset)
    assert page.rows.tolist() == whole[offset : offset + limit]
    if page.after is not None:
        assert page_of(which, order, len(rows), page.after).rows.tolist() == whole[offset + limit :]
    assert (page.after is None) == (offset + limit >= len(whole))


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, (1 << 64) - 1)), min_size=1, max_size=20), st.booleans())
def test_keys_of_several_numbers(rows: list[tuple[int, int]], reverse: bool) -> None:
    family, address = np.array([row[0] for row in rows], "u1"), np.array([row[1] for row in rows], "u8")
    keys = PageKeys([family, address], np.ones(len(rows), bool))
    order = RowOrder("peer", keys, np.arange(len(rows)), reverse)
    ties = list(range(len(rows)))
    assert all_pages(np.ones(len(rows), bool), order, 3) == in_order(rows, ties, [True] * len(rows), reverse=reverse)


def test_rows_that_come_and_go_between_two_pages_move_nothing() -> None:
    words = ["a", "b", "c", "d", "e"]
    order = RowOrder("word", word_keys(list(words)), np.arange(5))
    first = page_of(np.ones(5, bool), order, 2, None)
    assert first.rows.tolist() == [0, 1]
    # The last row of the page has gone, and two have come: one before it, one after it.
    later: list[str | None] = ["a", "aa", "bb", "c", "d", "e"]
    changed = RowOrder("word", word_keys(later), np.arange(6))
    assert page_of(np.ones(6, bool), changed, 9, first.after).rows.tolist() == [2, 3, 4, 5]


@given(
    st.text(max_size=40)
    | st.binary(max_size=30).map(lambda data: __import__("base64").urlsafe_b64encode(data).decode())
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    order = RowOrder("conn", PageKeys([np.arange(3.0)], np.ones(3, bool)), np.arange(3))
    with pytest.raises(CursorError):
        page_of(np.ones(3, bool), order, 2, text)


def test_a_cursor_of_another_order_is_refused() -> None:
    keys = PageKeys([np.arange(3.0)], np.ones(3, bool))
    after = page_of(np.ones(3, bool), RowOrder("conn", keys, np.arange(3)), 1, None).after
    with pytest.raises(CursorError, match="order 'conn'"):
        page_of(np.ones(3, bool), RowOrder("conn", keys, np.arange(3), reverse=True), 1, after)
    with pytest.raises(CursorError, match="no such values"):
        page_of(np.ones(3, bool), RowOrder("conn", word_keys(["a", "b", "c"]), np.arange(3)), 1, after)
