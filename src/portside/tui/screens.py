"""Screens over the table: help, the details of one socket, and the question before a socket is destroyed."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from portside.kernel.models import Socket
from portside.tui.details import detail_lines, title

HELP = """\
Every TCP connection of this machine as the kernel sees it.
Recv-Q: what the program has not read. Send-Q: what the peer has not
acknowledged. Of a listener: its accept queue, and that queue's limit.

  Up Down PageUp PageDown Home End   select a socket; Escape selects none
  Enter      everything about it
  k          destroy it, as `ss -K` does; asks first
  /          filter as you type: Enter keeps it, Escape takes it back
  < >        sort by the column to the left or right
  1 … 9      sort by a column; once more turns it round
  r          turn the order round
  space      pause, and go on
  q Ctrl-C   quit

A filter is written as for ss; 12345 means that either end has this port:
  state established exclude time-wait
  ( sport = :443 or dport = :443 ) and recvq > 0
  dst 10.0.0.0/8 and pid = 53140      program = nc and rtt > 50ms
  retrans > 0 and age > 60s

New sockets are bold green, what changed is underlined and yellow, and what
is gone is struck through for some seconds."""


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


class Details(Page):
    """The details of one socket, refreshed as long as the socket exists."""

    def __init__(self, key: int, socket: Socket, age_s: float) -> None:
        super().__init__(title(socket), "")
        self.key = key
        self._socket = socket
        self._age_s = age_s
        self._gone = False

    def on_mount(self) -> None:
        """The text needs to know how wide the screen is."""
        self._show()

    def on_resize(self) -> None:
        """As above."""
        self._show()

    def update_socket(self, socket: Socket | None, age_s: float) -> None:
        """Show the socket as it is now; None: the socket is gone."""
        self._gone = socket is None
        if socket is not None:
            self._socket, self._age_s = socket, age_s
        self._show()

    def _show(self) -> None:
        lines = detail_lines(self._socket, self._age_s, self.size.width - 2)
        self.put(("GONE, as it was last: " if self._gone else "") + title(self._socket), "\n".join(lines))


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
