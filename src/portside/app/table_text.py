"""The table of sockets as text: netstat's columns, and with ``wide`` what ``ss -tinmoe`` adds, a column at a time."""

from collections.abc import Iterator

from portside.app.column_text import Texts, WatchedSockets
from portside.app.table_layout import Layout, table_lines
from portside.app.watch_columns import PROGRAM, table_columns
from portside.kernel.table import SocketTable


class TableText:
    """The text of one table, which may be prepared as far as it is known before the programs are.

    ``owners`` adds the programs; ``drops`` adds how many connections each listener dropped because its queue was full.
    """

    def __init__(self, *, owners: bool = True, wide: bool = False, drops: bool = False) -> None:
        self._owners = owners
        self._columns = table_columns(wide=wide, drops=drops)
        self._prepared: list[tuple[Layout, Texts]] | None = None

    def prepare(self, table: SocketTable) -> None:
        """Write all columns but the programs."""
        sockets = WatchedSockets(table)
        self._prepared = [
            (Layout(column.heading, column.table_width), column.texts(sockets)) for column in self._columns
        ]

    def pieces(self, table: SocketTable) -> Iterator[bytes]:
        """The table with its header, in pieces of many rows; ``prepare``, if called, had these sockets."""
        if self._prepared is None:
            self.prepare(table)
        return table_lines(self._prepared or [], PROGRAM.texts(WatchedSockets(table)) if self._owners else None)
