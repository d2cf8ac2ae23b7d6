"""When a message counts as answered, however the answers are cut into reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.errors import InvalidValue
from portside.load.replies import MOST_WAITING_BYTES, ReplyReader, WrongReply, parse_reply

MESSAGES = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=20)
CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=50)


def reader_of(written: str, message: bytes | None = None) -> ReplyReader:
    reader = parse_reply(written).reader
    assert reader is not None
    return reader(message)


def feed(reader: ReplyReader, data: bytes, cuts: list[int]) -> int:
    answers = at = turn = 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        answers += reader.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    return answers


@given(st.binary(min_size=1, max_size=100), st.integers(1, 50), CUTS)
def test_echoes_of_one_message(message: bytes, count: int, cuts: list[int]) -> None:
    assert feed(reader_of("echo", message), message * count, cuts) == count


@given(MESSAGES, CUTS)
def test_echoes_of_messages_that_differ(messages: list[bytes], cuts: list[int]) -> None:
    reader = reader_of("echo")
    for message in messages:
        reader.expect(message)
    assert feed(reader, b"".join(messages), cuts) == len(messages)


@given(st.binary(min_size=2, max_size=100), st.integers(0, 99), CUTS, st.booleans())
def test_a_byte_that_differs_is_no_echo(message: bytes, at: int, cuts: list[int], is_constant: bool) -> None:
    at %= len(message)
    wrong = bytearray(message)
    wrong[at] ^= 1
    reader = reader_of("echo", message if is_constant else None)
    reader.expect(message)
    with pytest.raises(WrongReply):
        feed(reader, bytes(wrong), cuts)


def test_a_read_that_is_larger_than_the_row_of_messages() -> None:
    message = b"0123456789"
    reader = reader_of("echo", message)
    assert reader.feed(b"0123") == 0
    assert reader.feed(b"456789" + message * 50_000 + b"01") == 50_001
    assert reader.feed(b"23456789") == 1
    with pytest.raises(WrongReply):
        reader.feed(message * 50_000 + b"x")


@given(st.binary(max_size=300), st.integers(1, 5), CUTS)
def test_lines_and_bytes_are_counted(data: bytes, each: int, cuts: list[int]) -> None:
    assert feed(reader_of(f"lines:{each}"), data, cuts) == data.count(b"\n") // each
    assert feed(reader_of(f"bytes:{each}"), data, cuts) == len(data) // each


@given(st.lists(st.text("abc", max_size=10), max_size=10), CUTS)
def test_a_text_ends_an_answer(parts: list[str], cuts: list[int]) -> None:
    data = "".join(f"{part}.END" for part in parts).encode() + b"abc"
    assert feed(reader_of(".END"), data, cuts) == len(parts)


@given(st.lists(st.text("abc", max_size=10), max_size=10), CUTS)
def test_an_expression_ends_an_answer(parts: list[str], cuts: list[int]) -> None:
    data = "".join(f"{part}\n250 ok\n" for part in parts).encode()
    assert feed(reader_of(r"/250 \w+\n/"), data, cuts) == len(parts)


def test_what_never_ends_is_given_up() -> None:
    reader = reader_of("/END/")
    assert reader.feed(b"x" * MOST_WAITING_BYTES) == 0
    with pytest.raises(WrongReply):
        reader.feed(b"x")


@pytest.mark.parametrize("written", ["", "lines:0", "bytes:none", "/(/", "/a*/", "\\q"])
def test_what_is_no_reply(written: str) -> None:
    with pytest.raises(InvalidValue):
        parse_reply(written)


def test_no_answer_is_waited_for() -> None:
    assert parse_reply("none").reader is None
