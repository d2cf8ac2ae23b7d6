"""The input line for a filter, with the filter's error below it.

The bar never has the focus: the display gives it the keys while it is open. Textual's Input loses keys when it is
hidden and shown again.
"""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from portside.kernel.filter import FilterError
from portside.tui.cells import safe
from portside.wire.line_editor import LineEditor

_PROMPT = "/ "


class FilterBar(Vertical):
    """The widget in which the user types a filter."""

    DEFAULT_CSS = """
    FilterBar { height: auto; background: ansi_default; }
    FilterBar #typed { height: 1; }
    FilterBar #problem { height: auto; max-height: 3; color: ansi_red; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self.line = LineEditor()
        self._first = 0

    def compose(self) -> ComposeResult:
        """Place for the line, and for what is wrong with it."""
        yield Static("", id="typed")
        yield Static("", id="problem")

    @property
    def is_open(self) -> bool:
        """Whether the bar is on the screen."""
        return self.display

    def open(self, text: str) -> None:
        """Show the bar with a filter in it."""
        self.line = LineEditor(text)
        self.display = True
        self.explain(None)
        self.put()

    def close(self) -> None:
        """Hide the bar."""
        self.display = False

    def insert(self, text: str) -> None:
        """Put text in at the cursor; what cannot be shown becomes a space."""
        self.line.insert("".join(character if character.isprintable() else " " for character in text))

    def put(self) -> None:
        """Show as much of the line around the cursor as fits."""
        line, room = self.line, max(1, self.app.size.width - len(_PROMPT) - 1)
        self._first = min(max(self._first, line.cursor - room), line.cursor)
        shown = Text(_PROMPT, "bold", no_wrap=True)
        shown.append(f"{line.text} "[self._first : self._first + room + 1], "not bold")
        at = len(_PROMPT) + line.cursor - self._first
        shown.stylize("reverse", at, at + 1)
        self.query_one("#typed", Static).update(shown)

    def explain(self, error: FilterError | None) -> None:
        """Show what is wrong with the filter and where; None: nothing is."""
        shown = self.query_one("#problem", Static)
        shown.display = error is not None
        if error is None:
            return
        at = len(_PROMPT) + error.at - self._first
        mark = " " * at + "^" * error.width + "\n" if 0 <= at < self.app.size.width else ""
        shown.update(Text(mark + safe(error.problem)))
