"""The window of rows that a table holds."""

from typing import Any

from portside.tui.console.row_window import MOST_ROWS, RowRange, RowWindow


def window(offset: int, count: int, total: int) -> RowWindow:
    made = RowWindow(lambda row: row["conn"])
    made.put(offset, {"items": [{"conn": offset + number} for number in range(count)], "total": total, "totals": None})
    return made


def test_rows_are_found_by_their_place_and_their_key() -> None:
    held = window(100, 50, 20_000)
    assert held.row(99) is held.row(150) is None
    row: Any = held.row(120)
    assert row["conn"] == 120
    assert held.place_of(120) == 120
    assert held.place_of(99) is None


def test_rows_that_are_seen_and_not_held_are_noticed() -> None:
    held = window(100, 50, 20_000)
    assert not held.lacks(100, 20)
    assert not held.lacks(130, 20)
    assert held.lacks(99, 20)
    assert held.lacks(131, 20)
    assert not window(0, 3, 3).lacks(0, 20)
    assert not window(0, 0, 0).lacks(0, 20)


def test_a_screenful_more_is_asked_for_on_each_side() -> None:
    assert RowWindow.wanted(1000, 40) == RowRange(960, 120)
    assert RowWindow.wanted(0, 40) == RowRange(0, 80)
    assert RowWindow.wanted(0, 2).limit == 50
    assert RowWindow.wanted(5000, 900).limit == MOST_ROWS
