"""A line at the bottom in which the user types the value of an act: a rate, a fault, a note, what is to be sent."""

from collections.abc import Callable, Coroutine

from textual import events

from portside.control.client.http_client import ApiError, Unreachable
from portside.errors import InvalidValue
from portside.tui.entry_bar import EntryBar
from portside.tui.worker import Worker

KEYS_OF_THE_CONSOLE = ("ctrl+c", "ctrl+q", "ctrl+z")

Submit = Callable[[str], Coroutine[None, None, None]]


class Prompt:
    """The line, and what is done with it: ``submit`` raises InvalidValue, ApiError or Unreachable where it cannot.

    Then the line is kept, with the reason below it. ``changed`` is called when it has been opened or closed.
    """

    def __init__(self, worker: Worker, changed: Callable[[], None]) -> None:
        self.bar = EntryBar()
        self._worker = worker
        self._changed = changed
        self._submit: Submit | None = None
        self._is_busy = False

    @property
    def is_open(self) -> bool:
        """Whether keys belong to the line."""
        return self.bar.is_open

    @property
    def keys(self) -> str:
        """The keys that the last line of the screen tells of."""
        return "Enter do it  Escape leave it"

    def open(self, prompt: str, submit: Submit, text: str = "") -> None:
        """Ask for a value."""
        self._submit = submit
        self.bar.prompt = prompt
        self.bar.open(text)
        self._changed()

    def close(self) -> None:
        """Ask no more."""
        self.bar.close()
        self._changed()

    def handle(self, event: events.Event) -> bool:
        """Take a key or a paste while the line is open; False for an event that is not meant for it."""
        if isinstance(event, events.Key) and event.key not in KEYS_OF_THE_CONSOLE:
            self.press(event)
        elif isinstance(event, events.Paste):
            self.bar.insert(event.text)
        else:
            return False
        if self.bar.is_open:
            self.bar.put()
        return True

    def press(self, event: events.Key) -> None:
        """Do what a key means."""
        if event.key == "escape":
            self.close()
        elif event.key == "enter":
            self.submit()
        elif event.character is not None and event.is_printable:
            self.bar.explain(None)
            self.bar.insert(event.character)
        else:
            self.bar.line.press(event.key)

    def submit(self) -> None:
        """Do what the line is for; once, however often Enter is pressed until it is done."""
        if not self._is_busy and self._submit is not None:
            self._is_busy = True
            self._worker.start(self._do(self._submit(self.bar.line.text)))

    async def _do(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except (ApiError, Unreachable) as error:
            self.bar.explain(error.why)
        except InvalidValue as error:
            self.bar.explain(str(error))
        else:
            self.close()
        finally:
            self._is_busy = False
