"""The format ``hex``: the lines of ``text``, with each message as an offset/hex/ASCII dump."""

from portside.events import Payload
from portside.feed.render.streams import Stream
from portside.feed.render.text import LineRenderer
from portside.wire.escaping import PRINTABLE_ASCII
from portside.wire.framing import Cut

_ASCII = bytes(code if code in PRINTABLE_ASCII else ord(".") for code in range(256))
_WIDTH = 16


def dump(data: bytes) -> str:
    """Sixteen bytes a line: offset, hex, ASCII."""
    lines = []
    for at in range(0, len(data), _WIDTH):
        row = data[at : at + _WIDTH]
        left, right = row[:8].hex(" "), row[8:].hex(" ")
        lines.append(f"    {at:08x}  {left:<23}  {right:<23}  |{row.translate(_ASCII).decode('ascii')}|\n")
    return "".join(lines)


class HexRenderer(LineRenderer):
    """Renders ``12:00:04.001  #1 127.0.0.1:33406  > 6 B``, and the dump below it."""

    def messages(self, out: list[bytes], stream: Stream, at: int, messages: list[bytes]) -> None:
        head = self.stamp(at) + stream.prefix
        for message in messages:
            out.append(b"%s%d B\n%s" % (head, len(message), dump(message).encode()))
            if type(message) is Cut:
                out.append(self.cut_note(stream, at))

    def fast_path(self, out: list[bytes], stream: Stream, event: Payload) -> bool:
        if self._frame.kind != "none":
            return False
        self.messages(out, stream, event.at, [event.data])
        return True
