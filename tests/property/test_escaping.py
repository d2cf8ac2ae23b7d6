"""Escaping and line ends, for any bytes."""

from hypothesis import example, given
from hypothesis import strategies as st

from portside.wire.escaping import escape, unfinished_utf8
from portside.wire.newlines import CrLf


@given(st.binary(max_size=300))
@example("\u202edrow\x85\x1b[2J".encode())
def test_what_is_shown_is_printable(data: bytes) -> None:
    assert escape(data).isprintable()


@given(st.text(max_size=100))
def test_printable_text_is_shown_as_it_is(text: str) -> None:
    if text.isprintable():
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
