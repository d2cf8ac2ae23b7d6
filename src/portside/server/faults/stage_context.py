"""The interface between a faulty link and the stages of one direction, and the reports of fault actions."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Literal, NamedTuple

from portside.wire.faults.model import Direction, Ending, FaultSpec, ShutdownWrite
from portside.wire.faults.plan import AssignedFault

FaultPhase = Literal["pending", "active", "over"]


class FaultStatus(NamedTuple):
    """How far a fault has come on one connection; ``held`` is the number of bytes that it keeps back."""

    phase: FaultPhase
    held: int = 0


class FaultReport(NamedTuple):
    """An action of a fault on ``size`` bytes of ``direction``, after ``offset`` bytes of that direction."""

    fault: FaultSpec
    offset: int | None = None
    direction: Direction | None = None
    size: int | None = None
    over: bool = False  # the fault came to its end

    @property
    def ends_connection(self) -> bool:
        """Whether the connection ends by this."""
        effect = self.fault.effect
        return isinstance(effect, Ending) and not isinstance(effect, ShutdownWrite)


class StageContext:
    """The link as seen by the stages of one direction: they report and count here, and use nothing else of the link.

    ``on_report`` gets each report, ``on_trigger`` a fault that wants to end something and the direction whose bytes
    triggered it, ``on_change`` is called when the number of waiting bytes or of stalls may have changed on its own.
    """

    __slots__ = ("_on_report", "_on_trigger", "changed", "direction", "loop", "lost", "stalls")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        direction: Direction,
        *,
        on_report: Callable[[FaultReport], None],
        on_trigger: Callable[[FaultSpec, Direction], None],
        on_change: Callable[[], None],
    ) -> None:
        self.loop = loop
        self.direction: Direction = direction
        self.lost = 0  # bytes thrown away
        self.stalls = 0  # faults that stall the direction now
        self.changed = on_change
        self._on_report = on_report
        self._on_trigger = on_trigger

    def rng(self, assigned: AssignedFault) -> Random:
        """The random generator of a fault in this direction."""
        return assigned.rng(self.direction)

    def count_lost(self, size: int) -> None:
        """Count bytes that will not be passed on."""
        self.lost += size

    def set_stalled(self, stalled: bool) -> None:  # noqa: FBT001
        """Count a fault that begins to stall the direction, or one that ceases to."""
        self.stalls += 1 if stalled else -1

    def report(self, fault: FaultSpec, offset: int, *, size: int | None = None, over: bool = False) -> None:
        """Report what a fault did in this direction."""
        self._on_report(FaultReport(fault, offset, self.direction, size, over))

    def trigger(self, fault: FaultSpec) -> None:
        """Have a fault end the connection or its direction, once the bytes up to its offset have passed."""
        self._on_trigger(fault, self.direction)
