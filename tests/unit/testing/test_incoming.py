"""Bytes that wait to be matched: however they arrive, and whichever way they are looked at."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.testing.incoming import Incoming
from portside.wire.frame import parse_frame


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """A stream in pieces."""
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(ends)]


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=10), st.lists(st.integers(0, 200), max_size=8))
def test_a_stream_is_what_was_fed(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(messages)
    incoming = Incoming()
    waiting = list(messages)
    for piece in pieces(stream, cuts):
        incoming.feed(piece, 0.0)
        while waiting and incoming.starts_with(waiting[0]):
            incoming.take(len(waiting.pop(0)))
    assert not waiting
    assert (incoming.size, incoming.taken) == (0, len(stream))


@given(
    bodies=st.lists(st.binary(max_size=40), max_size=10),
    cuts=st.lists(st.integers(0, 300), max_size=8),
    peeks=st.booleans(),
)
def test_messages_and_the_stream_may_be_mixed(bodies: list[bytes], cuts: list[int], *, peeks: bool) -> None:
    frame = parse_frame("length:u8")
    messages = [bytes([len(body)]) + body for body in bodies]
    incoming = Incoming()
    found = []
    for piece in pieces(b"".join(messages), cuts):
        incoming.feed(piece, 0.0)
        if peeks:
            assert incoming.head(1 << 20) is not None  # as another expectation looks at the stream
        while (message := incoming.message(frame, 0.0)) is not None:
            found.append(message)
            incoming.take_message()
            if peeks:
                incoming.starts_with(b"x")
    assert found == messages
    assert incoming.size == 0


def test_what_may_still_come() -> None:
    incoming = Incoming()
    incoming.feed(b"HEL", 0.0)
    assert incoming.starts_with(b"HELO") is None
    assert incoming.starts_with(b"HE") is True
    assert incoming.starts_with(b"HALLO") is False
    assert incoming.match(re.compile(rb"HELO")) is None
    incoming.feed(b"O me", 0.0)
    match = incoming.match(re.compile(rb"HELO (\w+)"))
    assert match is not None
    assert match[1] == b"me"
    incoming.take(match.end() - match.pos)
    assert incoming.match(re.compile(rb".*")) is None  # nothing is no match
    assert incoming.head(9) == b""


def test_messages_that_end_with_time() -> None:
    incoming, frame = Incoming(), parse_frame("idle:10ms")
    incoming.feed(b"abc", 5.0)
    assert incoming.message(frame, 5.0) is None
    assert incoming.deadline == pytest.approx(5.01)
    incoming.expire(5.02)
    assert incoming.message(frame, 5.02) == b"abc"
    incoming.take_message()
    incoming.feed(b"d", 6.0)
    incoming.finish()
    assert incoming.message(frame, 6.0) == b"d"
