"""The format ``classic``: the output of the tutorial program from which Portside grew."""

from portside.events import (
    Act,
    Closed,
    Event,
    Fault,
    Forwarded,
    Gap,
    HalfClosed,
    Listening,
    Opened,
    Payload,
    Received,
    Refused,
    RuleApplied,
    Stopped,
)
from portside.feed.render.acts import describe_act
from portside.feed.render.streams import Stream, StreamRenderer
from portside.wire.escaping import escape, escape_text
from portside.wire.framing import Cut


def address_of(peer: str) -> str:
    """A peer as Python shows the address of a socket: ``('127.0.0.1', 33406)``."""
    peer = escape_text(peer)
    host, _, port = peer.rpartition(":")
    if peer.startswith("unix:"):
        return peer
    if host.startswith("["):
        address, _, _scope = host[1:-1].partition("%")
        return f"({address!r}, {port}, 0, 0)"
    return f"({host!r}, {port})"


class ClassicRenderer(StreamRenderer):
    """Renders ``Received from ('127.0.0.1', 33406): hello``."""

    def prefix(self, event: Payload) -> bytes:
        verb = "Received from" if isinstance(event, Received) else "Sent to"
        return f"{verb} {address_of(event.peer)}: ".encode()

    def messages(self, out: list[bytes], stream: Stream, at: int, messages: list[bytes]) -> None:
        for message in messages:
            line = message.removesuffix(b"\n") if self._frame.kind == "lines" else message
            out.append(b"%s%s\n" % (stream.prefix, escape(self.text_of(stream, line)).encode()))
            if type(message) is Cut:
                out.append(f"Message cut at {self._max_frame} bytes, it goes on.\n".encode())

    def other(self, event: Event) -> bytes:
        words = self._describe(event)
        return f"{words}\n".encode() if words else b""

    def _describe(self, event: Event) -> str:
        match event:
            case Listening(address=address):
                return f"Listening on {escape_text(address)}..."
            case Opened(peer=peer):
                return f"Connection from {address_of(peer)} established."
            case Closed(peer=peer, reason="peer_reset"):
                return f"EOF received from {address_of(peer)}. Connection closed."
            case Closed(reason="shutdown") | HalfClosed() | RuleApplied() | Forwarded():
                return ""  # the tutorial says nothing here
            case Closed(peer=peer):
                return f"Connection from {address_of(peer)} closed."
            case Refused(peer=peer, reason=reason):
                return f"Connection from {address_of(peer)} refused: {escape_text(reason)}."
            case Fault(peer=peer, spec=spec, over=over):
                on = f" on {address_of(peer)}" if peer is not None else ""
                return f"Fault{on}{' is over' if over else ''}: {escape_text(spec)}."
            case Act(peer=peer):
                on = f" on {address_of(peer)}" if peer is not None else ""
                return f"Operator{on}: {escape_text(describe_act(event))}."
            case Gap(conn=conn, why=why):
                return f"Not in the recording of connection {conn}: {escape_text(why)}."
            case Stopped(reason="signal"):
                return "Server interrupted. Closing..."
            case Stopped():
                return ""
        raise TypeError(event)
