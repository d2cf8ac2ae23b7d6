"""Faults: whatever is written is read or refused in words, and how a stream comes makes no difference to its faults."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from portside.errors import InvalidValue
from portside.settings.faults import parse_fault
from portside.wire.faults.model import KINDS
from portside.wire.faults.plan import FaultPlan
from portside.wire.faults.transforms import BitFlipper, Slicer

WORDS = st.one_of(
    st.sampled_from(
        [
            *KINDS,
            *("in", "out", "both", "upstream", "at", "after", "for", "jitter", "gap", "1k", "5s", "200ms", "10k/s"),
            *(
                "1..20",
                "0.01",
                "p=0.1",
                "first=3",
                "every=2",
                "net=10.0.0.0/8",
                "net=::1",
                "p=nan",
                "at=1",
                "²",
                "1e9s",
            ),
        ]
    ),
    st.text(max_size=12),
)


@given(st.lists(WORDS, max_size=8).map(" ".join) | st.text())
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        fault = parse_fault(text)
    except InvalidValue:
        return
    assert parse_fault(fault.text) == fault
    assert fault.kind in KINDS


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)), st.floats(0.001, 1), st.integers(0, 99))
def test_the_same_bits_turn_however_the_stream_comes(
    data: bytes, cuts: list[int], probability: float, seed: int
) -> None:
    whole, where = BitFlipper(probability, Random(seed)).apply(data)
    flipper = BitFlipper(probability, Random(seed))
    parts = [flipper.apply(piece) for piece in pieces(data, cuts)]
    assert b"".join(part for part, _ in parts) == whole
    assert sum(len(found) for _, found in parts) == len(where)


@given(st.integers(1, 300), st.lists(st.integers(1, 300)), st.tuples(st.integers(1, 9), st.integers(9, 20)))
def test_the_same_cuts_however_the_stream_comes(size: int, cuts: list[int], sizes: tuple[int, int]) -> None:
    def edges(coming: list[bytes]) -> set[int]:
        slicer, at, found = Slicer(sizes, Random(7)), 0, set()
        for piece in coming:
            left = len(piece)
            while left:
                taken = slicer.next(left)
                left -= taken
                at += taken
                found.add(at)
        return found

    data = bytes(size)
    ends = {sum(map(len, pieces(data, cuts)[: n + 1])) for n in range(len(cuts) + 1)}
    assert edges(pieces(data, cuts)) == edges([data]) | (ends - {0})


@given(st.lists(st.sampled_from(["10.0.0.1", "::1", None])), st.integers(0, 1 << 40))
def test_a_plan_is_repeatable(ips: list[str | None], seed: int) -> None:
    faults = [parse_fault(text) for text in ("drop p=0.5", "stall net=10.0.0.0/8 every=2", "reset first=2 p=0.9")]
    one, other = FaultPlan(faults, seed), FaultPlan(faults, seed)
    assert [one.next(ip) for ip in ips] == [other.next(ip) for ip in ips]
