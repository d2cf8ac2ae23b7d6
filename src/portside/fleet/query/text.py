"""Tables of a fleet on standard output: cells that nothing of the fleet can break, and a screen that is drawn anew."""

import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from portside.app.cell_text import UNKNOWN, seconds_text, size_text
from portside.app.stdout import terminal_width, write_stdout
from portside.app.table_folding import cut_text, terminal_lines
from portside.app.table_layout import Layout, table_lines
from portside.fleet.query.run import ReaderGoneError
from portside.json_text import encode_json
from portside.wire.escaping import escape_name

MOST_CELL = 60
"""The most characters that a cell takes: a name in a message may have any length."""

_HOME, _CLEAR_LINE, _CLEAR_BELOW, _CLEAR = b"\x1b[H", b"\x1b[K", b"\x1b[J", b"\x1b[2J"


def name_cell(name: str | None, most: int = MOST_CELL) -> str:
    """A name that a machine or a program has given itself, escaped and cut."""
    if name is None or name == "":
        return UNKNOWN
    return cut_text(escape_name(name[: 4 * most].encode("utf-8", "surrogateescape")), most)


def number_cell(value: float | None) -> str:
    """A count, ``-`` where it is not known."""
    return UNKNOWN if value is None else str(value)[:20]


def size_cell(value: int | None) -> str:
    """Bytes as ``64k``."""
    return UNKNOWN if value is None else size_text(value)[:20]


def seconds_cell(value: float | None) -> str:
    """A time as ``0.3s``, ``61s`` or ``2h05``, with its sign; ``-`` where it is not known or no number."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if abs(value) < 10:
        return f"{value:.1f}s"
    return ("-" if value < 0 else "") + seconds_text(min(abs(value), 1e12))


def load_cell(value: float | None) -> str:
    """A load average."""
    return UNKNOWN if value is None or not math.isfinite(value) else f"{min(value, 1e6):.2f}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> Iterator[bytes]:
    """A table, folded where the terminal is too narrow; a heading that begins with ``>`` is of numbers."""
    columns = [
        (Layout(heading.removeprefix(">"), 0 if heading.startswith(">") else -1), [row[index] for row in rows])
        for index, heading in enumerate(headings)
    ]
    return table_lines(columns, None) if width is None else terminal_lines(columns, None, width)


class Screen:
    """A table that is shown again and again: on a terminal in its place, elsewhere as JSON of the changed rows."""

    def __init__(self, *, json: bool) -> None:
        self.json = json or not sys.stdout.isatty()
        self._shown: dict[bytes, bytes] = {}
        self._drawn = False

    @property
    def width(self) -> int | None:
        """The width of the terminal."""
        return terminal_width()

    def draw(self, pieces: Iterable[bytes], below: Sequence[str] = ()) -> None:
        """Draw a table in place of the one before. Raises ReaderGoneError."""
        lines = b"".join(pieces).splitlines()
        columns, height = _terminal_size()
        room = max(3, height - 1 - len(below))
        if len(lines) > room:
            lines = [*lines[: room - 1], f"… and {len(lines) - room + 1} more lines".encode()]
        lines += [cut_text(each, columns).encode() for each in below]
        start = b"" if self._drawn else _CLEAR
        self._drawn = True
        write(_HOME + start + b"".join(line + _CLEAR_LINE + b"\n" for line in lines) + _CLEAR_BELOW)

    def write_changes(self, rows: Iterable[tuple[object, object, object]]) -> None:
        """Write JSON of the rows that are new or not as they were, and of those that have gone.

        A row is what names it, what of it counts as a change, and all of it. Raises ReaderGoneError.
        """
        now: dict[bytes, bytes] = {}
        lines: list[bytes] = []
        for key, signature, whole in rows:
            named, what = encode_json(key), encode_json(signature)
            now[named] = what
            if self._shown.get(named) != what:
                lines.append(encode_json(whole))
        lines += [named[:-1] + b',"gone":true}' for named in self._shown if named not in now]
        self._shown = now
        write(b"".join(line + b"\n" for line in lines))


def write(data: bytes) -> None:
    """Write to standard output. Raises ReaderGoneError."""
    if data and not write_stdout([data]):
        raise ReaderGoneError


def write_json(values: Iterable[object]) -> None:
    """Write each value as JSON on a line of its own. Raises ReaderGoneError."""
    if not write_stdout(encode_json(value) + b"\n" for value in values):
        raise ReaderGoneError


def write_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to standard output. Raises ReaderGoneError."""
    if not write_stdout(table(headings, rows, terminal_width())):
        raise ReaderGoneError


def labelled(name: Mapping[str, object], value: object) -> dict[str, object]:
    """A value's own fields after those that name where it is from, which stay as they are."""
    import msgspec

    fields = msgspec.to_builtins(value)
    return {**name, **{key: each for key, each in fields.items() if key not in name}}


def clock(seconds: float) -> str:
    """The local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _terminal_size() -> tuple[int, int]:
    try:
        size = os.get_terminal_size(1)
    except OSError:
        return 80, 24
    return size.columns or 80, size.lines or 24
