"""One direction of a faulty link: the stages of its faults in a row, and the state of the stream."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from portside.server.faults.delay_stages import LatencyStage, RateStage, SliceStage, StallStage
from portside.server.faults.link_state import StreamState, advance
from portside.server.faults.stage_context import StageContext
from portside.server.faults.stages import ByteTrigger, PauseBuffer, PipelineOutput, Stage, trigger_offset
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
    ) -> None:
        self.state = StreamState.OPEN
        self._context = context
        self._on_end = on_end
        self._pause_buffer = PauseBuffer()
        mine = [each for each in assigned if context.direction in each.fault.window.directions]
        mine.sort(key=lambda each: _ORDER.index(each.fault.kind))
        self._timed: list[TimedFault[Any]] = []
        triggers: list[ByteTrigger] = []
        for each in mine:
            effect = each.fault.effect
            stage = _STAGES.get(type(effect))
            offset = trigger_offset(each.fault)
            if stage is not None:
                self._timed.append(stage(context, each, effect))
            elif offset is not None:
                triggers.append(ByteTrigger(context, each.fault, offset))
        output = PipelineOutput(on_bytes, self._pass_end)
        self._stages: list[Stage] = [*self._timed, self._pause_buffer, *triggers, output]
        for before, after in pairwise(self._stages):
            before.next = after

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
        for stage in self._timed:
            stage.start()

    def feed(self, data: bytes) -> None:
        """Take bytes; they are lost unless the stream is open."""
        if self.state is StreamState.OPEN:
            self._stages[0].feed(data)
        else:
            self._context.count_lost(len(data))

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
