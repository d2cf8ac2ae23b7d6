"""The table of sockets as text: netstat's columns, and with ``wide`` what ``ss -tinmoe`` adds, a column at a time."""

from collections.abc import Iterator

from portside.app.column_text import WatchedSockets
from portside.app.table_layout import Layout, table_lines
from portside.app.watch_columns import PROGRAM, table_columns
from portside.kernel.table import SocketTable


def table_text(table: SocketTable, *, owners: bool = True, wide: bool = False, drops: bool = False) -> Iterator[bytes]:
    """The table with its header, in pieces of many rows.

    ``owners`` adds the programs; ``drops`` adds how many connections each listener dropped because its queue was full.
    """
    sockets = WatchedSockets(table)
    columns = [
        (Layout(column.heading, column.table_width), column.texts(sockets))
        for column in table_columns(wide=wide, drops=drops)
    ]
    return table_lines(columns, PROGRAM.texts(sockets) if owners else None)
