"""Deadlines of many connections behind one timer of the loop: a heap entry for each, no timer without entries.

Postponing a deadline does not move its heap entry; when the entry comes up, its owner returns the current deadline. So
a deadline that every message postpones costs nothing per message.
"""

import asyncio
import heapq
import math
from collections.abc import Callable
from itertools import count
from typing import Generic, Protocol, TypeVar

_EARLY_S = 0.0005  # by which a timer may fire too early: uvloop counts in milliseconds


class HasHeapEntry(Protocol):
    """Owner of a deadline. ``entry_at`` is the time of its heap entry (the loop's clock), infinite without one."""

    entry_at: float


Owner = TypeVar("Owner", bound=HasHeapEntry)


class DeadlineHeap(Generic[Owner]):
    """Calls ``on_deadline(owner, now)`` when the entry of an owner comes up; the owner may then set its next one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_deadline: Callable[[Owner, float], None]) -> None:
        self._loop = loop
        self._on_deadline = on_deadline
        self._heap: list[tuple[float, int, Owner]] = []
        self._order = count()
        self._live = 0  # entries that are not stale
        self._timer: asyncio.Handle | None = None
        self._timer_at = math.inf

    def set(self, owner: Owner, at: float) -> None:
        """Have ``on_deadline`` called at ``at`` at the latest."""
        if at >= owner.entry_at:
            return
        if owner.entry_at == math.inf:
            self._live += 1
        owner.entry_at = at
        heapq.heappush(self._heap, (at, next(self._order), owner))
        if len(self._heap) > 64 + 4 * self._live:
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].entry_at]
            heapq.heapify(self._heap)
        self._arm()

    def drop(self, owner: Owner) -> None:
        """Forget the deadline of an owner."""
        if owner.entry_at != math.inf:
            owner.entry_at = math.inf
            self._live -= 1

    def stop(self) -> None:
        """Forget all deadlines."""
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
            self._timer = self._loop.call_at(first, self._expire)
            self._timer_at = first

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time() + _EARLY_S
        expired: list[Owner] = []
        while self._heap and self._heap[0][0] <= now:
            at, _, owner = heapq.heappop(self._heap)
            if at == owner.entry_at:
                self.drop(owner)
                expired.append(owner)
        for owner in expired:
            try:
                self._on_deadline(owner, now)
            except Exception as error:  # noqa: BLE001 -- the other owners' deadlines have expired too
                self._loop.call_exception_handler({"message": "an error at a deadline", "exception": error})
        self._arm()
