"""Where a stream is cut and which of its bits are inverted: at the same bytes, in whatever pieces the stream comes."""

import math
from random import Random


class Slicer:
    """Cuts a stream into pieces of random sizes, from the first of ``sizes`` to the second, both included."""

    def __init__(self, sizes: tuple[int, int], rng: Random) -> None:
        self._low, self._high = sizes
        self._rng = rng
        self._left = self._draw()

    def next(self, available: int) -> int:
        """The size of the next piece, or of what is there of it; ``available`` is at least 1 byte."""
        size = min(self._left, available)
        self._left -= size
        if not self._left:
            self._left = self._draw()
        return size

    def _draw(self) -> int:
        return self._rng.randint(self._low, self._high)


class BitFlipper:
    """Inverts one bit of a byte, with the same probability for each byte."""

    def __init__(self, probability: float, rng: Random) -> None:
        self._probability = probability
        self._rng = rng
        self._skip = self._draw()

    def apply(self, data: bytes) -> tuple[bytes, list[int]]:
        """The bytes as they go on, and the offsets of those that were changed."""
        if self._skip >= len(data):
            self._skip -= len(data)
            return data, []
        changed, offsets, at = bytearray(data), [], self._skip
        while at < len(data):
            changed[at] ^= 1 << self._rng.randrange(8)
            offsets.append(at)
            at += 1 + self._draw()
        self._skip = at - len(data)
        return bytes(changed), offsets

    def _draw(self) -> int:
        """Bytes that stay as they are before the next that changes: geometrically distributed, by inversion."""
        if self._probability >= 1:
            return 0
        return min(int(math.log1p(-self._rng.random()) / math.log1p(-self._probability)), 1 << 62)
