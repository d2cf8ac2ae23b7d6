"""The line where a filter is typed, with what is wrong with it below.

It never has the focus: the display gives it the keys while it is open. Textual's Input loses keys when it is hidden
and shown again.
"""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from portside.kernel import FilterError
from portside.tui.columns import safe
from portside.tui.line_editor import Line

_PROMPT = "/ "


class FilterBar(Vertical):
    """A filter being typed."""

    DEFAULT_CSS = """
    FilterBar { height: auto; background: ansi_default; }
    FilterBar #typed { height: 1; }
    FilterBar #problem { height: auto; max-height: 3; color: ansi_red; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.line = Line()
        self._first = 0

    def compose(self) -> ComposeResult:
        """What is typed, and a place for what is wrong."""
        yield Static("", id="typed")
        yield Static("", id="problem")

    def on_mount(self) -> None:
        """It comes when it is called."""
        self.display = False

    @property
    def is_open(self) -> bool:
        """Whether it is on the screen."""
        return self.display

    def open(self, text: str) -> None:
        """Begin with a filter."""
        self.line = Line(text)
        self.display = True
        self.explain(None)
        self.put()

    def close(self) -> None:
        """Go away."""
        self.display = False

    def put(self) -> None:
        """Show the line, as much of it as there is room for around the cursor."""
        line, room = self.line, max(1, self.app.size.width - len(_PROMPT) - 1)
        self._first = min(max(self._first, line.cursor - room), line.cursor)
        shown = Text(_PROMPT, "bold", no_wrap=True)
        shown.append(f"{line.text} "[self._first : self._first + room + 1], "not bold")
        at = len(_PROMPT) + line.cursor - self._first
        shown.stylize("reverse", at, at + 1)
        self.query_one("#typed", Static).update(shown)

    def explain(self, error: FilterError | None) -> None:
        """Say what is wrong, and point at the place."""
        shown = self.query_one("#problem", Static)
        shown.display = error is not None
        if error is None:
            return
        at = len(_PROMPT) + error.at - self._first
        mark = " " * at + "^" * error.width + "\n" if 0 <= at < self.app.size.width else ""
        shown.update(Text(mark + safe(error.problem)))
