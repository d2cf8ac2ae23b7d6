"""The format ``json``: one event per line, for programs."""

from typing import Any, Final

from portside.events import Event, Payload, json_head, json_prefix, json_tail, to_json
from portside.feed.render.streams import Stream, StreamRenderer
from portside.json_text import encode_json
from portside.wire.escaping import PRINTABLE_ASCII
from portside.wire.framing import Cut, whole_lines

_PLAIN_LINES: Final = PRINTABLE_ASCII.translate(None, b'"\\') + b"\n"  # in JSON as they are, but for the line feed
_LINE_END: Final = b'\\n"}\n'
_KNOWN_SIZES: Final = 1024
_SIZES: Final = tuple(b'%d,"text":"' % (length + 1) for length in range(_KNOWN_SIZES))  # by length, the line feed apart


class JsonRenderer(StreamRenderer):
    """Renders each event as a JSON object on a line of its own."""

    shows_unfinished = False

    def prefix(self, event: Payload) -> bytes:
        return json_prefix(event)

    def fast_path(self, out: list[bytes], stream: Stream, at: int, data: bytes) -> int:
        if self._frame.kind == "none":
            out.append(b"%s%s\n" % (json_head(stream.kind, at, stream.prefix), json_tail(data, cut=False)))
            return len(data)
        if self._frame.kind != "lines":
            return 0
        data = whole_lines(data, self._max_frame)
        texts = _texts(data) if data else None
        if texts is None:
            return 0
        head = json_head(stream.kind, at, stream.prefix)
        line_feed = b"\n" if texts is data else b"\\n"
        if size := _common_size(data):
            head += b'%d,"text":"' % size
            out.append(head + texts[: -len(line_feed)].replace(line_feed, _LINE_END + head) + _LINE_END)
            return len(data)
        lines = data.split(b"\n")
        lines.pop()
        if len(data) > _KNOWN_SIZES and max(map(len, lines)) >= _KNOWN_SIZES:
            sizes: Any = [b'%d,"text":"' % (len(line) + 1) for line in lines]
        else:
            sizes = map(_SIZES.__getitem__, map(len, lines))
        # Three pieces a line, put in place by slices: no step in Python for any of them.
        pieces = [_LINE_END + head] * (3 * len(lines))
        pieces[0] = head
        pieces[1::3] = sizes
        pieces[2::3] = lines if texts is data else texts.split(line_feed)[:-1]
        pieces.append(_LINE_END)
        out.append(b"".join(pieces))
        return len(data)

    def messages(self, out: list[bytes], stream: Stream, at: int, messages: list[bytes]) -> None:
        head = json_head(stream.kind, at, stream.prefix)
        out += [b"%s%s\n" % (head, json_tail(message, cut=type(message) is Cut)) for message in messages]

    def other(self, event: Event) -> bytes:
        return to_json(event) + b"\n"


def _texts(data: bytes) -> bytes | None:
    """The texts of whole lines as they stand in JSON; None where only a line at a time can say it.

    Where nothing needs an escape that is the data itself; else a line feed is its escape there, which nothing but a
    backslash in the data can be confused with.
    """
    if data.isascii() and not data.translate(None, _PLAIN_LINES):
        return data
    if b"\\" in data:
        return None
    try:
        return encode_json(data.decode())[1:-1]
    except UnicodeDecodeError:
        return None


def _common_size(data: bytes) -> int:
    """The size of each of some whole lines, where they are of one size, as many devices send them; otherwise 0."""
    size = data.find(b"\n") + 1
    count, rest = divmod(len(data), size)
    if rest or data[size - 1 :: size] != b"\n" * count or data.count(b"\n") != count:
        return 0
    return size
