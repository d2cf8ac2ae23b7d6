"""The fast paths of the renderers say what the plain ones say, however the bytes are split into reads."""

import json
import random
import re
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portside.events import Closed, Event, Received, to_json
from portside.feed.render import Renderer
from portside.feed.render.binary_escaper import BinaryEscaper
from portside.feed.render.hexdump import HexRenderer, dump, dump_rows
from portside.feed.render.json import JsonRenderer
from portside.feed.render.text import TextRenderer
from portside.wire import bulk_escaping
from portside.wire.escaping import escape, escape_binary, escape_lines
from portside.wire.frame import Frame

AT = 1_763_812_801_123_456_789
PEER = "127.0.0.1:33406"
TIMES = "\u00d7"
NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def escaped_by_character(data: bytes) -> str:
    """What ``escape`` should write, one character after the other, and one run of NUL."""
    out: list[str] = []
    is_behind_run = False
    for run, character in re.findall("(\0{5,})|(.)", data.decode("utf-8", "surrogateescape"), re.DOTALL):
        code = ord(character or "\0")
        if run:
            out.append(f"\\0{TIMES}{len(run)}")
        elif is_behind_run and character in "0123456789":
            out.append(f"\\x{code:02x}")
        elif character == TIMES and (is_behind_run or "".join(out[-2:]).endswith("\\0")):
            out.append("\\u00d7")
        elif character.isprintable():
            out.append(character)
        elif character in NAMED:
            out.append(NAMED[character])
        elif 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")
        elif code < 0x80:
            out.append(f"\\x{code:02x}")
        else:
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
        is_behind_run = bool(run)
    return "".join(out)


hard_text = st.text(st.sampled_from("\\'\"x0udc\0\n\r\t\x1b\x7f\x80\x85\xa0\xad\xe9\u202e\u2028\U0001f600\U000e0001nN"))
PARTS = [b"\\", b"'", b'"', b"x00", b"udc80", b"\xc2", b"\xc2\x85", b"\xe2\x80\xae", b"\n"]
LINES = [
    b"plain line",
    b'with "quotes"',
    b"back\\slash",
    b"del\x7f",
    "Wärme \u202e".encode(),
    b"\xff",
    b"",
    b"\n",
    b"\n",
]
ONE_SIZE = [
    b"\n",
    b"\n\n",
    b"12345\n",
    b'"2"45\n',
    "ä345\n".encode(),
    b"1\n2\n3\n",
    b"1\n23\n",
    b"12\\45\n",
    b"1234\x7f\n",
]
EDGES = bytes.fromhex("00 5c 7f 80 8f 90 9f a0 bf c1 c2 df e0 ed ef f0 f4 f5 ff")  # of UTF-8's ranges (RFC 3629)
hard_bytes = st.one_of(
    st.binary(max_size=300),
    hard_text.map(str.encode),
    st.lists(
        st.sampled_from([b"\0", bytes(5), bytes(300), b"7", TIMES.encode(), b"\\0", b"\\", b"\n", b"\xff", b"ab"])
    ).map(b"".join),
    st.lists(st.sampled_from(PARTS)).map(b"".join),
    st.lists(st.sampled_from(LINES)).map(b"".join),
    st.tuples(st.sampled_from(ONE_SIZE), st.integers(1, 20), st.sampled_from(LINES)).map(
        lambda of: of[0] * of[1] + of[2]
    ),
)


@given(hard_bytes)
@example(bytes(range(256)))
@example(b"\\x00\\udcff\\\\x85\x00\xff\xc2\x85")
@example(b"\\'" + b'"')
def test_escape_is_character_by_character(data: bytes) -> None:
    assert escape(data) == escaped_by_character(data)
    assert escape(data * 40) == escaped_by_character(data * 40)


def test_every_character_is_escaped_or_printable() -> None:
    for start in range(0, 0x110000, 0x1000):
        text = "".join(chr(code) for code in range(start, start + 0x1000) if not 0xD800 <= code < 0xE000)
        assert escape(text.encode()) == escaped_by_character(text.encode())


@given(hard_bytes)
@example(bytes(range(256)))
def test_lines_are_escaped_one_by_one(data: bytes) -> None:
    expected = "<\n>".join(escaped_by_character(line) for line in data.split(b"\n"))
    assert escape_lines(data, b"<\n>").decode() == expected


@given(
    st.one_of(hard_bytes, st.lists(st.sampled_from([bytes((edge,)) for edge in EDGES])).map(b"".join)),
    st.integers(0, 9),
)
@example(bytes(range(256)), 0)
@example("\u0085\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U000e0001\U0001f600\U0010ffff".encode(), 3)
def test_escapes_in_bulk_are_the_same(data: bytes, before: int) -> None:
    data = b"\xff" * before + data
    assert bulk_escaping.escape_binary(data) == escape_binary(data)
    line = b"." * (bulk_escaping.CHUNK_BYTES - 8)  # characters cross its end
    beside_a_chunk = line + data + b"\xe2\x82\xac" + line
    assert bulk_escaping.escape_binary(beside_a_chunk) == escape_binary(beside_a_chunk)


