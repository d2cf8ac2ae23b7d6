"""The flight recorder's memory beside a plain list of all samples."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from portside.control.history import SPAN_S, TIERS, History

ROW = np.dtype([("value", "u8")])
ROOM = 1 << 20


def add(history: History, second: int, values: dict[int, int]) -> None:
    rows = np.zeros(len(values), ROW)
    rows["value"] = [values[number] for number in sorted(values)]
    history.add(second, np.array(sorted(values), "i8"), rows)


def shown(history: History, number: int, now_s: int, since_s: int = -1) -> list[tuple[int, int]]:
    return [(second, int(row["value"])) for second, row in history.rows(number, now_s, since_s)]


@given(
    st.lists(st.dictionaries(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=400),
    st.integers(1000, 1014),
    st.integers(0, 400),
)
def test_what_is_shown_was_sampled_and_the_last_minute_is_whole(
    samples: list[dict[int, int]], start: int, ago: int
) -> None:
    history = History(ROW, ROOM)
    for second, values in enumerate(samples, start):
        add(history, second, values)
    now_s = start + len(samples) - 1
    for number in range(4):
        every = [(start + at, values[number]) for at, values in enumerate(samples) if number in values]
        rows = shown(history, number, now_s, now_s - ago)
        assert set(rows) <= set(every)
        assert rows == sorted(rows)
        assert [row for row in rows if row[0] >= now_s - TIERS[0].span_s] == [
            row for row in every if row[0] >= now_s - TIERS[0].span_s and row[0] > now_s - ago
        ]


def test_rows_are_thinned_with_age() -> None:
    history = History(ROW, ROOM)
    for second in range(2000):
        add(history, second, {7: second, 8: 1})
    for number, value in ((7, None), (8, 1)):
        rows = shown(history, number, 1999)
        assert all(each == (second if value is None else value) for second, each in rows)
        seconds = [second for second, _ in rows]
        assert [each for each in seconds if each >= 1939] == list(range(1939, 2000))
        assert [each for each in seconds if 1699 <= each < 1939] == list(range(1700, 1939, 5))
        assert [each for each in seconds if each < 1699] == list(range(1110, 1699, 15))
        assert seconds[0] >= 1999 - SPAN_S


def test_an_idle_thing_takes_one_row_however_long() -> None:
    history = History(ROW, ROOM)
    for second in range(500):
        add(history, second, dict.fromkeys(range(1000), 5))
    for tier in history._tiers:
        assert tier._written == 0
        assert len(tier._going_on.numbers) == 1000
    assert len(shown(history, 3, 499)) == 61 + 48 + 14


def test_when_everything_changes_rows_are_sampled_less_often_and_the_span_stays() -> None:
    most = 4000 * (ROW.itemsize + 24)
    history = History(ROW, most)
    for second in range(3000):
        add(history, second, dict.fromkeys(range(100), second))
    kept = sum(each.nbytes for tier in history._tiers for each in tier._ended)
    assert kept <= most
    seconds = [second for second, _ in shown(history, 42, 2999)]
    assert all(value == second for second, value in shown(history, 42, 2999))
    assert [second for second in seconds if second >= 2940] == list(range(2940, 3000, 3))
    assert [second for second in seconds if 2699 < second < 2940] == list(range(2700, 2940, 30))
    assert [second for second in seconds if second <= 2699] == list(range(2160, 2700, 90))


def test_after_a_pause_nothing_is_made_up_in_between() -> None:
    history = History(ROW, ROOM)
    for second in (*range(100, 110), *range(150, 160)):
        add(history, second, {1: 3})
    seconds = [second for second, _ in shown(history, 1, 159)]
    assert seconds == [*range(100, 110), *range(150, 160)]


def test_what_has_gone_is_kept_until_it_is_too_old() -> None:
    history = History(ROW, ROOM)
    for second in range(10):
        add(history, second, {1: second, 2: 0})
    for second in range(10, 20):
        add(history, second, {2: 0})
    assert [second for second, _ in shown(history, 1, 19)] == list(range(10))
    assert shown(history, 1, 19 + SPAN_S) == []
    assert shown(history, 99, 19) == []


def test_a_number_that_is_unknown_is_no_row() -> None:
    empty: Any = History(ROW, ROOM)
    assert shown(empty, 1, 100) == []
