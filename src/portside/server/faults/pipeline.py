"""One direction of a faulty link: the stages of its faults in a row, and the state of the stream."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from portside.server.faults.delay_stages import LatencyStage, RateStage, SliceStage, StallStage
from portside.server.faults.link_state import StreamState, advance
from portside.server.faults.stage_context import FaultStatus, StageContext
from portside.server.faults.stages import (
    ByteTrigger,
    PauseBuffer,
    PipelineOutput,
    Stage,
    counted_from,
    trigger_offset,
)
from portside.server.faults.timed_fault import CorruptStage, DropStage, TimedFault
from portside.wire.faults.model import KINDS, Corrupt, Drop, Effect, Latency, Rate, Slice, Stall
from portside.wire.faults.plan import AssignedFault

_ORDER: Final = list(KINDS)
_STAGES: Final[dict[type[Effect], type[TimedFault[Any]]]] = {
    Drop: DropStage,
    Corrupt: CorruptStage,
    Latency: LatencyStage,
    Rate: RateStage,
    Slice: SliceStage,
    Stall: StallStage,
}


class FaultPipeline:
    """Stages between ``feed`` and ``on_bytes``, and for the end of the stream between ``end`` and ``on_end``.

    The stages are in this order: faults that last, in the order of ``KINDS``; the buffer for the time in which the
    protocol has paused reading; faults that end something.
    """

    def __init__(
        self,
        context: StageContext,
        assigned: Sequence[AssignedFault],
        on_bytes: Callable[[bytes], None],
        on_end: Callable[[], None],
        *,
        passed: int = 0,
    ) -> None:
        self.state = StreamState.OPEN
        self._context = context
        self._on_end = on_end
        self._pause_buffer = PauseBuffer()
        mine = [each for each in assigned if context.direction in each.fault.window.directions]
        mine.sort(key=lambda each: _ORDER.index(each.fault.kind))
        made = [stage for each in mine if (stage := self._make_stage(each)) is not None]
        timed = [stage for stage in made if isinstance(stage, TimedFault)]
        triggers = [stage for stage in made if isinstance(stage, ByteTrigger)]
        output = PipelineOutput(on_bytes, self._pass_end)
        output.seen = passed
        self._stages: list[Stage] = [*timed, self._pause_buffer, *triggers, output]
        self._join()

    def _make_stage(self, assigned: AssignedFault) -> Stage | None:
        """The stage of a fault; None for one that ends something in time, which is the link's."""
        effect = assigned.fault.effect
        stage = _STAGES.get(type(effect))
        if stage is not None:
            return stage(self._context, assigned, effect)
        offset = trigger_offset(assigned.fault)
        return ByteTrigger(self._context, assigned, offset) if offset is not None else None

    def _join(self) -> None:
        for before, after in pairwise(self._stages):
            before.next = after

    def insert(self, assigned: AssignedFault) -> None:
        """Have a fault act on what comes from now on, at its place in the order; its bytes count from here.

        Bytes that wait behind its place are not touched, those that wait before it are.
        """
        if self._context.direction not in assigned.fault.window.directions:
            return
        stages, order = self._stages, _ORDER.index(assigned.fault.kind)
        lasts = type(assigned.fault.effect) in _STAGES
        middle = stages.index(self._pause_buffer)
        first, end = (0, middle) if lasts else (middle + 1, len(stages) - 1)
        place = first
        while place < end and self._order_of(stages[place]) <= order:
            place += 1
        passed = stages[-1].seen + sum(stage.waiting for stage in stages[place:])
        stage = self._make_stage(AssignedFault(counted_from(assigned.fault, passed), assigned.seed))
        if stage is None:
            return
        stage.assigned, stage.seen = assigned, passed
        stages.insert(place, stage)
        self._join()
        stage.start()

    def remove(self, assigned: AssignedFault) -> None:
        """Take a fault out; what it keeps back passes on first, in order."""
        stage = self._find(assigned)
        if stage is not None:
            stage.withdraw()
            self._stages.remove(stage)
            self._join()

    def set_rate(self, before: AssignedFault, after: AssignedFault) -> None:
        """Put another fault of the kind ``rate`` in the place of one."""
        stage = self._find(before)
        if isinstance(stage, RateStage) and isinstance(after.fault.effect, Rate):
            stage.set_rate(after, after.fault.effect)

    def status(self, assigned: AssignedFault) -> FaultStatus | None:
        """How far a fault has come; None where it is not in this direction."""
        stage = self._find(assigned)
        return stage.status if stage is not None else None

    def _find(self, assigned: AssignedFault) -> Stage | None:
        return next((stage for stage in self._stages if stage.assigned is assigned), None)

    @staticmethod
    def _order_of(stage: Stage) -> int:
        return _ORDER.index(stage.assigned.fault.kind) if stage.assigned is not None else -1

    @property
    def waiting(self) -> int:
        """Bytes on their way."""
        return sum(stage.waiting for stage in self._stages)

    @property
    def lost(self) -> int:
        """Bytes that went in and will never come out."""
        return self._context.lost

    @property
    def is_stalled(self) -> bool:
        """Whether a fault lets nothing pass."""
        return self._context.stalls > 0

    @property
    def paused(self) -> bool:
        """Whether bytes are kept because the protocol has paused reading."""
        return self._pause_buffer.paused

    def start(self) -> None:
        """Begin the faults, and the time of those that begin later: the connection is made."""
        for stage in list(self._stages):
            stage.start()

    def feed(self, data: bytes) -> None:
        """Take bytes; they are lost unless the stream is open."""
        if self.state is StreamState.OPEN:
            self._stages[0].feed(data)
        else:
            self._context.count_lost(len(data))

    def take_over_ended(self) -> None:
        """Begin with a stream whose end has passed already."""
        self.state = advance(advance(self.state, StreamState.EOF_PENDING), StreamState.EOF_PASSED)

    def end(self) -> None:
        """Take the end of the stream, which follows what is on its way."""
        if self.state is StreamState.OPEN:
            self.state = advance(self.state, StreamState.EOF_PENDING)
            self._stages[0].end()

    def pause(self) -> None:
        """Keep what the delays let go, until ``resume``."""
        self._pause_buffer.paused = True

    def resume(self) -> None:
        """Pass on what was kept, until paused again."""
        self._pause_buffer.resume()

    def flush(self) -> None:
        """Pass on all that waits, now; a stall keeps what it has."""
        for stage in self._stages:
            stage.flush()

    def stop(self) -> None:
        """Discard what waits; nothing passes any more."""
        if self.state is not StreamState.DISCARDED:
            self.state = advance(self.state, StreamState.DISCARDED)
            self._context.count_lost(self.waiting)
            for stage in self._stages:
                stage.stop()

    def _pass_end(self) -> None:
        self.state = advance(self.state, StreamState.EOF_PASSED)
        self._on_end()
