"""The format ``raw``: the clients' bytes and nothing else."""

from collections.abc import Sequence

from portside.events import Closed, Event, Received
from portside.wire.terminal_text import TerminalText


class RawRenderer:
    """Renders the bytes that clients sent, in the order of their arrival, and no other event."""

    deadline = None

    def render(self, batch: Sequence[Event]) -> list[bytes]:
        return [event.data for event in batch if type(event) is Received]

    def tick(self, now: float, at: int | None = None) -> list[bytes]:
        return []


class EscapedRenderer(RawRenderer):
    """Renders the same bytes for a terminal: unprintable ones are escaped, except line ends and tabs."""

    def __init__(self) -> None:
        self._texts: dict[int, TerminalText] = {}  # by connection

    def render(self, batch: Sequence[Event]) -> list[bytes]:
        out = []
        for event in batch:
            if isinstance(event, Received):
                text = self._texts.get(event.conn)
                if text is None:
                    text = self._texts[event.conn] = TerminalText()
                out.append(text.feed(event.data))
            elif isinstance(event, Closed) and (text := self._texts.pop(event.conn, None)) is not None:
                out.append(text.finish())
        return out
