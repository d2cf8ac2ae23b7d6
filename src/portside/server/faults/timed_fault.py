"""Faults that last, from an offset or a time on and for a duration: drop and corrupt; ``delay_stages`` has the others.

PENDING   the fault has not begun: bytes pass as they are
ACTIVE    the fault acts on the bytes that arrive
OVER      the fault has ended: bytes pass as they are

from       to        caused by
PENDING    ACTIVE    start (neither at nor after), its timer (after), or the byte at which it begins (at)
ACTIVE     OVER      its timer (for)
"""

import enum
from typing import TYPE_CHECKING, ClassVar, Final, Generic, TypeVar

from portside.server.faults.stage_context import FaultPhase, FaultStatus, StageContext
from portside.server.faults.stages import Stage
from portside.wire.faults.model import Corrupt, Drop, Effect
from portside.wire.faults.plan import AssignedFault
from portside.wire.faults.transforms import BitFlipper

if TYPE_CHECKING:
    from asyncio import TimerHandle

AnyEffect = TypeVar("AnyEffect", bound=Effect)


class Phase(enum.Enum):
    """Phases of a fault; the module docstring has the transitions."""

    PENDING = enum.auto()
    ACTIVE = enum.auto()
    OVER = enum.auto()


_PHASE_NAMES: Final[dict[Phase, FaultPhase]] = {
    Phase.PENDING: "pending",
    Phase.ACTIVE: "active",
    Phase.OVER: "over",
}


class TimedFault(Stage, Generic[AnyEffect]):
    """Base of the stages of faults that last. Subclasses implement the effect on bytes in ``take``."""

    reports_begin: ClassVar[bool] = False  # whether the fault is reported before it has acted on a byte

    def __init__(self, context: StageContext, assigned: AssignedFault, effect: AnyEffect) -> None:
        super().__init__()
        self.assigned = assigned
        self._context = context
        self._fault = assigned.fault
        self._effect = effect
        self._rng = context.rng(assigned)
        self._phase = Phase.PENDING
        self._timer: TimerHandle | None = None  # of the next transition

    @property
    def status(self) -> FaultStatus:
        return FaultStatus(_PHASE_NAMES[self._phase], self.waiting)

    def start(self) -> None:
        window = self._fault.window
        if window.after:
            self._timer = self._context.loop.call_later(window.after, self._begin)
        elif window.at is None:
            self._begin()

    def _begin(self) -> None:
        self._phase = Phase.ACTIVE
        self._timer = None
        lasts = self._fault.window.lasts
        if lasts is not None:
            self._timer = self._context.loop.call_later(lasts, self._finish)
        if self.reports_begin:
            self._report()

    def _finish(self) -> None:
        self._phase = Phase.OVER
        self._context.report(self._fault, self.seen, over=True)
        self.flush()
        self._context.changed()

    def withdraw(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._phase = Phase.OVER
        self.flush()
        self._context.changed()

    def _report(self, size: int | None = None, at: int = 0) -> None:
        """Report what the fault did to ``size`` bytes, the first of them ``at`` bytes after those seen."""
        self._context.report(self._fault, self.seen + at, size=size)

    def feed(self, data: bytes) -> None:
        begins_at = self._fault.window.at
        if self._phase is Phase.PENDING and begins_at is not None:
            room = begins_at - self.seen
            before, data = data[:room], data[room:]
            if before:
                self._pass_on(before)
            if self.stopped:
                self._context.count_lost(len(data))
                return
            if self.seen < begins_at:
                return
            self._begin()
        if not data:
            return
        if self._phase is Phase.ACTIVE:
            self.take(data)
            self.seen += len(data)
        else:
            self._pass_on(data)

    def _pass_on(self, data: bytes) -> None:
        self.seen += len(data)
        self.next.feed(data)

    def take(self, data: bytes) -> None:
        """Do to bytes what the fault does."""
        raise NotImplementedError

    def stop(self) -> None:
        super().stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class DropStage(TimedFault[Drop]):
    """Discards bytes."""

    def take(self, data: bytes) -> None:
        self._context.count_lost(len(data))
        self._report(len(data))


class CorruptStage(TimedFault[Corrupt]):
    """Inverts bits."""

    def __init__(self, context: StageContext, assigned: AssignedFault, effect: Corrupt) -> None:
        super().__init__(context, assigned, effect)
        self._flipper = BitFlipper(effect.probability, self._rng)

    def take(self, data: bytes) -> None:
        changed, offsets = self._flipper.apply(data)
        if offsets:
            self._report(len(offsets), offsets[0])
        self.next.feed(changed)
