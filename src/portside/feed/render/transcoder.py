"""A renderer of UTF-8 for streams in another encoding: converts them before they are cut into lines.

So a line feed is that of the encoding, also in UTF-16 and EBCDIC, and a character that comes in two reads is one
character. A converter exists from the first bytes of a direction until the connection closes.
"""

from collections.abc import Sequence
from typing import NamedTuple

from portside.events import Closed, Event, Gap, HalfClosed, Received, Sent
from portside.feed.render.raw import EscapedRenderer
from portside.feed.render.streams import StreamRenderer
from portside.wire.text_encoding import ToUtf8


class _Direction(NamedTuple):
    """One direction of one connection."""

    peer: str
    converter: ToUtf8


class Transcoder:
    """Hands events to a renderer, with payload as UTF-8. What no character came of yet is held back."""

    def __init__(self, renderer: StreamRenderer | EscapedRenderer, encoding: str) -> None:
        self._renderer = renderer
        self._encoding = encoding
        self._received: dict[int, _Direction] = {}  # by connection
        self._sent: dict[int, _Direction] = {}
        self.tick = renderer.tick

    @property
    def deadline(self) -> float | None:
        return self._renderer.deadline

    def render(self, batch: Sequence[Event]) -> list[bytes]:
        out: list[Event] = []
        for event in batch:
            if isinstance(event, Received | Sent):
                self._convert(out, event)
                continue
            if isinstance(event, HalfClosed | Closed | Gap):
                self._finish(out, Received, self._received, event)
            if isinstance(event, Closed | Gap):
                self._finish(out, Sent, self._sent, event)
            out.append(event)
        return self._renderer.render(out)

    def _convert(self, out: list[Event], event: Received | Sent) -> None:
        streams = self._received if isinstance(event, Received) else self._sent
        stream = streams.get(event.conn)
        if stream is None:
            stream = streams[event.conn] = _Direction(event.peer, ToUtf8(self._encoding))
        if data := stream.converter.convert(event.data):
            out.append(type(event)(event.at, event.conn, event.peer, data, event.cut))

    def _finish(
        self,
        out: list[Event],
        kind: type[Received | Sent],
        streams: dict[int, _Direction],
        event: HalfClosed | Closed | Gap,
    ) -> None:
        """Convert what is held back of a direction that has ended with an event, or is interrupted by it."""
        stream = streams.pop(event.conn, None)
        if stream is not None and (data := stream.converter.convert(b"", final=True)):
            out.append(kind(event.at, event.conn, stream.peer, data))
