"""The table on the screen: one row for each socket, with text made only for the visible rows."""

from typing import ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from portside.app.sort_order import Sort
from portside.app.watch_columns import STATE, Column
from portside.diagnosis.findings import Severity
from portside.tui.cells import GONE, cell_text, live_width, request_width
from portside.tui.heading import HeadingClicked
from portside.tui.severity_marks import MARK_WIDTH, MARKS, NARROW_MARKS, STYLES
from portside.tui.snapshot_diff import RowNumbers, SocketRow, ViewState
from portside.tui.widths import cut, fit

_TITLE = Style(bold=True, reverse=True)
_PLAIN = Style()
_GONE = (Style(strike=True, color="red"), Style(dim=True, strike=True, color="red"))
_FADE_AFTER_S = 2.0
_NEW = Style(bold=True, color="green")
_CHANGED = Style(bold=True, underline=True, color="yellow")
_SELECTED = Style(reverse=True)
_ROOMY = 60  # from here on a mark has two cells and a space behind it
_ARROWS = {False: "▲", True: "▼"}


class SocketTableView(ScrollView, can_focus=True):
    """A view in a sort order. The first line on the screen has the titles; the rows scroll below it.

    A selected socket stays selected wherever the order moves it. Before the first key no socket is selected. With
    ``marked`` each row begins with the mark of the worst finding that its socket is part of.
    """

    DEFAULT_CSS = """
    SocketTableView { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; scrollbar-gutter: stable; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)"),
        Binding("down", "move(1)"),
        Binding("pageup", "page(-1)"),
        Binding("pagedown", "page(1)"),
        Binding("home", "first"),
        Binding("end", "last"),
    ]

    class Selected(Message):
        """The user selected a socket."""

    def __init__(self, columns: tuple[Column, ...], *, marked: bool = False) -> None:
        super().__init__()
        self.columns = columns
        self._marked = marked
        self._view: ViewState | None = None
        self._order: RowNumbers = np.zeros(0, np.intp)
        self._sort = Sort()
        self._key: int | None = None
        self._cursor = 0
        self._strips: dict[int, Strip] = {}
        self._titles: Strip | None = None
        self._widths: list[int] = []
        self._preferred = [0] * len(columns)
        self.empty = ""

    @property
    def selected(self) -> int | None:
        """The key of the socket that is selected."""
        return self._key

    @property
    def selected_row(self) -> SocketRow | None:
        """The socket that is selected."""
        if self._key is None or self._view is None or not len(self._order):
            return None
        return self._view.rows(self._order[[self._cursor]])[0]

    @property
    def _width(self) -> int:
        """The cells of a line, without the scroll bar."""
        return self.scrollable_content_region.width

    @property
    def _margin(self) -> int:
        """The cells of the mark that a row begins with."""
        if not self._marked:
            return 0
        return MARK_WIDTH + 1 if self._width >= _ROOMY else 1

    def show(self, view: ViewState, order: RowNumbers, sort: Sort) -> None:
        """Show another picture or order."""
        shift = 0
        if self._key is not None:
            where = np.flatnonzero(view.keys[order] == np.uint64(self._key))
            cursor = int(where[0]) if len(where) else min(self._cursor, max(0, len(order) - 1))
            shift = cursor - self._cursor
            self._cursor = cursor
            if not len(where):
                self._key = int(view.keys[order[cursor]]) if len(order) else None
        self._view, self._order, self._sort = view, order, sort
        self.virtual_size = Size(self._width, len(order) + 1)
        if shift:
            self.scroll_to(y=max(0, self.scroll_offset.y + shift), animate=False)
        self._forget()

    def refit(self) -> None:
        """Let the columns be as wide as what is shown from now on needs."""
        self._preferred = [0] * len(self.columns)
        self._forget()

    def action_move(self, rows: int) -> None:
        """Select the socket so many rows further; the first that is seen where none is selected."""
        if self._key is None:
            self._cursor = self.scroll_offset.y
            rows -= rows > 0
        self.select(self._cursor + rows)

    def action_page(self, direction: int) -> None:
        """Select the socket a screenful further."""
        self.action_move(direction * max(1, self.size.height - 2))

    def action_first(self) -> None:
        """Select the first socket."""
        self.select(0)

    def action_last(self) -> None:
        """Select the last socket."""
        self.select(len(self._order))

    def select(self, cursor: int) -> None:
        """Select the socket of a row, and scroll there. There is no row beyond the last."""
        if self._view is None or not len(self._order):
            return
        self._cursor = min(max(cursor, 0), len(self._order) - 1)
        self._key = int(self._view.keys[self._order[self._cursor]])
        top, height = self.scroll_offset.y, max(1, self.size.height - 1)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False)
        self._forget()
        self.post_message(self.Selected())

    def unselect(self) -> None:
        """Select none."""
        self._key = None
        self._forget()

    def on_resize(self, _: events.Resize) -> None:
        """Another width means other columns."""
        self.virtual_size = Size(self._width, len(self._order) + 1)
        self.refit()

    def on_click(self, event: events.Click) -> None:
        """A click on a title sorts, one on a row selects."""
        if event.y:
            if self.scroll_offset.y + event.y - 1 < len(self._order):
                self.select(self.scroll_offset.y + event.y - 1)
            return
        end = self._margin
        for column, width in zip(self.columns, self._widths, strict=False):
            end += width + bool(width)
            if event.x < end:
                self.post_message(HeadingClicked(column.name))
                return

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        top = self.scroll_offset.y
        if top + y - 1 not in self._strips and self._view is not None:
            self._make(self._view, top)
        if y == 0 and self._titles is not None:
            return self._titles
        if y == 2 and not len(self._order):
            return Strip([Segment(cut(f"  {self.empty}", self._width))])
        return self._strips.get(top + y - 1, Strip.blank(self._width))

    def _forget(self) -> None:
        self._strips.clear()
        self._titles = None
        self.refresh()

    def _make(self, view: ViewState, top: int) -> None:
        """Make the lines that can be seen from a row on."""
        numbers = self._order[top : top + max(1, self.size.height - 1)]
        shown = view.rows(numbers)
        texts = view.texts(numbers, [column.texts for column in self.columns])
        if STATE in self.columns:
            states = texts[self.columns.index(STATE)]
            states[:] = [text if row.gone_s is None else GONE for text, row in zip(states, shown, strict=True)]
        requests = []
        for index, column in enumerate(self.columns):
            request = request_width(column, texts[index], self._preferred[index], sorted_by=self._sorts(column))
            self._preferred[index] = request.preferred  # so that nothing jumps about
            requests.append(request)
        self._widths = fit(requests, self._width - self._margin)
        self._titles = self._title_line()
        severities = view.findings.severities([row.key for row in shown])
        self._strips = {
            top + at: self._row_strip(row, [column[at] for column in texts], severities[at])
            for at, row in enumerate(shown)
        }

    def _title_line(self) -> Strip:
        segments = [Segment(" " * self._margin, _TITLE)] if self._margin else []
        for column, width in zip(self.columns, self._widths, strict=True):
            if not width:
                continue
            title = column.heading
            if self._sorts(column):
                arrow = _ARROWS[self._sort.reverse]
                title = title + arrow if len(title) < width else title[: width - 1] + arrow
            segments.append(Segment(cut(title, width, right=live_width(column).right_aligned) + " ", _TITLE))
        return Strip(segments).adjust_cell_length(self._width, _TITLE)

    def _sorts(self, column: Column) -> bool:
        return column.name == self._sort.shown_by

    def _mark(self, severity: Severity | None, base: Style) -> Segment:
        if severity is None:
            return Segment(" " * self._margin, base)
        marks = MARKS if self._margin > 1 else NARROW_MARKS
        return Segment(cut(marks[severity], self._margin), base + Style.parse(STYLES[severity]))

    def _row_strip(self, row: SocketRow, texts: list[str], severity: Severity | None) -> Strip:
        base, marked, gone_s = _PLAIN, row.marked, row.gone_s
        if gone_s is not None:
            base = _GONE[gone_s >= _FADE_AFTER_S]
        elif "new" in marked:
            base = _NEW
        selected = row.key == self._key
        if selected:
            base += _SELECTED
        segments = []
        if self._margin:
            segments.append(self._mark(severity if gone_s is None else None, _SELECTED if selected else _PLAIN))
        for column, width, text in zip(self.columns, self._widths, texts, strict=True):
            if not width:
                continue
            style = base
            if column.name in marked and gone_s is None:
                style = _CHANGED + _SELECTED if selected else _CHANGED
            segments.append(Segment(cell_text(column, text, width), style))
            segments.append(Segment(" ", _SELECTED if selected else _PLAIN))
        return Strip(segments).adjust_cell_length(self._width, _SELECTED if selected else _PLAIN)
