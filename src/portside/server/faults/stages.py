"""Stages through which the bytes of one direction pass: each stage feeds what it lets pass to ``next``.

Bytes keep their order within a stage and from one to the next; the end of the stream follows the last of them.
"""

from collections import deque
from collections.abc import Callable

import msgspec

from portside.server.faults.stage_context import FaultStatus, StageContext
from portside.wire.faults.model import Ending, FaultSpec, Limit
from portside.wire.faults.plan import AssignedFault


class Stage:
    """Passes everything on. ``waiting`` is in bytes; ``seen`` counts the bytes that came before those being fed.

    ``assigned`` is the fault that the stage is of, if it is of one.
    """

    assigned: AssignedFault | None = None

    def __init__(self) -> None:
        self.next: Stage = self
        self.waiting = 0
        self.seen = 0
        self.stopped = False

    def feed(self, data: bytes) -> None:
        """Take bytes that came."""
        self.seen += len(data)
        self.next.feed(data)

    def end(self) -> None:
        """Take the end of the stream."""
        self.next.end()

    def flush(self) -> None:
        """Pass on what waits, now."""

    def start(self) -> None:
        """Begin; time counts from now on."""

    def withdraw(self) -> None:
        """Act on nothing any more, and pass on what waits: the fault is taken out."""

    @property
    def status(self) -> FaultStatus:
        """How far the fault has come."""
        return FaultStatus("active", self.waiting)

    def stop(self) -> None:
        """Discard what waits; nothing is fed any more."""
        self.waiting = 0
        self.stopped = True


class PauseBuffer(Stage):
    """Keeps bytes while the protocol has paused reading: delayed bytes come out whether or not it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self._queue: deque[bytes] = deque()
        self._eof_waits = False

    def feed(self, data: bytes) -> None:
        if self.paused or self._queue:
            self._queue.append(data)
            self.waiting += len(data)
        else:
            self.next.feed(data)

    def end(self) -> None:
        if self._queue:
            self._eof_waits = True
        else:
            self.next.end()

    def resume(self) -> None:
        """Pass on what waits, until reading is paused again."""
        self.paused = False
        while self._queue and not self.paused:
            data = self._queue.popleft()
            self.waiting -= len(data)
            self.next.feed(data)
        if self._eof_waits and not self._queue:
            self._eof_waits = False
            self.next.end()

    def flush(self) -> None:
        while self._queue:
            self.resume()

    def stop(self) -> None:
        super().stop()
        self._queue.clear()
        self._eof_waits = False


def trigger_offset(fault: FaultSpec) -> int | None:
    """Bytes that pass before a fault ends something; None where it does so in time, or ends nothing."""
    if isinstance(fault.effect, Limit):
        return fault.effect.max_bytes
    return fault.window.at if isinstance(fault.effect, Ending) else None


def counted_from(fault: FaultSpec, offset: int) -> FaultSpec:
    """A fault whose byte counts begin ``offset`` bytes into the stream: it is put there when so many have passed."""
    window, effect = fault.window, fault.effect
    if window.at is not None:
        window = msgspec.structs.replace(window, at=window.at + offset)
    if isinstance(effect, Limit):
        effect = Limit(effect.max_bytes + offset)
    return msgspec.structs.replace(fault, window=window, effect=effect)


class ByteTrigger(Stage):
    """Triggers a fault that ends something when ``offset`` bytes have passed; ``limit`` when one more comes."""

    def __init__(self, context: StageContext, assigned: AssignedFault, offset: int) -> None:
        super().__init__()
        self.assigned = assigned
        self._context = context
        self._fault = assigned.fault
        self._offset = offset
        self._triggered = False

    @property
    def status(self) -> FaultStatus:
        return FaultStatus("over" if self._triggered else "pending")

    def withdraw(self) -> None:
        self._triggered = True  # whatever comes passes

    def feed(self, data: bytes) -> None:
        if self._triggered:
            self.next.feed(data)
            return
        room = self._offset - self.seen
        before, rest = data[:room], data[room:]
        self.seen += len(before)
        if before:
            self.next.feed(before)
        is_due = self.seen == self._offset and (rest or not isinstance(self._fault.effect, Limit))
        if is_due and not self.stopped:
            self._triggered = True
            self._context.report(self._fault, self.seen)
            self._context.trigger(self._fault)
        if not rest:
            return
        if self.stopped:
            self._context.count_lost(len(rest))
        else:
            self.next.feed(rest)


class PipelineOutput(Stage):
    """The last stage: hands bytes and the end of the stream out of the pipeline."""

    def __init__(self, on_bytes: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        super().__init__()
        self._on_bytes = on_bytes
        self._on_end = on_end

    def feed(self, data: bytes) -> None:
        self.seen += len(data)
        self._on_bytes(data)

    def end(self) -> None:
        self._on_end()
