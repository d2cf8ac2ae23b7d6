"""Framing, escaping and line ends as transcripts: the branches that random streams reach too seldom."""

import pytest

from portside.wire.escaping import unfinished_utf8
from portside.wire.frame import Frame
from portside.wire.framing import Cut, make_framer
from portside.wire.newlines import CrLf

CRLF = Frame("delim", b"\r\n")


def test_a_delimiter_across_two_reads() -> None:
    framer = make_framer(CRLF, 100)
    assert framer.feed(b"one\r", 0.0) == []
    assert framer.tail == b"ne\r"
    assert framer.feed(b"\ntwo\r\nthr", 0.0) == [b"one\r\n", b"two\r\n"]
    assert framer.feed(b"ee", 0.0) == []
    assert framer.finish() == [b"three"]


def test_a_delimiter_that_only_seemed_to_begin() -> None:
    framer = make_framer(CRLF, 100)
    assert framer.feed(b"one\r", 0.0) == []
    assert framer.feed(b"two\r\n", 0.0) == [b"one\rtwo\r\n"]


def test_a_delimiter_across_many_reads_and_a_cut() -> None:
    framer = make_framer(Frame("delim", b"abcd"), 2)
    pieces = [piece for byte in b"xxabcdy" for piece in framer.feed(bytes([byte]), 0.0)] + framer.finish()
    assert pieces == [b"xx", b"ab", b"cd", b"y"]
    assert [type(piece) is Cut for piece in pieces] == [True, True, False, False]


def test_long_and_short_messages_in_one_read() -> None:
    framer = make_framer(Frame("lines"), 4)
    assert framer.feed(b"ab\nlonger\nc\n", 0.0) == [b"ab\n", b"long", b"er\n", b"c\n"]


def test_reads_are_messages_where_nothing_is_cut() -> None:
    framer = make_framer(Frame("none"), 1)
    assert framer.feed(b"any size", 0.0) == [b"any size"]
    assert framer.feed(b"", 0.0) == framer.expire(9.9) == framer.finish() == []


def test_time_cuts_only_where_it_is_asked_to() -> None:
    lines = make_framer(Frame("lines"), 100)
    lines.feed(b"unfinished", 0.0)
    assert lines.deadline is None
    assert lines.expire(99.0) == []
    idle = make_framer(Frame("idle", 1.0), 100)
    assert idle.expire(99.0) == []
    idle.feed(b"a", 5.0)
    assert idle.expire(5.9) == []
    assert idle.expire(6.0) == [b"a"]


def test_there_is_no_other_way_to_frame() -> None:
    with pytest.raises(ValueError, match="morse"):
        make_framer(Frame("morse"), 100)


@pytest.mark.parametrize(
    ("data", "size"),
    [(b"", 0), (b"a", 0), (b"\xc3", 1), (b"\xe2\x82", 2), (b"\xf0\x9f\x98", 3), (b"\xc3\xa9", 0), (b"\xe0\x80", 0),
     (b"\xff", 0), (b"\x80\x80\x80", 0), (b"a\x80", 0)],
)  # fmt: skip
def test_what_begins_a_character(data: bytes, size: int) -> None:
    assert unfinished_utf8(data) == size


def test_line_ends_over_any_division() -> None:
    crlf = CrLf()
    assert [crlf.convert(read) for read in (b"a\r", b"", b"\nb\n", b"\n", b"\r\n")] == [
        b"a\r", b"", b"\nb\r\n", b"\r\n", b"\r\n",
    ]  # fmt: skip
