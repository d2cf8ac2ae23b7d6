"""One direction of a connection: its stages in a row, and what they keep back."""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from portside.server.faults.holding import Latency, Rate, Slice, Stall
from portside.server.faults.stages import Corrupt, Drop, Stage, While
from portside.settings.faults import KINDS, Direction, Fault
from portside.wire.faults import Due

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_STAGES: dict[str, type[While]] = {
    "drop": Drop,
    "corrupt": Corrupt,
    "latency": Latency,
    "rate": Rate,
    "slice": Slice,
    "stall": Stall,
}
_COUNTED = ("limit", "half-close", "close", "reset")


class Lane:
    """The way of the bytes of one direction, from ``feed`` to ``out``; of the end of the stream to ``out_end``.

    ``done(fault, offset, size=…, over=…)`` is told what a fault did, ``act(fault, direction)`` that one wants to end
    something, ``moved`` that what waits or stalls may have changed.
    """

    def __init__(
        self,
        loop: "AbstractEventLoop",
        direction: Direction,
        dues: Sequence[Due],
        *,
        out: Callable[[bytes], None],
        out_end: Callable[[], None],
        done: Callable[..., None],
        act: Callable[[Fault, Direction | None], None],
        moved: Callable[[], None],
    ) -> None:
        self.loop = loop
        self.direction: Direction = direction
        self.moved = moved
        self.act = act
        self.stopped = False
        self.stalled = 0
        self.lost = 0  # bytes thrown away
        self._done = done
        self.valve = Valve()
        self._timed: list[While] = []
        order = list(KINDS)
        mine = [due for due in dues if direction in due.fault.directions]
        mine.sort(key=lambda due: order.index(due.fault.kind))
        for due in mine:
            if due.fault.kind in _STAGES:
                self._timed.append(_STAGES[due.fault.kind](self, due))
        stages: list[Stage] = [*self._timed, self.valve]
        stages += [Counted(self, due.fault) for due in mine if due.fault.kind in _COUNTED and due.fault.at is not None]
        stages.append(Exit(out, out_end))
        for stage, follower in pairwise(stages):
            stage.next = follower
        self._stages = stages

    @property
    def waiting(self) -> int:
        """Bytes on their way."""
        return sum(stage.waiting for stage in self._stages)

    def start(self) -> None:
        """The connection is there."""
        for stage in self._timed:
            stage.start()

    def feed(self, data: bytes) -> None:
        """Take bytes that came."""
        if not self.stopped:
            self._stages[0].feed(data)

    def end(self) -> None:
        """Take the end of the stream; it follows what is on its way."""
        if not self.stopped:
            self._stages[0].end()

    def flush(self) -> None:
        """Let go of what waits, all of it, now."""
        for stage in self._stages:
            stage.flush()

    def stop(self) -> None:
        """Forget what waits; no byte passes any more."""
        if not self.stopped:
            self.stopped = True
            self.lost += self.waiting
            for stage in self._stages:
                stage.stop()

    def done(self, fault: Fault, offset: int, *, size: int | None = None, over: bool = False) -> None:
        """A fault did something in this direction."""
        self._done(fault, offset, self.direction, size=size, over=over)


class Valve(Stage):
    """Keeps bytes while the program does not read: what was delayed is no reason to give it more than it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.shut = False
        self._kept: deque[bytes] = deque()
        self._ends = False

    def feed(self, data: bytes) -> None:
        if self.shut or self._kept:
            self._kept.append(data)
            self.waiting += len(data)
        else:
            self.next.feed(data)

    def end(self) -> None:
        if self._kept:
            self._ends = True
        else:
            self.next.end()

    def open(self) -> None:
        """Go on, until it is shut again."""
        self.shut = False
        while self._kept and not self.shut:
            data = self._kept.popleft()
            self.waiting -= len(data)
            self.next.feed(data)
        if self._ends and not self._kept:
            self._ends = False
            self.next.end()

    def flush(self) -> None:
        while self._kept:
            self.open()

    def stop(self) -> None:
        super().stop()
        self._kept.clear()
        self._ends = False


class Counted(Stage):
    """A fault that ends something when so many bytes passed; ``limit`` when one more comes."""

    def __init__(self, lane: Lane, fault: Fault) -> None:
        super().__init__()
        self._lane = lane
        self._fault = fault
        self._acted = False

    def feed(self, data: bytes) -> None:
        fault, lane = self._fault, self._lane
        if self._acted or fault.at is None:
            self.next.feed(data)
            return
        room = fault.at - self.seen
        before, rest = data[:room], data[room:]
        self.seen += len(before)
        if before:
            self.next.feed(before)
        if self.seen == fault.at and (rest or fault.kind != "limit") and not lane.stopped:
            self._acted = True
            lane.done(fault, self.seen)
            lane.act(fault, lane.direction)
        if not rest:
            return
        if lane.stopped:
            lane.lost += len(rest)
        else:
            self.next.feed(rest)


class Exit(Stage):
    """The end of the row."""

    def __init__(self, out: Callable[[bytes], None], out_end: Callable[[], None]) -> None:
        super().__init__()
        self._out = out
        self._out_end = out_end

    def feed(self, data: bytes) -> None:
        self._out(data)

    def end(self) -> None:
        self._out_end()
