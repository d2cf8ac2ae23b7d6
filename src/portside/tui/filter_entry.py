"""Typing a filter: keys go to the entry bar, and the text is applied shortly after the last key."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from textual import events

from portside.errors import PortsideError
from portside.kernel.filter import FilterError
from portside.tui.entry_bar import EntryBar
from portside.tui.worker import Worker

if TYPE_CHECKING:
    import asyncio

_AFTER_KEY_S = 0.15
_KEYS_OF_THE_DISPLAY = ("ctrl+c", "ctrl+q", "ctrl+z")


class AppliedFilter(Protocol):
    """A filter that is applied, and how another one is: see ``FilterState``."""

    text: str

    async def request(self, text: str, after_s: float) -> None:
        """Apply another filter after a delay. Raises FilterError and PortsideError."""


class FilterEntry:
    """The filter bar, and the application of the text in it.

    ``report`` is called with a message about a filter that could not be applied, and ``closed`` when the bar has been
    closed.
    """

    def __init__(
        self, state: AppliedFilter, worker: Worker, report: Callable[[str], None], closed: Callable[[], None]
    ) -> None:
        self.bar = EntryBar()
        self.pending: asyncio.Task[None] | None = None
        self._state = state
        self._worker = worker
        self._report = report
        self._closed = closed
        self._before = state.text

    @property
    def is_open(self) -> bool:
        """Whether keys belong to the filter."""
        return self.bar.is_open

    @property
    def keys(self) -> str:
        """The keys that the last line of the display tells of."""
        return "Enter keep  Escape take back"

    def open(self) -> None:
        """Begin with the filter that is applied."""
        self._before = self._state.text
        self.bar.open(self._before)

    def cancel(self) -> None:
        """Close the bar, and apply the filter from before again."""
        self._close()
        self.request(self._before)

    def handle(self, event: events.Event) -> bool:
        """Take a key or a paste while the bar is open; False for an event that is not meant for it."""
        if isinstance(event, events.Key) and event.key not in _KEYS_OF_THE_DISPLAY:
            self._press(event)
        elif isinstance(event, events.Paste):
            self.bar.insert(event.text)
            self._typed()
        else:
            return False
        return True

    def request(self, text: str, *, after_s: float = 0.0, closing: bool = False) -> None:
        """Apply another filter in place of one that is still to be applied; ``closing``: then close the bar."""
        if self.pending is not None:
            self.pending.cancel()
        self.pending = self._worker.start(self._apply(text, after_s, closing=closing))

    def _press(self, event: events.Key) -> None:
        line = self.bar.line
        if event.key == "escape":
            self.cancel()
        elif event.key == "enter":
            self.request(line.text, closing=True)
        else:
            before = line.text
            if event.character is not None and event.is_printable:
                self.bar.insert(event.character)
            else:
                line.press(event.key)
            if line.text != before:
                self._typed()
            self.bar.put()

    def _typed(self) -> None:
        self.bar.put()
        self.request(self.bar.line.text, after_s=_AFTER_KEY_S)

    async def _apply(self, text: str, after_s: float, *, closing: bool) -> None:
        try:
            await self._state.request(text, after_s)
        except FilterError as error:
            if self.bar.is_open:
                self.bar.explain(error.problem, error.at, error.width)
            return
        except PortsideError as error:
            self._report(str(error))
            return
        self.bar.explain(None)
        if closing:
            self._close()

    def _close(self) -> None:
        self.bar.close()
        self._closed()
