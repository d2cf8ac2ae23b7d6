"""What chance and counting decide of faults: which connections have them, where a stream is cut, which bits turn.

Nothing here reads a clock or touches a socket. With the same seed the same clients, in the same order, have the same
faults at the same bytes: each fault, connection and direction draws from numbers of its own.
"""

import math
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from portside.networks import contains
from portside.settings.faults import Direction, Fault


class Due(NamedTuple):
    """A fault that a connection has; ``seed`` is that of its chances."""

    fault: Fault
    seed: str

    def chances(self, direction: Direction) -> Random:
        """The numbers that it draws in one direction."""
        return Random(f"{self.seed}/{direction}")  # noqa: S311


class Plan:
    """Which connections have which faults: ``next`` once for each, in the order in which they come."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self.faults = tuple(faults)
        self.seed = seed
        self._counts: Counter[int] = Counter()  # connections so far, of those in the fault's network

    def next(self, ip: str | None) -> tuple[Due, ...]:
        """The faults of the next connection. ``ip`` is None on a unix socket, which is in no network."""
        found = []
        for index, fault in enumerate(self.faults):
            if fault.net is not None and (ip is None or not contains(ip, (fault.net,))):
                continue
            self._counts[index] += 1
            count = self._counts[index]
            if fault.first is not None and count > fault.first:
                continue
            if fault.every is not None and count % fault.every:
                continue
            seed = f"{self.seed}/{index}/{count}"
            if fault.p < 1 and Random(seed).random() >= fault.p:  # noqa: S311
                continue
            found.append(Due(fault, seed))
        return tuple(found)


class Cuts:
    """Cuts a stream into pieces of random sizes. The cuts are at the same bytes however the stream comes."""

    def __init__(self, sizes: tuple[int, int], chances: Random) -> None:
        self._low, self._high = sizes
        self._chances = chances
        self._left = self._draw()

    def next(self, available: int) -> int:
        """How many of so many bytes (at least one) are the next piece, or what is there of it."""
        size = min(self._left, available)
        self._left -= size
        if not self._left:
            self._left = self._draw()
        return size

    def _draw(self) -> int:
        return self._chances.randint(self._low, self._high)


class Flips:
    """Turns one bit of each byte with a probability, at the same bytes however the stream comes."""

    def __init__(self, share: float, chances: Random) -> None:
        self._share = share
        self._chances = chances
        self._skip = self._draw()

    def apply(self, data: bytes) -> tuple[bytes, list[int]]:
        """The bytes as they go on, and where they were changed."""
        if self._skip >= len(data):
            self._skip -= len(data)
            return data, []
        changed, where, at = bytearray(data), [], self._skip
        while at < len(data):
            changed[at] ^= 1 << self._chances.randrange(8)
            where.append(at)
            at += 1 + self._draw()
        self._skip = at - len(data)
        return bytes(changed), where

    def _draw(self) -> int:
        """How many bytes stay as they are before the next that changes: geometric, by inversion."""
        if self._share >= 1:
            return 0
        return min(int(math.log1p(-self._chances.random()) / math.log1p(-self._share)), 1 << 62)
