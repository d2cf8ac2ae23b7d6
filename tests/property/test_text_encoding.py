"""Text in any encoding as UTF-8: whatever arrives, and however it is divided into reads."""

from encodings.aliases import aliases
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portside.events import Closed, Event, Gap, HalfClosed, Received, Sent
from portside.feed.render import make_renderer
from portside.wire.frame import Frame
from portside.wire.text_encoding import ToUtf8, find_encoding, unsuitable

ENCODINGS = sorted(
    name for name in {find_encoding(each) for each in aliases.values()} if name is not None and unsuitable(name) is None
)
LETTERS = st.sampled_from(["a", "é", "Ж", "漢", "€", "\n", "\\", "\x1b", "\x85"])
BYTES = st.lists(st.one_of(st.integers(0, 255), st.sampled_from(b"\x1b$B(J~{}\n\\")), max_size=40).map(bytes)
CUTS = st.lists(st.integers(0, 40), max_size=8)


def divide(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[low:high] for low, high in pairwise(edges)]


def test_there_are_encodings_of_all_kinds() -> None:
    assert {"iso8859-1", "cp1252", "koi8-r", "shift_jis", "gb18030", "utf-16-le", "cp037"} < set(ENCODINGS)
    assert not {"utf-16", "utf-7", "rot13", "hex", "idna", "punycode"} & set(ENCODINGS)


@settings(max_examples=1000)
@given(encoding=st.sampled_from(ENCODINGS), data=BYTES, cuts=CUTS)
@example(encoding="iso2022_jp_2", data=b"'\x1b$~{~~\x1bu{", cuts=[])  # more than its decoder holds back
def test_any_bytes_become_valid_text(encoding: str, data: bytes, cuts: list[int]) -> None:
    converter = ToUtf8(encoding)
    for _ in range(2):  # a converter may be used anew
        shown = b"".join(converter.convert(read) for read in divide(data, cuts))
        (shown + converter.convert(b"", final=True)).decode()


@settings(max_examples=1000)
@given(encoding=st.sampled_from(ENCODINGS), letters=st.lists(LETTERS, max_size=20), cuts=CUTS)
def test_text_stays_what_it_is_in_any_division(encoding: str, letters: list[str], cuts: list[int]) -> None:
    text = "".join(letters).encode(encoding, "ignore").decode(encoding, "ignore")
    converter = ToUtf8(encoding)
    reads = divide(text.encode(encoding), cuts)
    shown = [*(converter.convert(read) for read in reads), converter.convert(b"", final=True)]
    assert b"".join(shown).decode() == text


@given(data=BYTES, cuts=CUTS)
def test_a_byte_of_no_character_is_an_escape(data: bytes, cuts: list[int]) -> None:
    converter = ToUtf8("ascii")
    shown = b"".join(converter.convert(read) for read in divide(data, cuts)).decode()
    assert shown == "".join(chr(byte) if byte < 128 else f"\\x{byte:02x}" for byte in data)


PEER = "127.0.0.1:5"


def show(events: list[Event], encoding: str, frame: Frame | None = None, max_frame: int = 65536) -> list[str]:
    """The messages that text shows of the events, in their order."""
    renderer = make_renderer("text", frame=frame, max_frame=max_frame, encoding=encoding)
    shown = b"".join([*renderer.render(events), *renderer.tick(float("inf"), 1)]).decode()
    return [line.split(f"{PEER}  ")[1] for line in shown.splitlines() if PEER in line]


@given(letters=st.lists(st.sampled_from(["a", "漢", "字", "\n"]), max_size=20), cuts=CUTS)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "shift_jis", "gb18030", "utf-32-be"])
def test_lines_are_those_of_the_text(encoding: str, letters: list[str], cuts: list[int]) -> None:
    text = "".join(letters)
    events: list[Event] = [Received(1, 1, PEER, read) for read in divide(text.encode(encoding), cuts) if read]
    lines = text.split("\n")
    assert show(events, encoding) == [f"> {line}" for line in lines[:-1] + lines[-1:] * bool(lines[-1])]


def test_what_a_stream_ends_in_the_middle_of_is_shown_before_its_end() -> None:
    half = "字".encode("shift_jis")[:1]
    events: list[Event] = [Received(1, 1, PEER, b"a" + half), Sent(1, 1, PEER, b"b" + half), HalfClosed(2, 1, PEER)]
    closed = Closed(3, 1, PEER, "peer_closed", 2, 2, 1.0)
    assert show([*events, closed], "shift_jis") == [
        "> a\\x8e", "< b\\x8e", "closed by peer after 1.000s, 2 B in, 2 B out",
    ]  # fmt: skip
    gap = Gap(2, 1, 1, 1, 1.0, "disk full")
    assert show([Received(1, 1, PEER, half), gap, Received(3, 1, PEER, b"x\n")], "shift_jis") == ["> \\x8ex"]


def test_messages_that_are_cut_by_bytes() -> None:
    data = "é漢漢字".encode("gb18030")
    fixed = Frame("fixed", len(data))
    assert show([Received(1, 1, PEER, data)], "gb18030", fixed) == ["> é漢漢字"]
    pieces = show([Received(1, 1, PEER, data)], "gb18030", fixed, 3)
    assert "".join(piece[2:] for piece in pieces if piece.startswith("> ")) == "é漢漢字"
    assert show([Received(1, 1, PEER, b"\xff\x1b[2J")], "iso8859-1", Frame("fixed", 5)) == ["> ÿ\\x1b[2J"]
