"""The table of sockets as text: netstat's columns, and with ``wide`` what ``ss -tinmoe`` adds.

The text is made a column at a time; one format string then makes each row. Addresses are never cut, so an address
column is as wide as its longest address. Programs come last, because a socket may have any number of them.
"""

from collections.abc import Iterator
from itertools import islice

from portside.app.column_text import Texts, WatchedSockets
from portside.app.watch_columns import PROGRAM, Column, table_columns
from portside.kernel.table import SocketTable

_BATCH = 4096


def table_text(table: SocketTable, *, owners: bool = True, wide: bool = False, drops: bool = False) -> Iterator[bytes]:
    """The table with its header, in pieces of many rows.

    ``owners`` adds the programs; ``drops`` adds how many connections each listener dropped because its queue was full.
    """
    sockets = WatchedSockets(table)
    columns = [(column, column.texts(sockets)) for column in table_columns(owners=owners, wide=wide, drops=drops)]
    row = (" ".join(_template(column, texts) for column, texts in columns) + "\n").__mod__
    header = row(tuple(column.heading for column, _ in columns))
    yield (header if owners else header.rstrip() + "\n").encode()
    lines = zip(*(texts for _, texts in columns), strict=True)
    rows: Iterator[str] = map(row, lines)
    if not owners:
        rows = (text.rstrip() + "\n" for text in rows)
    while piece := "".join(islice(rows, _BATCH)):
        yield piece.encode()


def _template(column: Column, texts: Texts) -> str:
    """The format of a cell, as wide as the longest text: aligned right, or left where the width is negative."""
    if column is PROGRAM:
        return "%s"
    needed = max(len(column.heading), max(map(len, texts), default=0))
    return f"%{min(column.table_width, -needed) if column.table_width < 0 else max(column.table_width, needed)}s"
