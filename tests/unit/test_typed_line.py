"""The line that is being typed: keys, what is sent, what is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.wire.bottom_line import BottomLine
from portside.wire.typed_line import ESCAPE_S, MOST_CHARACTERS, TypedLine

KEYS = {"\x04": "eof", "\x16": "quote", "\x7f": "backspace", "\x15": "ctrl+u", "\x17": "ctrl+w"}


def sent(line: TypedLine, *pieces: bytes) -> list[bytes]:
    return [typed.data for piece in pieces for typed in line.feed(piece, 0.0)]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (b"plain\n", b"plain\n"),
        (b"carriage return\r", b"carriage return\n"),
        (b"ab\x7fc\x08d\n", b"ad\n"),
        (b"gone\x15kept\n", b"kept\n"),
        (b"one two\x17three\n", b"one three\n"),
        (b"bc\x01a\x05d\n", b"abcd\n"),
        (b"bc\x1b[Ha\x1b[Fd\x1b[1~\x1b[3~x\n", b"xbcd\n"),
        (b"bc\x1bOH\x1bOCa\x1b[D\x1b[D\x0b\n", b"\n"),
        (b"one two\x1b[1;5Dx\x1b[1;5C.\n", b"one xtwo.\n"),
        (b"up\x1b[A and down\x1b[B\x1b[15~\x1b[200~\n", b"up and down\n"),
        (b"a\tb\n", b"a\tb\n"),
        (b"a\x0c\x07\x02b\n", b"ba\n"),
        (b"\x16\x03\x16\x1b\x16\x16\n", b"\x03\x1b\x16\n"),
        ("日本\x7f語\n".encode(), "日語\n".encode()),
        ("e\u0301\x7fx\n".encode(), b"x\n"),
        (b"caf\xe9 \xff\x7f!\n", b"caf\xe9 !\n"),
        (b"middle\x04rest\n", b"middlerest\n"),
        (b"\x1bOK\n", b"\n"),
        (b"\x1b" + b"[" + b"0" * 40 + b"\n", b"[" + b"0" * 40 + b"\n"),
    ],
)
def test_keys(typed: bytes, expected: bytes) -> None:
    assert b"".join(sent(TypedLine(KEYS), typed)) == expected
    assert b"".join(sent(TypedLine(KEYS), *(bytes((byte,)) for byte in typed))) == expected


def test_the_end_of_input_sends_what_is_there_or_ends_it() -> None:
    line = TypedLine(KEYS)
    assert sent(line, b"abc\x04") == [b"abc"]
    assert sent(line, b"\x04ignored\n") == [b""]
    assert line.at_end
    assert line.shown == ("", 0)


def test_the_terminals_own_characters_are_keys() -> None:
    line = TypedLine({"\x1c": "backspace", "\x18": "ctrl+u", "\x1a": "eof"})
    assert sent(line, b"ab\x18cd\x1c\x1a\x04e\n") == [b"c", b"e\n"]


def test_escape_by_itself_is_no_beginning_of_a_later_key() -> None:
    line = TypedLine(KEYS)
    list(line.feed(b"ab\x1b", 1.0))
    list(line.feed(b"[D", 1.0 + ESCAPE_S / 2))
    list(line.feed(b"x\x1b", 2.0))
    assert [typed.data for typed in line.feed(b"[D\n", 2.0 + 2 * ESCAPE_S)] == [b"ax[Db\n"]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (b"a\tb", ("a\\tb", 4)),
        (b"\x16\x1b[2J", ("\\x1b[2J", 7)),
        (b"\xff\xfe\x1b[D", ("\\xff\\xfe", 4)),
        ("\u202e".encode(), ("\\u202e", 6)),
        ("\u2764\ufe0f!".encode(), ("\u2764!", 2)),
        ("日\x01".encode(), ("日", 0)),
        (b'it\'s \\n "so"\x16\x01', ('it\'s \\n "so"\\x01', 16)),
    ],
)
def test_what_is_shown_is_printable(typed: bytes, shown: tuple[str, int]) -> None:
    line = TypedLine(KEYS)
    assert sent(line, typed) == []
    assert line.shown == shown


def test_a_line_without_an_end_is_sent_in_pieces() -> None:
    line = TypedLine(KEYS)
    pieces = sent(line, *[b"0123456789abcdef" * 64] * 200)
    assert len(pieces) == 200 * 1024 // MOST_CHARACTERS
    assert {len(piece) for piece in pieces} == {MOST_CHARACTERS}
    assert len(line.shown[0]) == 200 * 1024 % MOST_CHARACTERS


@given(st.lists(st.binary(max_size=30).map(lambda data: bytes(byte for byte in data if byte > 31 and byte != 127))))
def test_no_byte_is_lost_however_lines_are_divided(lines: list[bytes]) -> None:
    line = TypedLine(KEYS)
    pasted = b"".join(each + b"\n" for each in lines)
    divided = [pasted[at : at + 3] for at in range(0, len(pasted), 3)]
    assert sent(line, *divided) == [each + b"\n" for each in lines]


@given(st.binary(max_size=60))
def test_any_keys_at_all(data: bytes) -> None:
    line = TypedLine(KEYS)
    sent(line, data)
    text, cursor = line.shown
    assert text == "" or text.isprintable()
    assert 0 <= cursor <= len(text)


def test_output_without_an_end_of_line_stays_above() -> None:
    line = BottomLine()
    assert line.frame(b"nobody types") == b"nobody types"
    assert line.frame(b" yet") == b" yet"
    line.wanted = ("ab", 1)
    assert line.frame(b"") == b"\r\nab\r\x1b[1C"
    assert line.frame(b"") == b""
    line.hidden = True
    assert line.frame(b"") == b"\r\x1b[J"
