"""Deadlines of many things in one coarse wheel: no timer for each, no work while nothing is due."""

import math
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")


class HasDeadline(Protocol):
    """What is told of the time."""

    def check(self, now: float) -> None:
        """A deadline may have passed (seconds, the loop's clock)."""


class TimerWheel(Generic[Item]):
    """Items by the tick in which they are due. It reads no clock: times come from the caller, in seconds."""

    def __init__(self, tick: float) -> None:
        self.tick = tick
        self._slots: dict[int, list[Item]] = {}
        self._next = 0  # the first tick that was not taken yet

    def __bool__(self) -> bool:
        return bool(self._slots)

    def schedule(self, item: Item, at: float) -> None:
        """Have an item due at ``at`` or up to one tick later."""
        slot = max(math.ceil(at / self.tick), self._next)
        self._slots.setdefault(slot, []).append(item)

    def take_due(self, now: float) -> list[Item]:
        """All items that are due, each once for each time it was scheduled."""
        current = math.floor(now / self.tick)
        self._next = max(self._next, current + 1)
        due = sorted(slot for slot in self._slots if slot <= current)
        return [item for slot in due for item in self._slots.pop(slot)]
