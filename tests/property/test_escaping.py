"""Escaping and line ends, for any bytes."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portside.wire.escaping import escape, unfinished_utf8
from portside.wire.newlines import CrLf
from portside.wire.terminal_text import TerminalText


@given(st.binary(max_size=300))
@example("\u202edrow\x85\x1b[2J".encode())
def test_what_is_shown_is_printable(data: bytes) -> None:
    assert escape(data).isprintable()


def expanded(shown: str) -> bytes:
    """The bytes of which text without a backslash of its own tells."""
    shown = re.sub("\\\\0\u00d7(\\d+)", lambda run: "\\x00" * int(run[1]), shown).replace("\\0", "\\x00")
    parts = re.split(r"(\\x[89a-f].)", shown)  # bytes that are no UTF-8
    parts[::2] = [
        re.sub(r"\\(x..|u.{4}|U.{8}|[nrt])", lambda of: _CHARACTERS.get(of[1]) or chr(int(of[1][1:], 16)), part)
        for part in parts[::2]
    ]
    return b"".join(bytes((int(part.strip("\\x"), 16),)) if at % 2 else part.encode() for at, part in enumerate(parts))


_CHARACTERS = {"n": "\n", "r": "\r", "t": "\t"}
ZEROS = st.lists(st.sampled_from([b"\0", bytes(5), bytes(70), b"1", b"\xc3\x97", b"\xc3", b"x", b"\n"])).map(b"".join)


@given(st.binary(max_size=300) | ZEROS)
@example(bytes(2000) + b"5")
@example(b"\0\xc3\x972000")
def test_what_is_shown_can_be_expanded_back(data: bytes) -> None:
    data = data.replace(b"\\", b"/")  # a backslash is shown as it is, as before an escape
    assert expanded(escape(data)) == data


@given(ZEROS, st.integers(1, 9))
def test_a_run_that_comes_in_pieces_can_be_expanded_back(data: bytes, size: int) -> None:
    text = TerminalText()
    shown = [text.feed(data[at : at + size]) for at in range(0, len(data), size)]
    assert expanded(b"".join([*shown, text.finish()]).decode()) == data


@given(st.lists(st.sampled_from([b"\\0", b"\xc3\x97", b"7", b"\\x37"])).map(b"".join))
def test_text_is_never_taken_for_a_run(data: bytes) -> None:
    assert "\\0\u00d7" not in escape(data)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (bytes(4), r"\0\0\0\0"),
        (b"a" + bytes(2000) + b"b", "a\\0\u00d72000b"),
        (bytes(5) + b"1", "\\0\u00d75\\x31"),
        ("\\0\u00d72000".encode(), r"\0\u00d72000"),
        ("2\u00d73".encode(), "2\u00d73"),
    ],
)
def test_runs_of_nul(data: bytes, shown: str) -> None:
    assert escape(data) == shown


@given(st.text(max_size=100))
def test_printable_text_is_shown_as_it_is(text: str) -> None:
    if text.isprintable() and "\\0\u00d7" not in text:
        assert escape(text.encode()) == text


@given(st.text(max_size=40), st.integers(0, 200))
def test_a_cut_character_is_found(text: str, cut: int) -> None:
    data = text.encode()[:cut]
    size = unfinished_utf8(data)
    data[: len(data) - size].decode()
    if size:
        assert text.encode().startswith(data)


@given(st.binary(max_size=40))
@example(b"\xed\xa0")
def test_only_what_may_become_a_character_is_unfinished(data: bytes) -> None:
    size = unfinished_utf8(data)
    if size:
        tail = data[-size:]
        assert any(
            (tail + rest).decode("utf-8", "ignore")
            for rest in (
                b"\x80",
                b"\xa0\x80",
                b"\x90\x80\x80",
                b"\x80\x80",
                b"\x80\x80\x80",
                b"\xa0",
                b"\x90\x80",
            )
        )


@given(st.lists(st.sampled_from([b"\r", b"\n", b"a"]), max_size=30), st.integers(1, 5))
def test_every_lf_gets_its_cr_once(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    crlf = CrLf()
    out = b"".join(crlf.convert(data[at : at + size]) for at in range(0, len(data), size))
    assert out == data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
