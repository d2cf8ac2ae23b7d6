"""Output in the order of its times, although some of it is decided later than what comes after it.

An unfinished line may still become part of a longer one, and a FIN may be followed by the closing at once. Such an
event reserves a place, and what is rendered after it waits behind the place until that is settled: filled, or left
empty. A place that cannot hold up the rest any longer is given up.
"""

from collections import deque
from typing import Final

MOST_BEHIND: Final = 1 << 20  # bytes of payload that may wait behind places: more, and the places are given up


class EventLine(bytes):
    """A rendered event without payload, which a terminal shows even where it skips payload."""

    __slots__ = ()


class Place:
    """A place in the output: ``pieces`` is what fills it, None while that is open; ``after`` is what came later."""

    __slots__ = ("after", "pieces")

    def __init__(self) -> None:
        self.pieces: list[bytes] | None = None
        self.after: list[bytes] = []


class OrderedOutput:
    """The places that are reserved, in their order, and what waits behind them."""

    def __init__(self) -> None:
        self.places: deque[Place] = deque()
        self._behind = 0  # bytes of payload

    def end(self, out: list[bytes]) -> list[bytes]:
        """Where to append what comes next: ``out``, or behind the last place."""
        return self.places[-1].after if self.places else out

    def reserve(self) -> Place:
        """Reserve a place at the end."""
        place = Place()
        self.places.append(place)
        return place

    def release(self, out: list[bytes]) -> None:
        """Append what no open place holds up any more."""
        places = self.places
        while places and (pieces := places[0].pieces) is not None:
            out += pieces
            out += places.popleft().after
        if not places:
            self._behind = 0

    def is_too_long(self, added: int) -> bool:
        """Count further bytes of payload that wait behind a place; whether they have become too many."""
        self._behind += added
        return self._behind > MOST_BEHIND
