"""A screen with a list of the server: filtered and sorted there, of which the rows that are seen are asked for."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Static

from portside.tui.console.columns import Column, Row
from portside.tui.console.row_table import Order, RowTable
from portside.tui.console.row_window import RowRange
from portside.tui.console.screen import ConsoleScreen, Typing
from portside.tui.console.server_filter import ServerFilter
from portside.tui.console.session import ConsoleSession
from portside.tui.filter_entry import FilterEntry
from portside.tui.heading import HeadingClicked
from portside.tui.widths import cut
from portside.wire.escaping import escape_text


class ListScreen(ConsoleScreen):
    """A list: ``PATH`` is where the API has it, and ``COLUMNS`` are those of the table."""

    PATH = ""
    COLUMNS: tuple[Column, ...] = ()
    ORDER = Order("")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter"),
        Binding("r", "reverse"),
        Binding("less_than_sign", "sort_by(-1)"),
        Binding("greater_than_sign", "sort_by(1)"),
        *(Binding(str(number), f"sort_column({number})") for number in range(1, 10)),
    ]
    DEFAULT_CSS = "ListScreen .about { height: 1; }"

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__(session)
        self.table = RowTable(self.COLUMNS, self.key, self.ORDER)
        self.filter = ServerFilter(self._apply_filter)
        self.entry = FilterEntry(self.filter, session.worker, self.say, self.put)
        self._about = Static("", classes="about")
        self._generation = 0

    def body(self) -> Iterable[Widget]:
        yield self._about
        yield self.table
        yield self.entry.bar

    def on_mount(self) -> None:
        self.table.focus()
        super().on_mount()

    @property
    def typing(self) -> Typing | None:
        return self.entry if self.entry.is_open else None

    # What differs from list to list.

    @staticmethod
    def key(row: Row) -> Hashable:
        """The value that tells a row from all others."""
        raise NotImplementedError

    def which(self) -> Mapping[str, str | int]:
        """Which rows are in the list, beside its filter."""
        return {}

    def findings_of(self, _: Row) -> Sequence[Row] | None:
        """The findings that a row is in, the most severe first; None for rows that are in none."""
        return None

    def about(self, total: int, totals: Mapping[str, Any]) -> str:
        """The contents of the list in a line: how many rows, and their totals."""
        raise NotImplementedError

    def empty(self) -> str:
        """The text in place of the rows where there are none."""
        raise NotImplementedError

    # Asking for rows.

    async def poll(self) -> None:
        generation, wanted = self._generation, self.table.wanted
        page = await self._ask(self.filter.text, wanted)
        self.problem = ""
        if generation == self._generation:
            self._show(self.filter.text, wanted, page)

    async def _ask(self, filter_text: str, wanted: RowRange) -> Mapping[str, Any]:
        query: dict[str, str | int] = {**self.which(), "sort": str(self.table.order)}
        query |= {"offset": wanted.offset, "limit": wanted.limit}
        if filter_text:
            query["filter"] = filter_text
        page: Mapping[str, Any] = await self.session.ask("GET", self.PATH, query=query)
        return page

    def _show(self, filter_text: str, shown: RowRange, page: Mapping[str, Any]) -> None:
        self.table.empty = f"none matches  {escape_text(filter_text)}" if filter_text else self.empty()
        self.table.show(shown.offset, {**page, "items": [self._marked(row) for row in page["items"]]})

    def _marked(self, row: Row) -> Row:
        findings = self.findings_of(row)
        return row if findings is None else {**row, "findings": findings}

    async def _apply_filter(self, text: str) -> None:
        wanted = self.table.wanted._replace(offset=0)
        page = await self._ask(text, wanted)
        self.restart()
        self._show(text, wanted, page)
        self.put()

    def restart(self, order: Order | None = None) -> None:
        """Show another list from now on: answers that are still to come belong to the one before."""
        self._generation += 1
        self.table.restart(order)
        self.session.wake()

    @on(RowTable.RowsMissing)
    def _rows_missing(self) -> None:
        self.session.wake()

    def put(self) -> None:
        super().put()
        width, window = self.app.size.width, self.table.window
        about = self.about(window.total, window.totals)
        if self.filter.text and not self.entry.is_open:
            about += f"  filter: {escape_text(self.filter.text)}"
        self._about.update(Text(cut(about, width).rstrip(), no_wrap=True))

    # Keys.

    def action_filter(self) -> None:
        """Type a filter."""
        self.entry.open()
        self.put()

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._sort(Order(self.table.order.column, not self.table.order.reverse))

    def action_sort_by(self, step: int) -> None:
        """Sort by the next column, or the one before."""
        names = [column.sort for column in self.COLUMNS]
        current = self.table.order.column
        at = names.index(current) + step if current in names else 0
        self._sort(Order(names[at % len(names)]))

    def action_sort_column(self, number: int) -> None:
        """Sort by the first column, the second …; by the same once more: the other way."""
        if number <= len(self.COLUMNS):
            self._sort_on(self.COLUMNS[number - 1].sort)

    @on(HeadingClicked)
    def _heading_clicked(self, message: HeadingClicked) -> None:
        self._sort_on(message.column)

    def _sort_on(self, column: str) -> None:
        order = self.table.order
        self._sort(Order(column, order.column == column and not order.reverse))

    def _sort(self, order: Order) -> None:
        self.restart(order)
