"""The comparison against a plain model: any two streams, in any pieces, with any parts unknown."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from portside.wire.compare import CONTEXT_BYTES, LEFT, RIGHT, Comparison, Piece

# A stream is a list of bytes, None where one is not known.
known = st.integers(0, 1)
streams = st.lists(st.one_of(known, known, known, st.none()), max_size=60)
cuts = st.lists(st.integers(0, 80), max_size=10)
Stream = list[int | None]


def divide(stream: Stream, cuts: list[int]) -> list[Piece]:
    """A stream as pieces that end at the cuts, and where what is known begins or ends."""
    edges = {0, len(stream), *(min(cut, len(stream)) for cut in cuts)}
    edges |= {at for at in range(1, len(stream)) if (stream[at] is None) != (stream[at - 1] is None)}
    pieces: list[Piece] = []
    for low, high in pairwise(sorted(edges)):
        part = stream[low:high]
        pieces.append(high - low if part[0] is None else bytes(byte for byte in part if byte is not None))
    return pieces


def first_difference(left: Stream, right: Stream) -> int | None:
    for at, (one, other) in enumerate(zip(left, right, strict=False)):
        if one is not None and other is not None and one != other:
            return at
    return None if len(left) == len(right) else min(len(left), len(right))


def context(stream: Stream, at: int) -> bytes:
    """What is known without a break from there on."""
    known = bytearray()
    for byte in stream[at : at + CONTEXT_BYTES]:
        if byte is None:
            break
        known.append(byte)
    return bytes(known)


def before(left: Stream, right: Stream, at: int) -> bytes:
    known = bytearray()
    while at and len(known) < CONTEXT_BYTES and left[at - 1] is not None and right[at - 1] is not None:
        at -= 1
        known.insert(0, left[at] or 0)
    return bytes(known)


@given(streams, streams, cuts, cuts, st.randoms(use_true_random=False))
def test_any_order_of_pieces_tells_the_same(
    left: Stream, right: Stream, left_cuts: list[int], right_cuts: list[int], random: Random
) -> None:
    compared(left, right, left_cuts, right_cuts, random)


@given(streams, st.integers(0, 59), cuts, cuts, st.randoms(use_true_random=False))
def test_one_byte_that_differs(
    left: Stream, at: int, left_cuts: list[int], right_cuts: list[int], random: Random
) -> None:
    right = list(left)
    if at < len(right):
        byte = right[at]
        right[at] = None if byte is None else 1 - byte
    compared(left, right, left_cuts, right_cuts, random)


def compared(left: Stream, right: Stream, left_cuts: list[int], right_cuts: list[int], random: Random) -> None:
    comparison = Comparison()
    pieces = [divide(left, left_cuts), divide(right, right_cuts)]
    ended = [False, False]
    while not all(ended):
        side = random.choice([side for side in (LEFT, RIGHT) if not ended[side]])
        if pieces[side]:
            comparison.feed(side, pieces[side].pop(0))
        else:
            comparison.end(side)
            ended[side] = True
    at, difference = first_difference(left, right), comparison.difference
    assert (difference.offset if difference is not None else None) == at
    reached = min(len(left), len(right)) if at is None else at
    unknown = sum(one is None or other is None for one, other in zip(left[:reached], right[:reached], strict=True))
    assert (comparison.equal, comparison.unknown) == (reached - unknown, unknown)
    if difference is not None:
        assert difference.before == before(left, right, reached)
        assert (difference.left, difference.right) == (context(left, reached), context(right, reached))
