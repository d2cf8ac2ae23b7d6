"""The format ``raw``: the clients' bytes and nothing else."""

from collections.abc import Sequence

from portside.events import Closed, Event, Received
from portside.wire.escaping import escape, unfinished_utf8


class RawRenderer:
    """Renders the bytes that clients sent, in the order of their arrival, and no other event."""

    deadline = None

    def render(self, batch: Sequence[Event]) -> list[bytes]:
        return [event.data for event in batch if type(event) is Received]

    def tick(self, now: float, at: int | None = None) -> list[bytes]:
        return []


class EscapedRenderer(RawRenderer):
    """Renders the same bytes for a terminal: unprintable ones are escaped, except line feeds and tabs."""

    def __init__(self) -> None:
        self._held: dict[int, bytes] = {}  # the beginning of a character, by connection

    def render(self, batch: Sequence[Event]) -> list[bytes]:
        out = []
        for event in batch:
            if isinstance(event, Received):
                data = self._held.pop(event.conn, b"") + event.data
                if size := unfinished_utf8(data):
                    self._held[event.conn] = data[-size:]
                    data = data[:-size]
                out.append(_escape(data))
            elif isinstance(event, Closed):
                out.append(_escape(self._held.pop(event.conn, b"")))
        return out


def _escape(data: bytes) -> bytes:
    return b"\n".join(b"\t".join(escape(part).encode() for part in line.split(b"\t")) for line in data.split(b"\n"))
