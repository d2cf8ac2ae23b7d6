"""Screens over a display: a page of text, and a question."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static


class Page(ModalScreen[None]):
    """Text over the whole table, which scrolls; Escape, Enter and q go back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,question_mark", "dismiss", "back"),
    ]
    CSS = """
    Page { background: ansi_default; }
    Page .title { height: 1; text-style: bold reverse; }
    Page .foot { height: 1; text-style: dim; }
    Page VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; background: ansi_default; }
    """

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """The title, the text, and how to go back."""
        with Vertical():
            yield Static(Text(self._title, no_wrap=True, overflow="ellipsis"), classes="title")
            with VerticalScroll():
                yield Static(Text(self._text), classes="text")
            yield Static(Text("Escape, Enter or q: back"), classes="foot")

    def put(self, title: str, text: str) -> None:
        """Show something else."""
        self.query_one(".title", Static).update(Text(title, no_wrap=True, overflow="ellipsis"))
        self.query_one(".text", Static).update(Text(text))


class Confirm(ModalScreen[bool]):
    """A question that only ``y`` answers with yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape,q,enter,k", "answer(False)", "no"),
    ]
    CSS = """
    Confirm { align: center middle; background: ansi_default; }
    Confirm Static { width: auto; max-width: 100%; height: auto; padding: 1 2; border: solid ansi_red; }
    """

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question."""
        yield Static(Text(self._question))

    def action_answer(self, answer: bool) -> None:  # noqa: FBT001 - an action of Textual has no keywords
        """Go back with it."""
        self.dismiss(answer)
