"""A line of text that stays below everything else that is written on a terminal.

Each piece of output becomes one frame: the line is erased, the output written, the line drawn again below it. Where the
line stands is calculated, never asked for, so all that is written on the terminal has to come through here, in the
order in which it is written. Of a line longer than the screen only the rows around the cursor are drawn.

The line is divided into rows here, not by the terminal. When a window is made wider, most terminals put rows together
that they have divided themselves, and the program learns of that later: its next frame would erase output above the
line. Rows that were written as such stay. When a window is made narrower, such a frame leaves old rows of the line
behind, but erases no output.
"""

from typing import Final, NamedTuple

from portside.wire.cells import cell_width, position, split_rows

DEFAULT_SIZE: Final = (80, 24)  # columns and rows of a terminal that does not know its own
_LEAST_COLUMNS: Final = 2  # a wide character fits


class _Drawing(NamedTuple):
    """The part of the line that is on the terminal: its rows, if there are any, and where the cursor stands."""

    rows: tuple[str, ...] = ()
    cursor_row: int = 0
    before_cursor: str = ""  # in its row
    columns: int = DEFAULT_SIZE[0]  # of the terminal


class BottomLine:
    """The line, and what is on the terminal of it.

    ``wanted`` (printable text, and the index of the cursor in it), ``size`` (columns and rows) and ``hidden`` may be
    set by any thread at any time: the next frame goes by them. Frames are made by one thread at a time.
    """

    def __init__(self) -> None:
        self.wanted = ("", 0)
        self.size = DEFAULT_SIZE
        self.hidden = False
        self._drawn = _Drawing()
        self._row_unfinished = False  # the last output did not end its row

    @property
    def is_drawn(self) -> bool:
        """Whether there is something of it on the terminal."""
        return bool(self._drawn.rows)

    def frame(self, output: bytes) -> bytes:
        """The bytes that put this output above the line; nothing if there is no output and the line is as drawn."""
        columns = max(_LEAST_COLUMNS, self.size[0])
        text, cursor = ("", 0) if self.hidden else self.wanted
        drawing = _divide(text, cursor, columns, max(1, self.size[1] - 1))
        if not output and drawing == self._drawn:
            return b""
        frame = _erasure(self._drawn, columns) + output
        if output:
            self._row_unfinished = not output.endswith(b"\n")
        self._drawn = drawing
        if not drawing.rows:
            return frame
        if self._row_unfinished:
            self._row_unfinished = False
            frame += b"\r\n"
        return frame + _draw(drawing)


def _divide(text: str, cursor: int, columns: int, most_rows: int) -> _Drawing:
    """The rows of a text: as many as fit, with the cursor in one of them."""
    if not text:
        return _Drawing()
    rows = split_rows(text, columns)
    cursor_row, _ = position(text[:cursor], columns)
    before = text[sum(map(len, rows[:cursor_row])) : cursor]
    if len(rows) > most_rows:
        top = max(0, cursor_row - most_rows + 1)
        rows, cursor_row = rows[top : top + most_rows], cursor_row - top
    return _Drawing(tuple(rows), cursor_row, before, columns)


def _draw(drawing: _Drawing) -> bytes:
    """Draw rows from the first column on, and put the cursor into them."""
    rows, cursor_row, before, _ = drawing
    data = "\r\n".join(rows).encode()
    if (cursor_row, before) == (len(rows) - 1, rows[-1]):
        return data
    column = sum(map(cell_width, before))
    return data + _up(len(rows) - 1 - cursor_row) + b"\r" + (b"\x1b[%dC" % column if column else b"")


def _erasure(drawing: _Drawing, columns: int) -> bytes:
    """Erase what was drawn, with the cursor left where it began.

    After a change of size it stands as a terminal leaves it that wraps the rows which have become too long.
    """
    if not drawing.rows:
        return b""
    up = drawing.cursor_row
    if columns < drawing.columns:
        up = sum(_wrapped(row, columns) for row in drawing.rows[:up]) + _wrapped(drawing.before_cursor, columns) - 1
    return _up(up) + b"\r\x1b[J"


def _wrapped(row: str, columns: int) -> int:
    """The rows that a row takes now."""
    count = len(split_rows(row, columns))
    return count - 1 if count > 1 and not position(row, columns)[1] else count


def _up(rows: int) -> bytes:
    return b"\x1b[%dA" % rows if rows else b""
