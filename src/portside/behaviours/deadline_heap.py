"""Deadlines of many connections behind one timer: an entry in a heap for each, none while nothing is due.

A deadline that moves to later leaves its entry where it is; when that comes up, it is asked again when it is due. So a
deadline that each message puts off costs nothing for a message.
"""

import asyncio
import heapq
import math
from collections.abc import Callable
from itertools import count
from typing import Generic, Protocol, TypeVar


class HeapItem(Protocol):
    """What has a deadline; ``deadline`` is when its entry comes up (the loop's clock), infinite where it has none."""

    deadline: float


Item = TypeVar("Item", bound=HeapItem)


class DeadlineHeap(Generic[Item]):
    """Calls ``on_deadline(item, now)`` when an item's entry comes up; it then sets the next, where there is one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_deadline: Callable[[Item, float], None]) -> None:
        self._loop = loop
        self._on_deadline = on_deadline
        self._heap: list[tuple[float, int, Item]] = []
        self._order = count()
        self._live = 0
        self._timer: asyncio.Handle | None = None
        self._timer_at = math.inf

    def set(self, item: Item, at: float) -> None:
        """Have an item asked at ``at`` at the latest."""
        if at >= item.deadline:
            return
        if item.deadline == math.inf:
            self._live += 1
        item.deadline = at
        heapq.heappush(self._heap, (at, next(self._order), item))
        if len(self._heap) > 64 + 4 * self._live:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].deadline]
            heapq.heapify(self._heap)
        self._arm()

    def drop(self, item: Item) -> None:
        """An item has no deadline any more."""
        if item.deadline != math.inf:
            item.deadline = math.inf
            self._live -= 1

    def stop(self) -> None:
        """Nothing rings any more."""
        self._heap.clear()
        self._arm()

    def _arm(self) -> None:
        first = self._heap[0][0] if self._heap else math.inf
        if self._timer is not None:
            if self._timer_at <= first < math.inf:
                return
            self._timer.cancel()
            self._timer = None
        if first < math.inf:
            self._timer = self._loop.call_at(first, self._turn)
            self._timer_at = first

    def _turn(self) -> None:
        self._timer = None
        now = self._loop.time() + 0.0005  # a timer may come that much early: uvloop counts in milliseconds
        due: list[Item] = []
        while self._heap and self._heap[0][0] <= now:
            at, _, item = heapq.heappop(self._heap)
            if at == item.deadline:
                self.drop(item)
                due.append(item)
        for item in due:
            self._on_deadline(item, now)
        self._arm()
