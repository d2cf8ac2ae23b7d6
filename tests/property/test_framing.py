"""Framers against a plain model: any stream, any division into reads, any limit."""

from itertools import pairwise
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from portside.wire.frame import Frame, LengthField, parse_frame
from portside.wire.framing import Cut, make_framer

length_fields = st.builds(
    LengthField,
    st.sampled_from(["u8", "u16be", "u16le", "u24be", "u24le", "u32be", "u32le"]),
    st.one_of(st.just(0), st.integers(0, 30)),
    st.one_of(st.just(0), st.integers(-12, 12)),
)
frames = st.one_of(
    st.just(Frame("none")),
    st.just(Frame("lines")),
    st.builds(Frame, st.just("delim"), st.text("ab", min_size=1, max_size=4).map(str.encode)),
    st.builds(Frame, st.just("fixed"), st.integers(1, 9)),
    st.builds(Frame, st.just("length"), length_fields),
    st.builds(Frame, st.just("idle"), st.just(1.0)),
)
streams = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from([b"a", b"b", b"\n", b"\0", b"\x01", b"\x02", b"ab", b"aab"]), max_size=200).map(b"".join),
)
max_frames = st.integers(1, 20)


def divide(stream: bytes, cuts: list[int]) -> list[bytes]:
    """A stream as the reads that end at the cuts."""
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[low:high] for low, high in pairwise(edges)]


def expected(frame: Frame, stream: bytes) -> tuple[list[bytes], bytes]:
    """What a reader of the specification would cut: whole messages, and the unfinished rest."""
    messages: list[bytes] = []
    if frame.kind in ("lines", "delim"):
        delimiter = frame.value or b"\n"
        *whole, rest = stream.split(delimiter)
        return [part + delimiter for part in whole], rest
    while True:
        if frame.kind == "fixed":
            size = frame.value
        else:
            integer, offset, correction = frame.value
            end = offset + int(integer[1:].removesuffix("be").removesuffix("le")) // 8
            order: Literal["little", "big"] = "little" if integer.endswith("le") else "big"
            length = int.from_bytes(stream[offset:end], order)
            size = max(end, end + length + correction) if len(stream) >= end else len(stream) + 1
        if size > len(stream):
            return messages, stream
        messages.append(stream[:size])
        stream = stream[size:]


def joined(pieces: list[bytes]) -> list[bytes]:
    """Messages with their pieces put together."""
    whole, held = [], b""
    for piece in pieces:
        held += piece
        if not isinstance(piece, Cut):
            whole.append(held)
            held = b""
    assert not held
    return whole


@given(frames, streams, st.lists(st.integers(0, 200), max_size=20), max_frames)
def test_nothing_is_lost_and_nothing_is_too_long(frame: Frame, stream: bytes, cuts: list[int], most: int) -> None:
    framer = make_framer(frame, most)
    out = []
    for read in divide(stream, cuts):
        out += framer.feed(read, 0.0)
        assert framer.held <= most
    out += framer.finish()
    assert b"".join(out) == stream
    if frame.kind != "none":
        assert all(0 < len(piece) <= most for piece in out)
    assert framer.held == 0
    assert framer.finish() == []


@given(
    frames.filter(lambda frame: frame.kind not in ("none", "idle")),
    streams,
    st.lists(st.integers(0, 200), max_size=20),
    max_frames,
)
def test_messages_are_those_of_the_specification(frame: Frame, stream: bytes, cuts: list[int], most: int) -> None:
    framer = make_framer(frame, most)
    out = []
    for read in divide(stream, cuts):
        out += framer.feed(read, 0.0)
    whole, rest = expected(frame, stream)
    assert joined(out + framer.finish()) == whole + ([rest] if rest else [])


@given(length_fields)
def test_length_fields_are_read_as_written(field: LengthField) -> None:
    integer, offset, correction = field
    written = f"length:{integer}" + (f"@{offset}" if offset else "") + (f"{correction:+d}" if correction else "")
    assert parse_frame(written) == Frame("length", field)


eighths = st.integers(0, 24).map(lambda number: number / 8)  # whose sums are exact


@given(streams, st.lists(st.integers(0, 200), max_size=20), st.lists(eighths, min_size=22, max_size=22))
def test_idle_cuts_where_nothing_came(stream: bytes, cuts: list[int], gaps: list[float]) -> None:
    framer = make_framer(Frame("idle", 1.0), 1000)
    now = 0.0
    out: list[bytes] = []
    model: list[bytes] = []
    for read, gap in zip(divide(stream, cuts), gaps, strict=False):
        if gap >= 1.0 or not model:
            model.append(b"")
        now += gap
        model[-1] += read
        out += framer.feed(read, now)
        assert framer.deadline == now + 1.0
    out += framer.finish()
    assert out == [message for message in model if message]
