"""How bytes, expressions and differences are written."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.testing import FaultSpec, faults
from portside.testing.difference import difference, first_difference, unexpected
from portside.testing.literals import describe, literal, shorten


@given(st.binary(max_size=60))
def test_a_literal_can_be_read_by_python(data: bytes) -> None:
    assert ast.literal_eval(literal(data)) == data
    assert literal(data).isascii()
    assert literal(data).isprintable()


@given(st.binary(max_size=5000), st.integers(30, 100))
def test_what_is_shortened_fits(data: bytes, most: int) -> None:
    assert len(shorten(data, most)) <= most
    assert len(describe(data, most)) <= most


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        (None, "FIN"),
        (b'say "hi"\r\n', r'b"say \"hi\"\r\n"'),
        (re.compile(rb"QUIT\r?\n"), r're.compile(rb"QUIT\r?\n")'),
        (re.compile(b"\xff\n"), r're.compile(b"\xff\n")'),
        (b"x" * 100, 'b"' + "x" * 60 + '…" (100 B)'),
    ],
)
def test_a_pattern_is_shown_as_it_is_written(pattern: "bytes | re.Pattern[bytes] | None", shown: str) -> None:
    assert describe(pattern) == shown


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_the_first_difference(one: bytes, other: bytes) -> None:
    at = first_difference(one, other)
    assert one[:at] == other[:at]
    assert at == min(len(one), len(other)) or one[at] != other[at]


@given(st.binary(min_size=1, max_size=400), st.binary(max_size=400), st.binary(max_size=40))
def test_the_mark_stands_below_the_difference(before: bytes, expected: bytes, got: bytes) -> None:
    expected, got = before + expected + b"\x01", before + got + b"\x02"
    lines = difference(expected, got, len(got))
    mark = lines[2].index("^")
    assert lines[0][:mark] == lines[1][:mark].replace("got     ", "expected")
    assert all(len(line) < 230 for line in lines)
    assert all(line.replace("…", "").isascii() for line in lines)


def test_differences_in_length() -> None:
    assert "^ ends at byte 3, 1 B short" in difference(b"HELO", b"HEL", 3)[2]
    assert "^ 1 B more than expected, from byte 4 on" in difference(b"HELO", b"HELO!", 5)[2]
    assert difference(b"A", b"", 0)[-1] == "got       00000000  (nothing)"
    assert difference(re.compile(rb"A"), b"B", 1)[0] == 'expected  re.compile(rb"A")'
    far = difference(b"x" * 5000 + b"A", b"x" * 4096, 5001)
    assert any("00001000" in line for line in far)
    assert unexpected(b"ab", 2)[0] == 'got       b"ab"'


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (faults.latency(0.2, jitter="50ms", direction="out"), "latency 200ms jitter 50ms out"),
        (faults.rate("10k", after="2s", lasts=1.5), "rate 10240/s after 2000ms for 1500ms"),
        (faults.slices(1, 20, gap=0.005), "slice 1..20 gap 5ms"),
        (faults.slices(4), "slice 4..4"),
        (faults.drop(at=100), "drop at 100"),
        (faults.corrupt(0.01, p=0.5), "corrupt 0.01 p=0.5"),
        (faults.stall(at="1k", upstream=True), "stall at 1024 upstream"),
        (faults.limit("10k"), "limit 10240"),
        (faults.half_close(after=1), "half-close after 1000ms"),
        (faults.close(at=1, direction="in"), "close at 1 in"),
        (faults.reset(first=2, every=3, net="10.0.0.0/8"), "reset first=2 every=3 net=10.0.0.0/8"),
        (faults.refuse(p=1), "refuse p=1"),
        (faults.accept_delay("2s"), "accept-delay 2000ms"),
        (faults.never_accept(lasts="5s"), "never-accept for 5000ms"),
    ],
)
def test_faults_as_values(made: FaultSpec, text: str) -> None:
    assert made.text == text


def test_faults_that_say_nothing() -> None:
    with pytest.raises(TypeError, match="drop does not take jitter: it takes at, after, lasts, direction"):
        faults.drop(jitter=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="begins at a size or after a time"):
        faults.reset(at=1, after=1)
