"""Events with their numbers, in blocks: what the ring holds and drops at a time."""

from collections.abc import Sequence
from typing import Final

from portside.events import Event

Entry = tuple[int, Event]
"""An event and its number."""

EVENT_BYTES: Final = 200
"""Of memory, for an event with payload beside the payload: itself, its time, headers of objects, its place."""


class EventBlock:
    """Events with ascending numbers. ``weight`` is bytes of memory.

    ``counts`` is how many events each connection has in a block of payload, once it gets no more of them.
    """

    __slots__ = ("counts", "events", "numbers", "weight")

    def __init__(self, numbers: Sequence[int], events: list[Event], weight: int) -> None:
        self.numbers = numbers
        self.events = events
        self.weight = weight
        self.counts: dict[int, int] | None = None

    def extend(self, numbers: Sequence[int], events: Sequence[Event], weight: int) -> None:
        """Add later events."""
        own = self.numbers
        if isinstance(own, list):
            own += numbers
        elif isinstance(own, range) and isinstance(numbers, range) and own.stop == numbers.start:
            self.numbers = range(own.start, numbers.stop)
        else:
            self.numbers = [*own, *numbers]
        self.events += events
        self.weight += weight
