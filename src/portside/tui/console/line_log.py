"""Lines on the screen, the newest at the end: the view follows them, or stays where it was scrolled to."""

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from portside.tui.widths import cut
from portside.wire.cells import split_rows

_MOST_LINES = 5000
_REMARK = Style(dim=True, italic=True)


class FollowingView(ScrollView, can_focus=True):
    """Lines of which the last is on the screen, until the user scrolls up. ``follows`` says whether it is."""

    DEFAULT_CSS = """
    FollowingView { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; scrollbar-gutter: stable; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll(-1)"),
        Binding("down", "scroll(1)"),
        Binding("pageup", "page(-1)"),
        Binding("pagedown", "page(1)"),
        Binding("home", "begin"),
        Binding("end", "follow"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.follows = True

    @property
    def line_count(self) -> int:
        """How many lines there are."""
        raise NotImplementedError

    @property
    def line_width(self) -> int:
        """The cells of a line, without the scroll bar."""
        return self.scrollable_content_region.width

    def lines_changed(self, gone: int = 0) -> None:
        """Show the lines as they are now, after ``gone`` of them are no longer held at the beginning."""
        self.virtual_size = Size(self.line_width, self.line_count)
        if self.follows:
            self.scroll_to(y=self._last_top, animate=False, force=True)
        elif gone:
            self.scroll_to(y=max(0, self.scroll_offset.y - gone), animate=False, force=True)
        self.refresh()

    @property
    def _last_top(self) -> int:
        return max(0, self.line_count - self.size.height)

    def action_scroll(self, lines: int) -> None:
        """Go up or down; at the end the view follows again."""
        self.go(self.scroll_offset.y + lines)

    def action_page(self, direction: int) -> None:
        """Go a screenful up or down."""
        self.go(self.scroll_offset.y + direction * max(1, self.size.height - 1))

    def action_begin(self) -> None:
        """Go to the first line that is held."""
        self.go(0)

    def action_follow(self) -> None:
        """Go to the last line, and follow what comes."""
        self.go(self._last_top)

    def go(self, top: int) -> None:
        """Show the lines from one on."""
        top = min(max(0, top), self._last_top)
        self.follows = top >= self._last_top
        self.scroll_to(y=top, animate=False, force=True)
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The wheel and the scroll bar say too whether the view follows."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and new_value < self._last_top:
            self.follows = False
        elif new_value > old_value and new_value >= self._last_top:
            self.follows = True


class LineLog(FollowingView):
    """Lines of text that is safe to show; those that are too long take several."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: deque[str] = deque()
        self._rows: list[str] = []

    @property
    def line_count(self) -> int:
        return len(self._rows)

    def add(self, lines: Sequence[str]) -> None:
        """Add lines at the end."""
        if not lines:
            return
        self._texts += lines
        gone = 0
        while len(self._texts) > _MOST_LINES:
            gone += len(self._split(self._texts.popleft()))
        self._rows += [row for line in lines for row in self._split(line)]
        del self._rows[:gone]
        self.lines_changed(gone)

    def clear(self) -> None:
        """Hold no line any more."""
        self._texts.clear()
        self._rows.clear()
        self.follows = True
        self.lines_changed()

    def _split(self, line: str) -> list[str]:
        rows = split_rows(line, max(20, self.line_width))
        return rows[:-1] if len(rows) > 1 and not rows[-1] else rows

    def on_resize(self, _: events.Resize) -> None:
        """Another width means other rows."""
        self._rows = [row for line in self._texts for row in self._split(line)]
        self.lines_changed()

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        place = self.scroll_offset.y + y
        if place >= len(self._rows):
            return Strip.blank(self.line_width)
        row = self._rows[place]
        return Strip([Segment(cut(row, self.line_width), _REMARK if row.startswith("-- ") else Style())])
