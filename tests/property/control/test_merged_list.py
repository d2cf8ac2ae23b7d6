"""A page of the merged list of several servers, out of a few rows of each."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from portside.control.client.merging import Window, merge, piece

Item = dict[str, Any]


def lists(values: list[list[int | None]], sort: str) -> list[list[Item]]:
    """The list of each server, in its order."""
    return [
        merge([{"server": server, "conn": conn, "received": value} for conn, value in enumerate(each, 1)], sort)
        for server, each in enumerate(values)
    ]


sorts = st.sampled_from(["received", "-received", "conn", "-conn"])
some = st.lists(st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=12), min_size=1, max_size=4)


@given(some, sorts, st.data())
def test_a_piece_is_that_of_the_whole_list(values: list[list[int | None]], sort: str, data: st.DataObject) -> None:
    each = lists(values, sort)
    whole = merge([dict(item) for items in each for item in items], sort)
    offset = data.draw(st.integers(0, len(whole) + 2))
    limit = data.draw(st.integers(0, 8))
    windows = []
    for items in each:
        start = data.draw(st.integers(0, len(items)))
        windows.append(Window(start, items[start : data.draw(st.integers(start, len(items)))], len(items)))
    found = piece(windows, sort, offset, limit)
    if found is not None:
        assert found == whole[offset : offset + limit]


@given(some, sorts, st.integers(0, 50), st.integers(0, 8))
def test_whole_lists_tell_every_piece(values: list[list[int | None]], sort: str, offset: int, limit: int) -> None:
    each = lists(values, sort)
    windows = [Window(0, items, len(items)) for items in each]
    whole = merge([dict(item) for items in each for item in items], sort)
    assert piece(windows, sort, offset, limit) == whole[offset : offset + limit]


@given(st.lists(st.lists(st.integers(0, 1000), min_size=40, max_size=60), min_size=2, max_size=4), sorts)
def test_rows_around_the_place_are_enough(values: list[list[int | None]], sort: str) -> None:
    """The windows that hold the page, and a row on either side of it, tell it."""
    each = lists(values, sort)
    whole = merge([dict(item) for items in each for item in items], sort)
    page = whole[30:40]
    windows = []
    for items in each:
        places = [at for at, item in enumerate(items) if item in page]
        before = sum(whole.index(item) < 30 for item in items)
        start = max(0, before - 1)
        windows.append(Window(start, items[start : before + len(places) + 1], len(items)))
    assert piece(windows, sort, 30, 10) == page
