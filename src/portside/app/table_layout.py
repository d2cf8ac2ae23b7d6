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


def table_lines(columns: Sequence[tuple[Layout, Sequence[str]]], programs: Sequence[str] | None) -> Iterator[bytes]:
    """The table with its header, in pieces of many rows: a layout and the texts of each column, and the programs."""
    row = (" ".join(_cell(layout, texts) for layout, texts in columns) + " %s\n").__mod__
    headings = [layout.heading for layout, _ in columns]
    texts = [texts for _, texts in columns]
    rows: Iterator[str]
    if programs is None:
        yield (row((*headings, "")).rstrip() + "\n").encode()
        rows = (line.rstrip() + "\n" for line in map(row, zip(*texts, [""] * len(texts[0]), strict=True)))
    else:
        yield row((*headings, PROGRAMS)).encode()
        rows = map(row, zip(*texts, programs, strict=True))
    while piece := "".join(islice(rows, _BATCH)):
        yield piece.encode()


def _cell(layout: Layout, texts: Sequence[str]) -> str:
    """The format of a cell, as wide as the longest text: aligned right, or left where the width is negative."""
    needed = max(len(layout.heading), max(map(len, texts), default=0))
    return f"%{min(layout.width, -needed) if layout.width < 0 else max(layout.width, needed)}s"
