"""The line where a filter is typed, with what is wrong with it below."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from portside.kernel import FilterError
from portside.tui.columns import safe

_PROMPT = "/ "


class FilterBar(Vertical):
    """A filter being typed: ``Input.Changed`` and ``Input.Submitted`` come from it."""

    DEFAULT_CSS = """
    FilterBar { height: auto; background: ansi_default; }
    FilterBar Horizontal { height: 1; }
    FilterBar #prompt { width: 2; text-style: bold; }
    FilterBar Input { border: none; height: 1; padding: 0; width: 1fr; background: ansi_default; }
    FilterBar Input:focus { border: none; background-tint: ansi_default 0%; }
    FilterBar #problem { height: auto; max-height: 3; color: ansi_red; }
    """

    def on_mount(self) -> None:
        """It comes when it is called."""
        self.display = False

    def compose(self) -> ComposeResult:
        """The input, and a place for what is wrong."""
        with Horizontal():
            yield Static(_PROMPT, id="prompt")
            yield Input(select_on_focus=False, compact=True)
        yield Static("", id="problem")

    @property
    def text(self) -> str:
        """What is typed."""
        return self.query_one(Input).value

    @property
    def is_open(self) -> bool:
        """Whether it is on the screen."""
        return self.display

    def open(self, text: str) -> None:
        """Begin with a filter."""
        self.display = True
        self.explain(None)
        field = self.query_one(Input)
        with self.prevent(Input.Changed):
            field.value = text
        field.cursor_position = len(text)
        self.screen.set_focus(field)  # at once: the next key is for it already

    def close(self) -> None:
        """Go away."""
        self.display = False

    def explain(self, error: FilterError | None) -> None:
        """Say what is wrong, and point at the place."""
        shown = self.query_one("#problem", Static)
        shown.display = error is not None
        if error is None:
            return
        at = len(_PROMPT) + error.at - self.query_one(Input).scroll_offset.x
        mark = " " * at + "^" * error.width + "\n" if 0 <= at < self.size.width else ""
        shown.update(Text(mark + safe(error.problem)))
