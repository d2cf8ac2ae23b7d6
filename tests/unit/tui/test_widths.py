"""Room for columns, and text cut to it."""

import pytest
from rich.cells import cell_len

from portside.tui.widths import EXTRA, WidthRequest, cut, cut_middle, fit


@pytest.mark.parametrize(
    ("text", "width", "right", "expected"),
    [
        ("abc", 5, False, "abc  "),
        ("abc", 5, True, "  abc"),
        ("abcdef", 4, False, "abc…"),
        ("abcdef", 4, True, "abc…"),
        ("abcdef", 0, False, ""),
        ("日本語", 5, False, "日本…"),
        ("日本語", 4, False, "日 …"),
    ],
)
def test_cut(text: str, width: int, right: bool, expected: str) -> None:
    assert cut(text, width, right=right) == expected


@pytest.mark.parametrize(
    ("address", "width", "expected"),
    [
        ("10.0.0.1:80", 13, "10.0.0.1:80  "),
        ("192.168.100.200:65535", 15, "192.168.…:65535"),
        ("192.168.100.200:65535", 9, "19…:65535"),
        ("[2001:db8:1:2:3:4:5:6]:443", 20, "[2001:db8:1:2:3…:443"),
        ("10.0.0.1:65535", 3, "10…"),
    ],
)
def test_an_address_is_cut_in_its_middle(address: str, width: int, expected: str) -> None:
    assert cut_middle(address, width) == expected
    assert cell_len(expected) == width


NEEDS = [WidthRequest(5, 5, 2, 0), WidthRequest(10, 20, 1, 1), WidthRequest(10, 30, 0, 1), WidthRequest(5, 9, EXTRA, 2)]


@pytest.mark.parametrize(
    ("width", "widths"),
    [
        (100, [5, 20, 30, 9]),
        (67, [5, 20, 30, 9]),
        (66, [5, 20, 30, 0]),  # what is extra takes no room from the others
        (50, [5, 20, 23, 0]),
        (30, [5, 12, 11, 0]),
        (27, [5, 10, 10, 0]),
        (26, [0, 13, 12, 0]),
        (20, [0, 0, 20, 0]),
        (4, [0, 0, 4, 0]),
    ],
)
def test_fit(width: int, widths: list[int]) -> None:
    assert fit(NEEDS, width) == widths
