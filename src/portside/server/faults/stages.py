"""What a fault does to the bytes of one direction: stages in a row, each hands on to the next.

A stage passes on what it gets as it is until its fault begins, and again when that is over. Bytes keep their order
within a stage and from one to the next; the end of the stream follows the last of them.
"""

from typing import TYPE_CHECKING

from portside.wire.faults import Due, Flips

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from random import Random

    from portside.server.faults.lane import Lane


class Stage:
    """Passes everything on. ``waiting`` is in bytes; ``seen`` counts what came before what is fed."""

    def __init__(self) -> None:
        self.next: Stage = self
        self.waiting = 0
        self.seen = 0

    def feed(self, data: bytes) -> None:
        """Take bytes that came."""
        self.seen += len(data)
        self.next.feed(data)

    def end(self) -> None:
        """Take the end of the stream."""
        self.next.end()

    def flush(self) -> None:
        """Let go of what waits, now."""

    def stop(self) -> None:
        """Forget what waits: no byte passes any more."""
        self.waiting = 0


class While(Stage):
    """A fault that lasts: from so many bytes or so much time on, for so long."""

    tells_at_once = False  # whether it shows before a byte is concerned

    def __init__(self, lane: "Lane", due: Due) -> None:
        super().__init__()
        self.lane = lane
        self.fault = due.fault
        self._chances: Random = due.chances(lane.direction)
        self._loop: AbstractEventLoop = lane.loop
        self._timer: TimerHandle | None = None
        self._on = False
        self.over = False
        self._told = False

    def start(self) -> None:
        """The connection is there."""
        fault = self.fault
        if fault.after:
            self._timer = self._loop.call_later(fault.after, self._begin)
        elif fault.at is None:
            self._begin()

    def _begin(self) -> None:
        self._on = True
        self._timer = None
        if self.fault.lasts is not None:
            self._timer = self._loop.call_later(self.fault.lasts, self._finish)
        if self.tells_at_once:
            self.tell()

    def _finish(self) -> None:
        self._on, self.over = False, True
        self.lane.done(self.fault, self.seen, over=True)
        self.flush()
        self.lane.moved()

    def tell(self, size: int | None = None, at: int = 0) -> None:
        """It did something: to so many bytes, the first of them ``at`` bytes after those seen."""
        self._told = True
        self.lane.done(self.fault, self.seen + at, size=size)

    def feed(self, data: bytes) -> None:
        if not self._on and not self.over and self.fault.at is not None:
            room = self.fault.at - self.seen
            before, data = data[:room], data[room:]
            if before:
                self.pass_on(before)
            if self.lane.stopped:
                self.lane.lost += len(data)
                return
            if self.seen < self.fault.at:
                return
            self._begin()
        if not data:
            return
        if self._on:
            self.take(data)
            self.seen += len(data)
        else:
            self.pass_on(data)

    def pass_on(self, data: bytes) -> None:
        """The fault is not there, or no more."""
        self.seen += len(data)
        self.next.feed(data)

    def take(self, data: bytes) -> None:
        """Do to bytes what the fault does."""
        raise NotImplementedError

    def stop(self) -> None:
        super().stop()
        self._on = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Drop(While):
    """Takes bytes and throws them away."""

    def take(self, data: bytes) -> None:
        self.lane.lost += len(data)
        self.tell(len(data))


class Corrupt(While):
    """Turns bits."""

    def __init__(self, lane: "Lane", due: Due) -> None:
        super().__init__(lane, due)
        self._flips = Flips(due.fault.share, self._chances)

    def take(self, data: bytes) -> None:
        changed, where = self._flips.apply(data)
        if where:
            self.tell(len(where), where[0])
        self.next.feed(changed)
