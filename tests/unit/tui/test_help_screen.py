"""The help of the live display."""

from portside.tui.screens import HELP


def test_the_help_fits_a_terminal_of_80x24() -> None:
    lines = HELP.split("\n")
    assert len(lines) <= 22  # a title and a line of keys stand around it
    assert max(map(len, lines)) <= 78