def test_all_characters_are_escaped_in_bulk() -> None:
    text = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000).encode() + b"\xff"
    assert bulk_escaping.escape_binary(text) == escape_binary(text)


@pytest.mark.parametrize("size", [4, 5, 9999, 10_000, 10_001, 300_000])
@pytest.mark.parametrize("behind", [b"", b"1", b"\n2", b"\xc3\x97", b"\0"])
def test_long_runs_are_shortened_in_bulk(size: int, behind: bytes) -> None:
    data = b"\xff" + bytes(size) + behind
    assert bulk_escaping.escape_binary(data) == escape_binary(data)


def test_random_megabytes_are_escaped_in_bulk() -> None:
    data = random.Random(2).randbytes(3 << 20)
    assert bulk_escaping.escape_binary(data) == escape_binary(data)


def test_numpy_is_loaded_by_large_binary_reads_alone() -> None:
    small, large = bytes(range(256)), bytes(range(256)) * 400
    for_small = BinaryEscaper()
    assert for_small(small) == escape_binary(small)
    assert for_small.loader is None
    escaper = BinaryEscaper()
    assert escaper(large) == escape_binary(large)
    assert escaper.loader is not None
    escaper.loader.join(60)
    assert not escaper.loader.is_alive()
    assert escaper(large) == escape_binary(large)
    assert escaper(small) == escape_binary(small)


@given(st.binary(max_size=1500), st.integers(0, 9000))
@example(bytes(range(256)) * 40, 0)
@example(bytes(16), 4096 - 16)
@example(bytes(17), 70_000)
def test_a_dump_by_columns_is_one_by_rows(data: bytes, zeros: int) -> None:
    data = bytes(zeros) + data
    assert dump(data) == dump_rows(data)


class PlainText(TextRenderer):
    """Text without its fast path."""

    def fast_path(self, *_: object) -> int:
        return 0


class PlainJson(JsonRenderer):
    """JSON without its fast path."""

    def fast_path(self, *_: object) -> int:
        return 0


class PlainHex(HexRenderer):
    """Hex without its fast path."""

    def fast_path(self, *_: object) -> int:
        return 0


def reads_of(data: bytes, cuts: list[int]) -> list[Event]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    reads = [data[start:end] for start, end in pairwise(places)]
    events: list[Event] = [Received(AT + index * 1_000_000, 1, PEER, read) for index, read in enumerate(reads)]
    return [*events, Closed(AT, 1, PEER, "peer_closed", len(data), 0, 1.0)]


def rendered(renderer: Renderer, events: list[Event], batch: int) -> bytes:
    return b"".join(b"".join(renderer.render(events[at : at + batch])) for at in range(0, len(events), batch))


FRAMES = st.sampled_from([Frame("lines"), Frame("none"), Frame("fixed", 5), Frame("delim", b"ab")])
Make = Callable[[Frame, int], Renderer]
PAIRS: list[tuple[Make, Make]] = [
    (partial(TextRenderer, colour=True), partial(PlainText, colour=True)),
    (JsonRenderer, PlainJson),
    (partial(HexRenderer, colour=False), partial(PlainHex, colour=False)),
]


@given(
    st.sampled_from(PAIRS),
    FRAMES,
    hard_bytes,
    st.lists(st.integers(0, 1000), max_size=8),
    st.integers(1, 40),
    st.integers(1, 5),
)
def test_fast_paths_say_what_plain_ones_say(
    pair: tuple[Make, Make], frame: Frame, data: bytes, cuts: list[int], max_frame: int, batch: int
) -> None:
    fast, plain = (make(frame, max_frame) for make in pair)
    events = reads_of(data, cuts)
    assert rendered(fast, events, batch) == rendered(plain, events, batch)


@pytest.mark.parametrize("line_feed", [b"", b"\n"])
def test_a_line_of_ten_megabytes(line_feed: bytes) -> None:
    data = random.Random(1).randbytes(10 << 20).replace(b"\n", b"") + line_feed
    events = reads_of(data, list(range(0, len(data), 1 << 18)))
    for fast, plain in ((TextRenderer, PlainText), (HexRenderer, PlainHex)):
        assert rendered(fast(Frame("lines"), 1 << 16, colour=False), events, 3) == rendered(
            plain(Frame("lines"), 1 << 16, colour=False), events, 3
        )


@given(hard_bytes)
def test_json_of_whole_lines_is_the_json_of_each(data: bytes) -> None:
    renderer = JsonRenderer(Frame("lines"), 1 << 16)
    out = rendered(renderer, reads_of(data, []), 9).splitlines()[:-1]
    lines = [part + b"\n" for part in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    lines = [line for line in lines if line]
    assert [json.loads(each) for each in out] == [json.loads(to_json(Received(AT, 1, PEER, line))) for line in lines]


def test_a_run_with_a_number_of_nine_digits() -> None:
    """One message may be that long with ``--max-frame 1G``."""
    assert bulk_escaping.escape_binary(bytes(10**8)).decode() == f"\\0{TIMES}100000000"
