"""Sorting: by what a column means, and what is not known last."""

import numpy as np
import pytest
from unit.watch.sockets_table import made

from portside.app.sort_order import parse_sort, sorted_rows
from portside.errors import UsageError


@pytest.mark.parametrize(
    ("column", "rows"),
    [
        ("proto", [0, 1, 2, 3, 4, 5]),
        ("recv-q", [3, 4, 5, 2, 0, 1]),
        ("-recv_q", [1, 0, 2, 3, 4, 5]),
        ("send-q", [2, 3, 5, 1, 0, 4]),
        ("-sendq", [1, 2, 3, 5, 0, 4]),
        ("local", [3, 0, 1, 2, 4, 5]),
        ("Foreign Address", [0, 2, 1, 3, 4, 5]),
        ("-peer", [5, 4, 3, 1, 2, 0]),
        ("state", [2, 1, 5, 0, 4, 3]),
        ("pid", [4, 0, 1, 2, 3, 5]),
        ("-pid", [2, 1, 0, 4, 3, 5]),
        ("program", [4, 2, 0, 1, 3, 5]),
        ("inode", [0, 1, 2, 4, 5, 3]),
        ("-uid", [1, 2, 0, 4, 5, 3]),
        ("sport", [3, 4, 5, 0, 1, 2]),
        ("rtt", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_orders(column: str, rows: list[int]) -> None:
    assert sorted_rows(made(), parse_sort(column)).tolist() == rows


def test_nothing_in_order() -> None:
    nothing = made().select(np.zeros(0, "i8"))
    for column in ("proto", "local", "state", "pid", "program", "recv-q", "rtt"):
        assert sorted_rows(nothing, parse_sort(column)).tolist() == []


def test_what_it_takes() -> None:
    assert parse_sort("rtt").needs_details
    assert not parse_sort("uid").needs_details
    assert not parse_sort("local").needs_details
    assert parse_sort("program").needs_owners
    assert not parse_sort("state").needs_owners


@pytest.mark.parametrize("column", ["nosuch", "", "-", "age"])
def test_a_column_that_is_not_there(column: str) -> None:
    with pytest.raises(UsageError, match="there is no column") as caught:
        parse_sort(column)
    assert "columns: proto, recv-q, send-q, local, foreign, state, pid, program" in str(caught.value.hint)
