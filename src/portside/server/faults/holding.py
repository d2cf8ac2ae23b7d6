"""Faults that keep bytes back: latency, rate, slice and stall. Times are lower bounds, to the clock's own precision."""

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from portside.server.faults.stages import While
from portside.wire.faults import Cuts, Due

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from portside.server.faults.lane import Lane

_NEXT_TURN_S = 1e-9
PACE_S = 0.02  # how often a limited rate sends: in steps, but never less than a byte


class Holding(While):
    """A fault that keeps bytes back. Subclasses say when the next piece may go, and how large it is."""

    def __init__(self, lane: "Lane", due: Due) -> None:
        super().__init__(lane, due)
        self._queue: deque[tuple[float, bytes | memoryview]] = deque()  # what, and what ``due`` says of it
        self._handle: TimerHandle | None = None
        self._ends = False

    def wait(self) -> float:
        """Seconds until the next piece may go; 0 or less: now."""
        return 0.0

    def size(self) -> int:
        """Bytes of the next piece, which may go now."""
        return len(self._queue[0][1])

    def due(self) -> float:
        """What ``wait`` wants to know of bytes that come now."""
        return 0.0

    def take(self, data: bytes) -> None:
        if not self._told:
            self.tell()
        self._queue.append((self.due(), data))
        self.waiting += len(data)
        if self._handle is None:
            self._go()

    def end(self) -> None:
        if self._queue:
            self._ends = True
        else:
            self.next.end()

    def _go(self) -> None:
        """Let go of what may go, and come back for the rest."""
        self._handle = None
        while self._queue:
            wait = self.wait()
            if wait > 0:
                self._handle = self._loop.call_later(wait, self._awake)
                return
            self._let_go(self.size())
        if self._ends and not self.lane.stopped:
            self._ends = False
            self.next.end()

    def _awake(self) -> None:
        self._go()
        self.lane.moved()

    def _let_go(self, size: int) -> None:
        due, data = self._queue.popleft()
        if size < len(data):  # a view: the rest of a large block is not copied for each small piece
            data = memoryview(data)
            self._queue.appendleft((due, data[size:]))
            data = data[:size]
        self.waiting -= size
        self.next.feed(bytes(data))

    def flush(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        while self._queue:
            self._let_go(len(self._queue[0][1]))
        self._go()  # nothing waits: what is left is the end of the stream

    def stop(self) -> None:
        super().stop()
        self._queue.clear()
        self._ends = False
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class Latency(Holding):
    """Passes everything on later, by a time that is not the same for each piece where there is jitter."""

    def __init__(self, lane: "Lane", due: Due) -> None:
        super().__init__(lane, due)
        self._last = 0.0

    def due(self) -> float:
        jitter = self.fault.jitter
        delay = self.fault.time + (self._chances.uniform(-jitter, jitter) if jitter else 0.0)
        self._last = max(self._last, monotonic() + delay)
        return self._last

    def wait(self) -> float:
        return self._queue[0][0] - monotonic()

    def end(self) -> None:
        # The end comes later too: an empty piece that waits like any other.
        if self._on:
            self._queue.append((self.due(), b""))
            self._ends = True
            if self._handle is None:
                self._go()
        else:
            super().end()

    def _let_go(self, size: int) -> None:
        if self._queue[0][1]:
            super()._let_go(size)
        else:
            self._queue.popleft()


class Rate(Holding):
    """So many bytes a second."""

    def __init__(self, lane: "Lane", due: Due) -> None:
        super().__init__(lane, due)
        self._free_at = 0.0

    def wait(self) -> float:
        return self._free_at - monotonic()

    def size(self) -> int:
        size = min(len(self._queue[0][1]), max(1, int(self.fault.rate * PACE_S)))
        # A timer that came late is made up for, but no more than for one step: what was not used is not saved up.
        now = monotonic()
        self._free_at = max(self._free_at, now - PACE_S) + size / self.fault.rate
        return size


class Slice(Holding):
    """In pieces, with time between them or at least a turn of the loop, so that each is a write of its own."""

    def __init__(self, lane: "Lane", due: Due) -> None:
        super().__init__(lane, due)
        self._cuts = Cuts(due.fault.sizes, self._chances)
        self._free_at = 0.0
        self._went = False  # in this turn, where there is no gap

    def wait(self) -> float:
        if self.fault.gap:
            return self._free_at - monotonic()
        went, self._went = self._went, False
        return _NEXT_TURN_S if went else 0.0

    def size(self) -> int:
        self._free_at = monotonic() + self.fault.gap
        self._went = True
        return self._cuts.next(len(self._queue[0][1]))


class Stall(Holding):
    """Nothing passes. Of what comes in nothing is read either."""

    tells_at_once = True

    def _begin(self) -> None:
        super()._begin()
        self.lane.stalled += 1
        self.lane.moved()

    def _finish(self) -> None:
        self.lane.stalled -= 1
        super()._finish()

    def take(self, data: bytes) -> None:
        self._queue.append((0.0, data))
        self.waiting += len(data)

    def end(self) -> None:
        if self._on:
            self._ends = True
        else:
            super().end()

    def flush(self) -> None:
        if not self._on:
            super().flush()
