"""The schedule of the live display's polls: once per interval and on request; paused, only on request."""

import asyncio
import enum
import time
from collections.abc import Awaitable, Callable

_LONGEST_INTERVAL_S = 10 * 365 * 86400.0  # timers of the loop do not accept much longer intervals
_SHORTEST_WAIT_S = 0.02


class Polling(enum.Flag):
    """The state of a poll loop; the two flags are independent.

    PAUSED: the user has paused the loop, and only ``wake`` causes a poll. IN_PROGRESS: a poll has begun and not ended.
    """

    PAUSED = enum.auto()
    IN_PROGRESS = enum.auto()


class PollLoop:
    """Polls repeatedly; ``interval_s`` is the time from the beginning of one poll to the beginning of the next."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s = min(interval_s, _LONGEST_INTERVAL_S)
        self._state = Polling(0)
        self._wake = asyncio.Event()

    @property
    def stands_still(self) -> bool:
        """Whether the loop is paused, and no poll from before the pause is still in progress."""
        return self._state == Polling.PAUSED

    def wake(self) -> None:
        """Poll at once, paused or not."""
        self._wake.set()

    def toggle_pause(self) -> None:
        """Pause, or resume with a poll at once."""
        self._state ^= Polling.PAUSED
        if Polling.PAUSED not in self._state:
            self.wake()

    async def run(self, poll: Callable[[], Awaitable[None]], polled: Callable[[], None]) -> None:
        """Call ``poll`` and after it ``polled``, for ever. After a long poll the loop waits at least as long."""
        took_s = 0.0
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), max(self.interval_s - took_s, took_s, _SHORTEST_WAIT_S))
            except TimeoutError:
                if Polling.PAUSED in self._state:
                    took_s = 0.0
                    continue
            self._wake.clear()
            self._state |= Polling.IN_PROGRESS
            began = time.monotonic()
            await poll()
            took_s = time.monotonic() - began
            self._state &= ~Polling.IN_PROGRESS
            polled()
