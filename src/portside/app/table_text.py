"""The table of sockets as text: netstat's columns, and with ``wide`` what ``ss -tinmoe`` adds, a column at a time."""

from collections.abc import Iterator

from portside.app.column_text import Texts, WatchedSockets, command_lines
from portside.app.table_layout import Layout, table_lines
from portside.app.watch_columns import FINDING, NETSTAT, PROGRAM, table_columns
from portside.kernel.table import SocketTable


class TableText:
    """The text of one table, which may be prepared as far as it is known before the programs are.

    ``owners`` adds the programs, and with ``wide`` their command lines; ``drops`` adds how many connections each
    listener dropped because its queue was full. ``width`` is that of the terminal; None: lines may have any length.
    """

    def __init__(
        self, *, owners: bool = True, wide: bool = False, drops: bool = False, width: int | None = None
    ) -> None:
        self._owners = owners
        self._wide = wide
        self._width = width
        self._columns = table_columns(wide=wide, drops=drops)
        self._prepared: list[tuple[Layout, Texts]] | None = None

    def prepare(self, table: SocketTable) -> None:
        """Write all columns but the programs."""
        sockets = WatchedSockets(table)
        self._prepared = [
            (Layout(column.heading, column.table_width), column.texts(sockets)) for column in self._columns
        ]

    def pieces(self, table: SocketTable, findings: Texts | None = None) -> Iterator[bytes]:
        """The table with its header, in pieces of many rows; ``prepare``, if called, had these sockets.

        ``findings`` are the codes of what is wrong with each, shown with ``wide``.
        """
        if self._prepared is None:
            self.prepare(table)
        columns = self._prepared or []
        sockets = WatchedSockets(table, findings=findings)
        if self._wide:
            wrong = Layout(FINDING.heading, FINDING.table_width), FINDING.texts(sockets)
            columns = [*columns[: len(NETSTAT)], wrong, *columns[len(NETSTAT) :]]
        programs = PROGRAM.texts(sockets) if self._owners else None
        commands = command_lines(sockets) if self._owners and self._wide else None
        if self._width is None:
            return table_lines(columns, programs, commands)
        from portside.app.table_folding import terminal_lines

        most = len(NETSTAT) if self._wide else len(columns)
        return terminal_lines(columns[:most], programs, self._width, columns[most:], commands)
