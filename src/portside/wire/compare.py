"""The first difference between two streams, which are compared piece by piece as they arrive.

The caller feeds pieces of a side for which ``wants`` is true, and calls ``end`` when that side has no more. Pieces fed
before they are wanted are kept until the other side has caught up, so a caller that feeds only wanted ones needs
memory for one piece of each side.

A piece is bytes, or a number of bytes that are missing. Missing bytes are neither equal to anything nor different.
"""

from collections import deque
from typing import Final, NamedTuple

LEFT: Final = 0
RIGHT: Final = 1
CONTEXT_BYTES: Final = 16  # shown before and after the first difference

Piece = bytes | int


class Difference(NamedTuple):
    """The first differing byte: its offset from 0 and up to CONTEXT_BYTES around it.

    ``before`` is what both sides have before that byte; ``left`` and ``right`` begin with it. A side that has ended
    there is empty: then the longer stream begins with the shorter one.
    """

    offset: int
    before: bytes
    left: bytes
    right: bytes


class Comparison:
    """A comparison of two streams; ``equal`` and ``unknown`` count bytes up to the first difference."""

    def __init__(self) -> None:
        self.equal = 0
        self.unknown = 0
        self._sides = _Side(), _Side()
        self._before = b""
        self._differs = False

    @property
    def difference(self) -> Difference | None:
        """The first difference, None so far; its context grows until neither side is wanted."""
        if not self._differs:
            return None
        left, right = self._sides
        return Difference(self.equal + self.unknown, self._before, left.context, right.context)

    def wants(self, side: int) -> bool:
        """Whether the comparison needs more of a side to go on."""
        this = self._sides[side]
        return not this.ended and (this.lacks_context if self._differs else not this.pieces)

    def feed(self, side: int, piece: Piece) -> None:
        """Add the next piece of a side."""
        if piece:
            self._sides[side].pieces.append(piece)
            self._compare()

    def end(self, side: int) -> None:
        """Mark a side as ended."""
        self._sides[side].ended = True
        self._compare()

    def _compare(self) -> None:
        left, right = self._sides
        while not self._differs and left.pieces and right.pieces:
            size = min(left.ready, right.ready)
            one, other = left.take(size), right.take(size)
            if one is None or other is None:
                self.unknown += size
                self._before = b""
            elif one == other:
                self._passed(one)
            else:
                same = _common(one, other)
                self._passed(one[:same])
                left.put_back(one[same:])
                right.put_back(other[same:])
                self._differs = True
        if (left.ended and not left.pieces and right.pieces) or (right.ended and not right.pieces and left.pieces):
            self._differs = True
        if self._differs:
            left.gather_context()
            right.gather_context()

    def _passed(self, data: bytes) -> None:
        self.equal += len(data)
        self._before = (self._before + data[-CONTEXT_BYTES:])[-CONTEXT_BYTES:]


class _Side:
    """One side: its queued pieces, and its context from the first difference on."""

    def __init__(self) -> None:
        self.pieces: deque[Piece] = deque()
        self.context = b""
        self.ended = False
        self._at = 0  # how much of the first piece is done
        self._broken = False  # what follows the context is not known

    @property
    def ready(self) -> int:
        """Bytes left of the first piece."""
        head = self.pieces[0]
        return (head if isinstance(head, int) else len(head)) - self._at

    @property
    def lacks_context(self) -> bool:
        return len(self.context) < CONTEXT_BYTES and not self._broken

    def take(self, size: int) -> bytes | None:
        """The next ``size`` of the bytes that are ready; None where they are missing."""
        head = self.pieces[0]
        data = None if isinstance(head, int) else head[self._at : self._at + size]
        if size == self.ready:
            self.pieces.popleft()
            self._at = 0
        else:
            self._at += size
        return data

    def put_back(self, data: bytes) -> None:
        """Return bytes that were taken, as context."""
        self.context = data[:CONTEXT_BYTES]

    def gather_context(self) -> None:
        """Move bytes from the pieces into the context, after a difference, and drop the rest."""
        while self.pieces and self.lacks_context:
            data = self.take(self.ready)
            self._broken = data is None
            self.context += (data or b"")[: CONTEXT_BYTES - len(self.context)]
        self.pieces.clear()


def _common(one: bytes, other: bytes) -> int:
    """The number of equal bytes at the beginning of two pieces of one length."""
    low, high = 0, len(one)
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
