"""Faults that delay bytes: latency, rate, slice and stall. Delays are lower bounds, to the precision of the clock."""

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from portside.server.faults.stage_context import StageContext
from portside.server.faults.timed_fault import AnyEffect, Phase, TimedFault
from portside.wire.faults.model import Latency, Rate, Slice, Stall
from portside.wire.faults.plan import AssignedFault
from portside.wire.faults.transforms import Slicer

if TYPE_CHECKING:
    from asyncio import TimerHandle

_NEXT_TURN_S = 1e-9
_RATE_STEP_S = 0.02  # how often a limited rate sends: in steps, but never less than a byte


class DelayStage(TimedFault[AnyEffect]):
    """Base of the faults that delay bytes. Subclasses decide when the next piece passes, and how large it is."""

    def __init__(self, context: StageContext, assigned: AssignedFault, effect: AnyEffect) -> None:
        super().__init__(context, assigned, effect)
        self._queue: deque[tuple[float, bytes | memoryview]] = deque()  # when each may go (``_release_time``), and it
        self._wake: TimerHandle | None = None
        self._eof_waits = False
        self._reported = False

    def _wait(self) -> float:
        """Seconds until the next piece may go; 0 or less: now."""
        return 0.0

    def _next_size(self) -> int:
        """Bytes of the next piece, which may go now."""
        return len(self._queue[0][1])

    def _release_time(self) -> float:
        """The time on the monotonic clock at which bytes that come now may go, where each piece has its own."""
        return 0.0

    def take(self, data: bytes) -> None:
        if not self._reported:
            self._reported = True
            self._report()
        self._queue.append((self._release_time(), data))
        self.waiting += len(data)
        if self._wake is None:
            self._release()

    def _pass_on(self, data: bytes) -> None:
        if self._queue:  # fed while the rest of the queue is being passed on: it follows
            self.seen += len(data)
            self._queue.append((0.0, data))
            self.waiting += len(data)
        else:
            super()._pass_on(data)

    def end(self) -> None:
        if self._queue:
            self._eof_waits = True
        else:
            self.next.end()

    def _release(self) -> None:
        """Pass on what may go, and set a timer for the rest."""
        self._wake = None
        while self._queue:
            wait = self._wait()
            if wait > 0:
                self._wake = self._context.loop.call_later(wait, self._on_wake)
                return
            self._release_piece(self._next_size())
        if self._eof_waits:
            self._eof_waits = False
            self.next.end()

    def _on_wake(self) -> None:
        self._release()
        self._context.changed()

    def _release_piece(self, size: int) -> None:
        release_time, data = self._queue.popleft()
        if size < len(data):  # a view: the rest of a large block is not copied for each small piece
            data = memoryview(data)
            self._queue.appendleft((release_time, data[size:]))
            data = data[:size]
        self.waiting -= size
        self.next.feed(bytes(data))

    def flush(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
        while self._queue:
            self._release_piece(len(self._queue[0][1]))
        self._release()  # the queue is empty: only the end of the stream may be left

    def stop(self) -> None:
        super().stop()
        self._queue.clear()
        self._eof_waits = False
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None


class LatencyStage(DelayStage[Latency]):
    """Passes everything on later, by a time that differs from piece to piece where there is jitter."""

    def __init__(self, context: StageContext, assigned: AssignedFault, effect: Latency) -> None:
        super().__init__(context, assigned, effect)
        self._last_release = 0.0

    def _release_time(self) -> float:
        jitter = self._effect.jitter
        delay = self._effect.delay + (self._rng.uniform(-jitter, jitter) if jitter else 0.0)
        self._last_release = max(self._last_release, monotonic() + delay)
        return self._last_release

    def _wait(self) -> float:
        return self._queue[0][0] - monotonic()

    def end(self) -> None:
        # The end comes later too: an empty piece that waits like any other.
        if self._phase is Phase.ACTIVE:
            self._queue.append((self._release_time(), b""))
            self._eof_waits = True
            if self._wake is None:
                self._release()
        else:
            super().end()

    def _release_piece(self, size: int) -> None:
        if self._queue[0][1]:
            super()._release_piece(size)
        else:
            self._queue.popleft()


class RateStage(DelayStage[Rate]):
    """Passes a limited number of bytes per second."""

    def __init__(self, context: StageContext, assigned: AssignedFault, effect: Rate) -> None:
        super().__init__(context, assigned, effect)
        self._free_at = 0.0

    def set_rate(self, assigned: AssignedFault, effect: Rate) -> None:
        """Limit to another rate from now on; what waits goes on waiting, at that rate."""
        self.assigned, self._fault, self._effect = assigned, assigned.fault, effect
        self._free_at = 0.0
        if self._wake is not None:
            self._wake.cancel()
            self._release()

    def _wait(self) -> float:
        return self._free_at - monotonic()

    def _next_size(self) -> int:
        rate = self._effect.bytes_per_s
        size = min(len(self._queue[0][1]), max(1, int(rate * _RATE_STEP_S)))
        # A timer that came late is made up for, but no more than for one step: what was not used is not saved up.
        now = monotonic()
        self._free_at = max(self._free_at, now - _RATE_STEP_S) + size / rate
        return size


class SliceStage(DelayStage[Slice]):
    """Passes pieces, with a gap or at least a turn of the loop between them, so that each is a write of its own."""

    def __init__(self, context: StageContext, assigned: AssignedFault, effect: Slice) -> None:
        super().__init__(context, assigned, effect)
        self._slicer = Slicer(effect.sizes, self._rng)
        self._free_at = 0.0
        self._sent_this_turn = False  # of the loop; used where there is no gap

    def _wait(self) -> float:
        if self._effect.gap:
            return self._free_at - monotonic()
        sent, self._sent_this_turn = self._sent_this_turn, False
        return _NEXT_TURN_S if sent else 0.0

    def _next_size(self) -> int:
        self._free_at = monotonic() + self._effect.gap
        self._sent_this_turn = True
        return self._slicer.next(len(self._queue[0][1]))


class StallStage(DelayStage[Stall]):
    """Passes nothing while the fault is active."""

    reports_begin = True

    def _begin(self) -> None:
        super()._begin()
        self._context.set_stalled(True)
        self._context.changed()

    def _finish(self) -> None:
        self._context.set_stalled(False)
        super()._finish()

    def withdraw(self) -> None:
        if self._phase is Phase.ACTIVE:
            self._context.set_stalled(False)
        super().withdraw()

    def take(self, data: bytes) -> None:
        self._queue.append((0.0, data))
        self.waiting += len(data)

    def end(self) -> None:
        if self._phase is Phase.ACTIVE:
            self._eof_waits = True
        else:
            super().end()

    def flush(self) -> None:
        if self._phase is not Phase.ACTIVE:
            super().flush()
