"""A transcript on the screen: it follows what comes, or stays where it was scrolled to."""

from collections import deque
from collections.abc import Mapping
from itertools import chain
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip

from portside.tui.console.line_log import FollowingView
from portside.tui.console.transcript import Line, Message, Mode, Transcript, message_lines
from portside.tui.widths import cut
from portside.wire.escaping import escape

_HEAD = Style(dim=True)
_STYLES = {"in": Style(color="cyan"), "out": Style(color="green"), "": Style(dim=True, italic=True)}
_FOUND = Style(bold=True, reverse=True)
_CURRENT = Style(bold=True, reverse=True, color="yellow")


class TranscriptView(FollowingView):
    """The lines of a transcript. ``mode`` is how payload is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.transcript = Transcript()
        self.mode = Mode.TEXT
        self.empty = ""
        self._blocks: deque[list[Line]] = deque()  # the lines of each message
        self._lines: list[Line] = []
        self._needle = b""
        self._found: list[int] = []  # lines, in order
        self._is_found: frozenset[int] = frozenset()
        self._at_found = -1

    @property
    def line_count(self) -> int:
        return len(self._lines)

    def add(self, page: Mapping[str, Any]) -> None:
        """Add a page of messages of the API."""
        dropped = self.transcript.dropped
        if not self.transcript.add(page):
            self.refresh()
            return
        gone = 0
        for _ in range(self.transcript.dropped - dropped):
            gone += len(self._blocks.popleft()) if self._blocks else 0
        kept = len(self.transcript.messages) - len(self._blocks)
        self._blocks += [self._lines_of(each) for each in list(self.transcript.messages)[-kept:]] if kept else []
        self._lay_out(gone)

    def turn_mode(self) -> None:
        """Show payload in the next way."""
        self.mode = self.mode.next()
        self._make_all()

    def on_resize(self, _: events.Resize) -> None:
        """Another width means other lines."""
        self._make_all()

    def _make_all(self) -> None:
        self._blocks = deque(self._lines_of(each) for each in self.transcript.messages)
        self._lay_out()

    def _lines_of(self, message: Message) -> list[Line]:
        return message_lines(message, self.mode, max(20, self.line_width))

    def _lay_out(self, gone: int = 0) -> None:
        self._lines = list(chain.from_iterable(self._blocks))
        self._search()
        self.lines_changed(gone)

    # Searching.

    def search(self, needle: bytes) -> int:
        """Mark where some bytes are, and go to the last of these places: how many there are."""
        self._needle = needle
        self._at_found = -1
        self._search()
        if self._found:
            self.go_to_found(-1)
        self.refresh()
        return len(self._found)

    def go_to_found(self, step: int) -> None:
        """Go to the place after or before this one."""
        if not self._found:
            return
        if self._at_found < 0:
            self._at_found = len(self._found) - 1 if step < 0 else 0
        else:
            self._at_found = (self._at_found + step) % len(self._found)
        self.go(self._found[self._at_found] - self.size.height // 2)

    @property
    def place_found(self) -> str:
        """Which of the places that were found is shown: ``2/7``; empty where nothing is searched."""
        if not self._needle:
            return ""
        return f"{self._at_found + 1}/{len(self._found)}" if self._found else "not found"

    def _search(self) -> None:
        """The lines that show what is searched; of a message in which no line shows it whole, the first."""
        self._found, self._is_found = [], frozenset()
        if not self._needle:
            return
        shown = escape(self._needle)
        start = 0
        for message, block in zip(self.transcript.messages, self._blocks, strict=True):
            if self._needle in message.data:
                places = [place for place, line in enumerate(block) if shown in line.text]
                self._found += [start + place for place in places or [0]]
            start += len(block)
        self._is_found = frozenset(self._found)

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        place = self.scroll_offset.y + y
        if not self._lines and y == 1:
            return Strip([Segment(cut(f"  {self.empty}", self.line_width), _HEAD)])
        if place >= len(self._lines):
            return Strip.blank(self.line_width)
        line = self._lines[place]
        style = _STYLES[line.direction]
        current = self._found[self._at_found] if self._found and self._at_found >= 0 else None
        if place in self._is_found:
            style = _CURRENT if place == current else _FOUND
        segments = [Segment(line.head, _HEAD), Segment(line.text, style)]
        return Strip(segments).adjust_cell_length(self.line_width)
