"""The line that is being typed: whatever is written above it, it is whole and below, and nothing above it is lost."""

from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st
from screen import Screen

from portside.wire.bottom_line import BottomLine
from portside.wire.cells import cell_width, position, split_rows

TEXT = st.text(st.sampled_from("ab \u65e5\u672c\u0301\u00e9"), max_size=25).filter(
    lambda text: not text or cell_width(text[0]) > 0
)
HEIGHT = 30  # more rows than the longest line takes


class Step(NamedTuple):
    output: str
    text: str
    cursor: int


def step(output: str, text: str, cursor: int) -> Step:
    return Step(output, text, min(cursor, len(text)))


OUTPUT = st.lists(TEXT, max_size=3).map(lambda lines: "".join(f"{line}\n" for line in lines))
STEPS = st.lists(st.builds(step, OUTPUT, TEXT, st.integers(0, 25)), max_size=8)
LONG = st.text(st.sampled_from("ab\u65e5"), min_size=1, max_size=200)


def rows_of(text: str, columns: int) -> list[str]:
    """The rows that lines of text take on a screen."""
    rows = []
    for line in text.split("\n"):
        split = split_rows(line, columns)
        rows += [row.rstrip(" ") for row in (split[:-1] if len(split) > 1 and not split[-1] else split)]
    return rows


@given(STEPS, st.integers(2, 12))
@example([Step("", "abcdef", 6), Step("x\n", "abcdef", 6), Step("y\n", "", 0)], 3)
@example([Step("", "\u65e5\u65e5", 2), Step("x\n", "\u65e5\u65e5", 0)], 3)
def test_the_line_is_whole_below_all_output(steps: list[Step], columns: int) -> None:
    screen, line = Screen(columns, HEIGHT), BottomLine()
    line.size = (columns, HEIGHT)
    written = ""
    for output, text, cursor in steps:
        line.wanted = (text, cursor)
        screen.write(line.frame(output.encode()))
        written += output
        assert line.is_drawn is bool(text)
        shown = rows_of(written + text, columns)
        assert "\n".join(screen.lines).rstrip("\n") == "\n".join(shown).rstrip("\n")
        row, column = position(text[:cursor], columns)
        before = len(rows_of(written, columns)) - 1
        assert (screen.row, min(screen.column, columns)) == (before + row, column)


def resized(text: str, columns: int, changed: int) -> tuple[BottomLine, Screen]:
    """A line below a row, as it was drawn for so many columns, on a terminal that has wrapped its rows to others."""
    line, screen = BottomLine(), Screen(changed, HEIGHT)
    line.size = (columns, HEIGHT)
    line.wanted = (text, len(text))
    screen.write(line.frame(b"above\n"))
    return line, screen


@given(TEXT, st.integers(2, 12), st.integers(2, 12))
def test_after_a_resize_the_line_is_drawn_anew(text: str, columns: int, changed: int) -> None:
    line, screen = resized(text, columns, changed)
    line.size = (changed, HEIGHT)
    screen.write(line.frame(b"more\n"))
    assert not_empty(screen.lines) == not_empty(rows_of(f"above\nmore\n{text}", changed))


@given(TEXT, st.integers(2, 12), st.integers(2, 12))
def test_a_resize_that_is_not_known_yet_costs_no_output(text: str, columns: int, changed: int) -> None:
    line, screen = resized(text, columns, changed)
    for _ in range(3):
        screen.write(line.frame(b"x\n"))
    line.wanted = ("", 0)
    screen.write(line.frame(b"y\n"))
    shown = not_empty(screen.lines)
    assert shown[: len(rows_of("above", changed))] == rows_of("above", changed)
    assert [row for row in shown if row in ("x", "y")] == ["x", "x", "x", "y"]
    if changed >= columns:
        assert shown == [*rows_of("above", changed), "x", "x", "x", "y"]


def not_empty(rows: list[str]) -> list[str]:
    return [row for row in rows if row]


@given(LONG, st.integers(0, 200), st.integers(2, 9), st.integers(2, 6))
def test_of_a_long_line_the_rows_around_the_cursor_are_shown(text: str, at: int, columns: int, height: int) -> None:
    cursor = min(at, len(text))
    screen, line = Screen(columns, height), BottomLine()
    line.size = (columns, height)
    line.wanted = (text, cursor)
    screen.write(line.frame(b"above\n"))
    assert screen.lines[0] == "above"[:columns]
    for _ in range(3):
        screen.write(line.frame(b"x\n"))
    row, _ = position(text[:cursor], columns)
    rows = split_rows(text, columns)
    assert len(screen.rows) - screen.height <= screen.row < len(screen.rows)
    if row < len(rows) and rows[row]:
        assert screen.lines[screen.row] == rows[row]
    line.wanted = ("", 0)
    screen.write(line.frame(b"end\n"))
    assert "".join(screen.lines).endswith("".join(rows_of("x\nx\nx\nend", columns)))
