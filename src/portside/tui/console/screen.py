"""What all screens of the console have: the header, a line for messages, the keys, and a line to type in."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Protocol

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static

from portside.control.client.http_client import ApiError, Unreachable
from portside.errors import InvalidValue
from portside.tui.console.header import Header
from portside.tui.console.session import ConsoleSession
from portside.tui.widths import cut
from portside.wire.escaping import escape_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget


class Typing(Protocol):
    """A line that is typed."""

    @property
    def is_open(self) -> bool:
        """Whether keys belong to the line."""

    @property
    def keys(self) -> str:
        """The keys that the last line of the screen tells of."""

    def handle(self, event: events.Event) -> bool:
        """Take a key or a paste; False for an event that is not meant for the line."""


class ConsoleScreen(Screen[None]):
    """A screen that is asked, again and again, to ``poll`` the server, and then to ``put`` what it has learnt."""

    KEYS = ""
    """The keys that the last line tells of."""

    DEFAULT_CSS = """
    ConsoleScreen { background: ansi_default; }
    ConsoleScreen .message { height: 1; color: ansi_yellow; }
    ConsoleScreen .keys { height: 1; text-style: dim; }
    """

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__()
        self.session = session
        self.message = ""
        self.problem = ""
        self._header = Header(session)
        self._message = Static("", classes="message")
        self._keys = Static("", classes="keys")

    def compose(self) -> ComposeResult:
        """From top to bottom: the header, what the screen is for, a message, keys."""
        yield self._header
        yield from self.body()
        yield self._message
        yield self._keys

    def body(self) -> "Iterable[Widget]":
        """The widgets between the header and the message."""
        return ()

    @property
    def typing(self) -> Typing | None:
        """The line that keys belong to; None where they belong to the screen."""
        return None

    async def poll(self) -> None:
        """Ask the server for what the screen shows. Raises ApiError and Unreachable."""

    def put(self) -> None:
        """Show what is known."""
        width = self.app.size.width
        self._header.put(width)
        self._message.update(Text(cut(escape_text(self.message or self.problem), width).rstrip(), no_wrap=True))
        keys = self.typing.keys if self.typing is not None else self.KEYS
        self._keys.update(Text(cut(keys, width).rstrip(), no_wrap=True))

    def on_mount(self) -> None:
        """Show what is known already, and ask for the rest."""
        self.put()
        self.session.wake()

    def on_screen_resume(self) -> None:
        """Go on when the screen comes back."""
        self.put()
        self.session.wake()

    def on_resize(self, _: events.Resize) -> None:
        """Fit the lines into the new width."""
        self.put()

    def say(self, message: str) -> None:
        """Show a message until the next one."""
        self.message = message
        self.put()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Do something that asks the server; why it does not succeed is shown."""
        self.session.worker.start(self._guarded(work))

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except (ApiError, Unreachable) as error:
            self.say(error.why)
        except InvalidValue as error:
            self.say(str(error))
