"""A long list of the server on the screen: a window of its rows is held, and text is made for those that are seen."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from portside.tui.console.columns import Column, Row
from portside.tui.console.row_window import RowRange, RowWindow
from portside.tui.heading import HeadingClicked
from portside.tui.widths import cut, cut_middle, fit

_TITLE = Style(bold=True, reverse=True)
_PLAIN = Style()
_SELECTED = Style(reverse=True)
_NEW = Style(bold=True, color="green")
_CHANGED = Style(bold=True, underline=True, color="yellow")
_CLOSED = Style(dim=True)
_UNMARKED = ("age", "idle", "program")  # what always changes, and what comes later than the row
_ARROWS = {False: "▲", True: "▼"}


class Order(NamedTuple):
    """The order of a list: the API's name of a column, and whether the largest comes first."""

    column: str
    reverse: bool = False

    def __str__(self) -> str:
        return f"-{self.column}" if self.reverse else self.column


class RowTable(ScrollView, can_focus=True):
    """A list in an order. The first line on the screen has the headings; the rows scroll below it.

    A row that is selected stays so wherever the order moves it within the window; where it has left the window, the one
    in its place is selected. Before the first key no row is.
    """

    DEFAULT_CSS = """
    RowTable { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; scrollbar-gutter: stable; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)"),
        Binding("down", "move(1)"),
        Binding("pageup", "page(-1)"),
        Binding("pagedown", "page(1)"),
        Binding("home", "first"),
        Binding("end", "last"),
    ]

    class RowsMissing(Message):
        """Rows are seen that are not held."""

    def __init__(self, columns: tuple[Column, ...], key: Callable[[Row], Hashable], order: Order) -> None:
        super().__init__()
        self.columns = columns
        self.window = RowWindow(key)
        self.order = order
        self.empty = ""
        self._cursor: int | None = None
        self._key: Hashable = None
        self._texts: dict[Hashable, list[str]] = {}
        self._before: dict[Hashable, list[str]] = {}
        self._strips: dict[int, Strip] = {}
        self._titles: Strip | None = None
        self._widths: list[int] = []
        self._widest = [0] * len(columns)

    @property
    def selected(self) -> Row | None:
        """The row that is selected, where it is held."""
        row = self.window.row(self._cursor) if self._cursor is not None else None
        return row if row is not None and self.window.key(row) == self._key else None

    def shows(self, column: Column) -> bool:
        """Whether a column has room on the screen."""
        return any(each is column and width for each, width in zip(self.columns, self._widths, strict=False))

    @property
    def wanted(self) -> RowRange:
        """The rows that should be held."""
        return self.window.wanted(self.scroll_offset.y, self._height)

    @property
    def _height(self) -> int:
        """The rows that can be seen."""
        return max(1, self.size.height - 1)

    @property
    def _width(self) -> int:
        """The cells of a line, without the scroll bar."""
        return self.scrollable_content_region.width

    def show(self, offset: int, page: Mapping[str, Any]) -> None:
        """Show a page of the API that begins with the row ``offset``."""
        window = self.window
        window.put(offset, page)
        shift = 0
        if self._cursor is not None:
            place = window.place_of(self._key) if self._key is not None else None
            if place is None:
                place = min(self._cursor, max(0, window.total - 1))
                row = window.row(place)
                if row is not None or not window.total:
                    self._key = window.key(row) if row is not None else None
            elif window.place_of(self._key) != self._cursor and self._key in self._texts:
                shift = place - self._cursor
            self._cursor = place
        self._before, self._texts = self._texts, {}
        self.virtual_size = Size(self._width, window.total + 1)
        if shift:
            self.scroll_to(y=max(0, self.scroll_offset.y + shift), animate=False, force=True)
        self._forget()

    def restart(self, order: Order | None = None) -> None:
        """Show another list from now on: from its beginning, with columns as wide as it needs, and nothing marked."""
        self.order = order or self.order
        self._before, self._texts = {}, {}
        self._cursor, self._key = None, None
        self._widest = [0] * len(self.columns)
        self.scroll_to(y=0, animate=False, force=True)
        self._forget()

    # Selecting.

    def action_move(self, rows: int) -> None:
        """Select the row so many further; the first that is seen where none is selected."""
        if self._cursor is None:
            self._select(self.scroll_offset.y + rows - (rows > 0))
        else:
            self._select(self._cursor + rows)

    def action_page(self, direction: int) -> None:
        """Select the row a screenful further."""
        self.action_move(direction * max(1, self._height - 1))

    def action_first(self) -> None:
        """Select the first row."""
        self._select(0)

    def action_last(self) -> None:
        """Select the last row."""
        self._select(self.window.total - 1)

    def _select(self, place: int) -> None:
        """Select a row, and scroll there. There is no row beyond the last."""
        if not self.window.total:
            return
        self._cursor = min(max(place, 0), self.window.total - 1)
        row = self.window.row(self._cursor)
        self._key = self.window.key(row) if row is not None else None
        top, height = self.scroll_offset.y, self._height
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, force=True)
        elif self._cursor >= top + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False, force=True)
        self._forget()

    def unselect(self) -> None:
        """Select none."""
        self._cursor, self._key = None, None
        self._forget()

    def on_click(self, event: events.Click) -> None:
        """A click on a heading sorts, one on a row selects."""
        if event.y:
            if self.scroll_offset.y + event.y - 1 < self.window.total:
                self._select(self.scroll_offset.y + event.y - 1)
            return
        end = 0
        for column, width in zip(self.columns, self._widths, strict=False):
            end += width + bool(width)
            if event.x < end:
                self.post_message(HeadingClicked(column.sort))
                return

    # What is on the screen.

    def on_resize(self, _: events.Resize) -> None:
        """Another width means other columns, another height other rows."""
        self.virtual_size = Size(self._width, self.window.total + 1)
        self._forget()
        self._ask_for_rows()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Ask for the rows that are seen now."""
        super().watch_scroll_y(old_value, new_value)
        self._ask_for_rows()

    def _ask_for_rows(self) -> None:
        if self.window.lacks(self.scroll_offset.y, self._height):
            self.post_message(self.RowsMissing())

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        top = self.scroll_offset.y
        if self._titles is None or top + y - 1 not in self._strips:
            self._make(top)
        if y == 0 and self._titles is not None:
            return self._titles
        if y == 2 and not self.window.total:
            return Strip([Segment(cut(f"  {self.empty}", self._width))])
        return self._strips.get(top + y - 1, Strip.blank(self._width))

    def _forget(self) -> None:
        self._strips.clear()
        self._titles = None
        self.refresh()

    def _make(self, top: int) -> None:
        """Make the lines that can be seen from a row on."""
        rows = {place: row for place in range(top, top + self._height) if (row := self.window.row(place)) is not None}
        texts = {place: [column.text(row) for column in self.columns] for place, row in rows.items()}
        requests = []
        for index, column in enumerate(self.columns):
            self._widest[index] = max(self._widest[index], *(len(each[index]) for each in texts.values()), 0, 0)
            requests.append(column.request(self._widest[index]))
        self._widths = fit(requests, self._width)
        self._titles = self._title_line()
        self._strips = {place: self._row_strip(place, row, texts[place]) for place, row in rows.items()}

    def _title_line(self) -> Strip:
        segments = []
        for column, width in zip(self.columns, self._widths, strict=True):
            if not width:
                continue
            title = column.heading
            if column.sort and column.sort == self.order.column:
                arrow = _ARROWS[self.order.reverse]
                title = title + arrow if len(title) < width else title[: width - 1] + arrow
            segments.append(Segment(cut(title, width, right=column.right) + " ", _TITLE))
        return Strip(segments).adjust_cell_length(self._width, _TITLE)

    def _row_strip(self, place: int, row: Row, texts: list[str]) -> Strip:
        key = self.window.key(row)
        before = self._before.get(key)
        is_selected = place == self._cursor and key == self._key
        base = _CLOSED if row.get("state") == "closed" else _NEW if before is None and self._before else _PLAIN
        self._texts[key] = texts
        gap = _SELECTED if is_selected else _PLAIN
        segments = []
        for index, (column, width, text) in enumerate(zip(self.columns, self._widths, texts, strict=True)):
            if not width:
                continue
            has_changed = before is not None and before[index] != text and column.sort not in _UNMARKED
            shown = cut_middle(text, width) if column.middle else cut(text, width, right=column.right)
            tone = Style.parse(column.tone(row)) if column.tone is not None else _PLAIN
            segments.append(Segment(shown, (_CHANGED if has_changed else base) + tone + gap))
            segments.append(Segment(" ", gap))
        return Strip(segments).adjust_cell_length(self._width, gap)
