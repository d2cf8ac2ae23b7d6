"""``--frame`` as it is written, and streams cut into messages, in any division into reads."""

import random
from typing import NamedTuple

from fuzz._mutations import mutate, mutate_text
from portside.errors import InvalidValue
from portside.wire.frame import Frame, parse_frame
from portside.wire.framing import Cut, make_framer, whole_lines
from portside.wire.rules.message_reader import MessageReader

_FRAMES = (
    "none", "lines", "delim:0d0a", "delim:6161", "delim:00", "fixed:1", "fixed:7", "fixed:64k", "length:u8",
    "length:u16be", "length:u16le", "length:u24be", "length:u32be", "length:u32le", "length:u8@1", "length:u16be@2-4",
    "length:u16le-2", "length:u24le@300+1", "idle:1s", "idle:50ms",
)  # fmt: skip
_STREAMS = (
    b"hello\nworld\n", b"\n\n\n", b"aaab\r\na\r\r\n", b"\0\x05hello\0\0\0\x02hi", b"\x05\0hello", b"\0\0\0\x03abc",
    b"\xff\xff\xff\xff" * 4, b"\x03abc\0\x01x", b"\xe2\x82\xac\n" * 3,
)  # fmt: skip
_TIMELESS = ("lines", "delim", "fixed", "length")  # where messages do not depend on the reads


class Framing(NamedTuple):
    """A way to frame, the longest message, and a stream in reads."""

    frame: str
    max_frame: int
    reads: tuple[bytes, ...]


def make_input(chance: random.Random) -> Framing:
    """A frame that may be written wrongly, and a stream that may have mistakes."""
    frame = chance.choice(_FRAMES)
    if chance.random() < 0.5:
        frame = mutate_text(frame, chance)
    stream = b"".join(chance.choice(_STREAMS) for _ in range(chance.choice((0, 1, 2, 30))))
    if chance.random() < 0.5:
        stream = mutate(stream, chance)
    reads = []
    while stream:
        size = chance.choice((1, 1, 2, 5, 100, 1000))
        reads.append(stream[:size])
        stream = stream[size:]
    return Framing(frame, chance.choice((1, 2, 5, 64, 65536)), tuple(reads))


def accepts(value: Framing) -> bool:
    """Read the frame and cut the stream with it: no byte is lost, and none is held beyond the limit."""
    try:
        frame = parse_frame(value.frame)
    except InvalidValue:
        return False
    stream = b"".join(value.reads)
    messages = _cut(frame, value.max_frame, value.reads)
    assert b"".join(messages) == stream
    if frame.kind != "none":
        assert all(len(message) <= value.max_frame for message in messages)
    if frame.kind in _TIMELESS:
        assert messages == _cut(frame, value.max_frame, (stream,))
    lines = whole_lines(stream, value.max_frame)
    assert stream.startswith(lines)
    reader = MessageReader(frame, value.max_frame)
    for now, read in enumerate(value.reads):
        reader.feed(read, now / 10)
    reader.finish()
    return True


def _cut(frame: Frame, max_frame: int, reads: tuple[bytes, ...]) -> list[bytes]:
    framer = make_framer(frame, max_frame)
    messages: list[bytes] = []
    for number, read in enumerate(reads):
        now = number / 10
        if framer.deadline is not None and framer.deadline <= now:
            messages += framer.expire(now)
        messages += framer.feed(read, now)
        assert framer.held <= max_frame
        assert len(framer.tail) <= 3
    messages += framer.finish()
    assert framer.held == 0
    assert not messages or not isinstance(messages[-1], Cut)
    return messages
