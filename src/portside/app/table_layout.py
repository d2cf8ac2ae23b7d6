"""The layout of the table as text: netstat's columns, and lines of aligned cells.

One format string makes each row. Addresses are never cut, so an address column is as wide as its longest address.
Programs come last, because a socket may have any number of them.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

_BATCH = 4096


class Layout(NamedTuple):
    """The heading of a column and its minimum width, negative for text that is aligned left."""

    heading: str
    width: int


PROTO = Layout("Proto", -5)
RECV_Q = Layout("Recv-Q", 6)
SEND_Q = Layout("Send-Q", 6)
LOCAL = Layout("Local Address", -20)
REMOTE = Layout("Foreign Address", -20)
STATE = Layout("State", -11)
PROGRAMS = "PID/Program"
COMMAND = "Command"
_PROGRAMS_WIDTH = 24  # where a column follows: a socket may have any number of programs, and they need not push it away

Columns = Sequence[tuple[Layout, Sequence[str]]]


def table_lines(
    columns: Columns, programs: Sequence[str] | None, commands: Sequence[str] | None = None
) -> Iterator[bytes]:
    """The table with its header, in pieces of many rows: each column, the programs, and with those their commands."""
    formats = [cell_format(layout, texts) for layout, texts in columns]
    if programs is None:
        return _lines(columns, formats, "", [""] * len(columns[0][1]))
    if commands is None:
        return _lines(columns, formats, PROGRAMS, programs)
    width = min(max((len(PROGRAMS), *map(len, programs))), _PROGRAMS_WIDTH)
    return _lines([*columns, (Layout(PROGRAMS, -width), programs)], [*formats, f"%{-width}s"], COMMAND, commands)


def _lines(columns: Columns, formats: Sequence[str], heading: str, last: Sequence[str]) -> Iterator[bytes]:
    """The lines of a table; its last column is not aligned, and may have no heading where it is empty."""
    row = (" ".join(formats) + " %s\n").__mod__
    header = row((*(layout.heading for layout, _ in columns), heading))
    rows: Iterator[str] = map(row, zip(*(texts for _, texts in columns), last, strict=True))
    if not heading:
        header = header.rstrip() + "\n"
        rows = (line.rstrip() + "\n" for line in rows)
    yield header.encode()
    while piece := "".join(islice(rows, _BATCH)):
        yield piece.encode()


def cell_format(layout: Layout, texts: Sequence[str], *, narrow: bool = False) -> str:
    """The format of a cell: see ``cell_width``; aligned right, or left where the layout's width is negative."""
    width = cell_width(layout, texts, narrow=narrow)
    return f"%{-width if layout.width < 0 else width}s"


def cell_width(layout: Layout, texts: Sequence[str], *, narrow: bool = False) -> int:
    """The width of a column: that of its longest text, and at least its layout's, or with ``narrow`` its heading's."""
    return max(len(layout.heading), 0 if narrow else abs(layout.width), max(map(len, texts), default=0))
