"""What a worker does later: calls after a time, and limits for how long a slot may be in a state."""

import heapq
from collections import deque
from collections.abc import Callable

from portside.load.slot_state import SlotState, Timed


class Timers:
    """Timers by the nanoseconds of a clock; whoever has them calls ``run``. All limits have the same length."""

    def __init__(self, clock_ns: Callable[[], int], limit_ns: int) -> None:
        self._clock_ns = clock_ns
        self._limit_ns = limit_ns
        self._calls: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._limits: deque[tuple[int, Timed, int, SlotState]] = deque()

    def after(self, wait_ns: int, call: Callable[[], None]) -> None:
        """Call later; what is called must see for itself whether it is still of interest."""
        self._count += 1
        heapq.heappush(self._calls, (self._clock_ns() + wait_ns, self._count, call))

    def limit(self, slot: Timed, generation: int, state: SlotState) -> None:
        """Have a connection of a slot end if it is still in a state when the limit is over."""
        self._limits.append((self._clock_ns() + self._limit_ns, slot, generation, state))

    def run(self, now_ns: int) -> None:
        """Do what is due."""
        while self._calls and self._calls[0][0] <= now_ns:
            heapq.heappop(self._calls)[2]()
        limits = self._limits
        while limits:
            due, slot, generation, state = limits[0]
            is_in_force = slot.is_in(generation, state)
            if is_in_force and due > now_ns:
                return
            limits.popleft()
            if is_in_force:
                slot.time_out()

    def next_ns(self, latest_ns: int) -> int:
        """When the next is due; ``latest_ns`` where that is sooner."""
        if self._calls:
            latest_ns = min(latest_ns, self._calls[0][0])
        return min(latest_ns, self._limits[0][0]) if self._limits else latest_ns
