"""The format ``json``: one event per line, for programs."""

from portside.events import Event, Payload, json_prefix, payload_to_json, to_json
from portside.feed.render.streams import Stream, StreamRenderer
from portside.wire.framing import Cut


class JsonRenderer(StreamRenderer):
    """Renders each event as a JSON object on a line of its own."""

    shows_unfinished = False

    def prefix(self, event: Payload) -> bytes:
        return json_prefix(event)

    def fast_path(self, out: list[bytes], stream: Stream, event: Payload) -> bool:
        if self._frame.kind != "none":
            return False
        out.append(payload_to_json(event, stream.prefix))
        out.append(b"\n")
        return True

    def messages(self, out: list[bytes], stream: Stream, at: int, messages: list[bytes]) -> None:
        for message in messages:
            event = stream.kind(at, stream.conn, stream.peer, message, type(message) is Cut)
            out.append(payload_to_json(event, stream.prefix) + b"\n")

    def other(self, event: Event) -> bytes:
        return to_json(event) + b"\n"
