"""The format ``json``: one event a line, as every program gets them."""

from portside.events import Event, Payload, to_json
from portside.feed.render.streams import Stream, StreamRenderer
from portside.wire.framing import Cut


class JsonRenderer(StreamRenderer):
    """One JSON object a line."""

    shows_unfinished = False

    def prefix(self, event: Payload) -> bytes:
        return b""

    def whole(self, out: list[bytes], stream: Stream, event: Payload) -> bool:
        if self._frame.kind != "none":
            return False
        out.append(to_json(event) + b"\n")
        return True

    def messages(self, out: list[bytes], stream: Stream, at: int, messages: list[bytes]) -> None:
        for message in messages:
            event = stream.kind(at, stream.conn, stream.peer, message, type(message) is Cut)
            out.append(to_json(event) + b"\n")

    def other(self, event: Event) -> bytes:
        return to_json(event) + b"\n"
