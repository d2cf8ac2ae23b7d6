"""The line in which the user types, with what is wrong with it below.

The bar never has the focus: the display gives it the keys while it is open. Textual's Input loses keys when it is
hidden and shown again.
"""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from portside.wire.escaping import escape_text
from portside.wire.line_editor import LineEditor


class EntryBar(Vertical):
    """The widget in which the user types; ``prompt`` stands before what is typed."""

    DEFAULT_CSS = """
    EntryBar { height: auto; background: ansi_default; }
    EntryBar #typed { height: 1; }
    EntryBar #problem { height: auto; max-height: 3; color: ansi_red; }
    """

    def __init__(self, prompt: str = "/ ") -> None:
        super().__init__()
        self.display = False
        self.prompt = prompt
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

    def open(self, text: str = "") -> None:
        """Show the bar with a text in it."""
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
        line, room = self.line, max(1, self.app.size.width - len(self.prompt) - 1)
        self._first = min(max(self._first, line.cursor - room), line.cursor)
        shown = Text(self.prompt, "bold", no_wrap=True)
        shown.append(f"{line.text} "[self._first : self._first + room + 1], "not bold")
        at = len(self.prompt) + line.cursor - self._first
        shown.stylize("reverse", at, at + 1)
        self.query_one("#typed", Static).update(shown)

    def explain(self, problem: str | None, at: int | None = None, width: int = 1) -> None:
        """Show what is wrong with the text and, where that is known, at which place; None: nothing is."""
        shown = self.query_one("#problem", Static)
        shown.display = problem is not None
        if problem is None:
            return
        mark = ""
        if at is not None:
            column = len(self.prompt) + at - self._first
            mark = " " * column + "^" * width + "\n" if 0 <= column < self.app.size.width else ""
        shown.update(Text(mark + escape_text(problem)))
