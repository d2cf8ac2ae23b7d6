"""Deadlines of many items in one coarse timer wheel: no timer for each item, and no work while none is due."""

import asyncio
import math
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")


class HasDeadline(Protocol):
    """An item that has to be checked when its deadline may have passed."""

    def check(self, now: float) -> None:
        """Act where a deadline has passed (seconds, the loop's clock)."""


class TimerWheel(Generic[Item]):
    """Items by the tick in which they are due. No clock is read: times come from the caller, in seconds."""

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


class DeadlineScheduler:
    """Checks items when they are due, by one timer of the loop that runs only while an item is scheduled."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: float) -> None:
        self._loop = loop
        self._wheel: TimerWheel[HasDeadline] = TimerWheel(tick)
        self._running = False

    def schedule(self, item: HasDeadline, at: float) -> None:
        """Have ``item.check`` called at ``at`` (seconds, the loop's clock) or up to two ticks later."""
        self._wheel.schedule(item, at)
        if not self._running:
            self._running = True
            self._loop.call_later(self._wheel.tick, self._turn)

    def _turn(self) -> None:
        now = self._loop.time()
        self._running = False
        for item in self._wheel.take_due(now):
            try:
                item.check(now)
            except Exception as error:  # noqa: BLE001 -- the other items are due too
                self._loop.call_exception_handler({"message": "an error at a deadline", "exception": error})
        if self._wheel and not self._running:
            self._running = True
            self._loop.call_later(self._wheel.tick, self._turn)
