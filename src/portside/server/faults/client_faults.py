"""The faults of one connection: those of ``--fault``, and those that come and go while it is open.

Each has a number that counts from 1 on the connection. The faults of a leg are all in one link, which is put before the
leg when it gets its first: from then on the link stays, so that nothing on its way is touched when the last has gone.
"""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, cast

import msgspec

from portside.errors import InvalidValue
from portside.events import Event
from portside.events import Fault as FaultEvent
from portside.server.connection import Connection
from portside.server.faults.link import FaultyLink
from portside.server.faults.stage_context import FaultReport, FaultStatus
from portside.server.leg import Leg
from portside.wire.faults.model import KINDS, FaultSpec, Refuse, Selector
from portside.wire.faults.plan import AssignedFault

Report = Callable[[Connection, FaultReport, bool], None]
"""Takes an action of a fault, and whether it was on the upstream leg."""


class FaultSet(NamedTuple):
    """The faults of one client."""

    refused: bool = False
    client: tuple[AssignedFault, ...] = ()  # those of its own leg
    upstream: tuple[AssignedFault, ...] = ()  # those of the other leg of --forward


class PlacedFault(msgspec.Struct, gc=False):
    """A fault that a connection has; ``by`` is the operator who put it there, None for ``--fault``.

    ``since`` is in nanoseconds since 1970.
    """

    number: int
    assigned: AssignedFault
    since: int
    by: str | None = None
    is_throttle: bool = False

    @property
    def spec(self) -> str:
        """The fault as it was asked for."""
        return self.assigned.fault.text


class ClientFaults:
    """The faults of one connection: before the connection itself, and before the upstream leg of ``--forward``."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, faults: FaultSet, on_report: Report, connection: Connection
    ) -> None:
        self._loop = loop
        self._upstream = faults.upstream
        self._on_report = on_report
        self._connection = connection
        self._link = FaultyLink(loop, connection, faults.client, self._report) if faults.client else None
        self._upstream_link: FaultyLink | None = None
        self._placed: dict[int, PlacedFault] = {}
        self._last_number = 0
        for assigned in (*faults.client, *faults.upstream):
            self._place(assigned, None)

    @property
    def protocol(self) -> asyncio.Protocol:
        """The protocol for the transport to call: the faults, or the connection where none is its own."""
        return self._link or self._connection

    @property
    def is_blocking(self) -> bool:
        """Whether a fault keeps bytes back, so that nothing moves."""
        return self._link is not None and self._link.is_blocking

    @property
    def was_reset(self) -> bool:
        """Whether a fault has reset the connection."""
        return self._link is not None and self._link.was_reset

    def wrap_upstream(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        """Put the faults of the upstream leg before its protocol; the protocol that its transport calls."""
        if not self._upstream:
            return protocol
        self._upstream_link = FaultyLink(self._loop, protocol, self._upstream, self._report_upstream)
        return self._upstream_link

    def discard_delayed(self) -> None:
        """Discard what faults keep back, so that ``close`` waits for nothing: the run ends."""
        if self._link is not None:
            self._link.discard_delayed()

    # Faults that come and go.

    @property
    def placed(self) -> list[PlacedFault]:
        """The faults that the connection has, in the order in which they came."""
        return list(self._placed.values())

    @property
    def count(self) -> int:
        """How many faults there are, those of the upstream leg included."""
        return len(self._placed)

    def get(self, number: int) -> PlacedFault | None:
        """The fault of a number; None where there is none."""
        return self._placed.get(number)

    @property
    def next_number(self) -> int:
        """The number that the next fault gets."""
        return self._last_number + 1

    def status(self, placed: PlacedFault) -> FaultStatus:
        """How far a fault has come."""
        link = self._link_of(placed)
        return link.status(placed.assigned) if link is not None else FaultStatus("pending")

    def insert(self, assigned: AssignedFault, leg: Leg, by: str, *, is_throttle: bool = False) -> PlacedFault:
        """Put a fault on the open connection: on its own leg, or on ``leg``, the upstream one, as the fault says."""
        placed = self._place(assigned, by, is_throttle=is_throttle)
        link = self._link_of(placed)
        if link is None:
            link = self._insert_link(leg, upstream=assigned.fault.window.upstream)
        link.insert(assigned)
        return placed

    def remove(self, number: int) -> PlacedFault:
        """Take a fault out; what it keeps back passes on first, in order. Raises KeyError where there is none."""
        placed = self._placed.pop(number)
        self._upstream = tuple(each for each in self._upstream if each is not placed.assigned)
        link = self._link_of(placed)
        if link is not None:
            link.remove(placed.assigned)
        return placed

    def set_rate(self, placed: PlacedFault, assigned: AssignedFault) -> None:
        """Put another fault of the kind ``rate`` in the place of one, with no burst between them."""
        before, placed.assigned = placed.assigned, assigned
        link = self._link_of(placed)
        if link is not None:
            link.set_rate(before, assigned)

    def _place(self, assigned: AssignedFault, by: str | None, *, is_throttle: bool = False) -> PlacedFault:
        self._last_number += 1
        placed = PlacedFault(self._last_number, assigned, time.time_ns(), by, is_throttle)
        self._placed[placed.number] = placed
        return placed

    def _link_of(self, placed: PlacedFault) -> FaultyLink | None:
        return self._upstream_link if placed.assigned.fault.window.upstream else self._link

    def _insert_link(self, leg: Leg, *, upstream: bool) -> FaultyLink:
        connection = self._connection
        passed = (connection.sent, connection.received) if upstream else (connection.received, connection.sent)
        report = self._report_upstream if upstream else self._report
        link = FaultyLink(self._loop, cast("asyncio.Protocol", leg), (), report, passed=passed)

        def take_over(transport: asyncio.Transport) -> asyncio.Transport:
            link.take_over(transport, leg)
            return link

        leg.insert(take_over)
        if upstream:
            self._upstream_link = link
        else:
            self._link = link
        return link

    def _report(self, report: FaultReport) -> None:
        self._on_report(self._connection, report, False)

    def _report_upstream(self, report: FaultReport) -> None:
        self._on_report(self._connection, report, True)


def reporter(publish: Callable[[Event], None]) -> Report:
    """A function that publishes the actions of faults, and says so where one ends its connection."""

    def report(connection: Connection, report: FaultReport, upstream: bool) -> None:  # noqa: FBT001
        if report.ends_connection:
            connection.set_close_reason("fault")
        publish(
            FaultEvent(
                at=time.time_ns(),
                conn=connection.number,
                peer=connection.peer,
                fault=report.fault.kind,
                spec=report.fault.text,
                leg="upstream" if upstream else None,
                direction=report.direction,
                offset=report.offset,
                size=report.size,
                over=True if report.over else None,
            )
        )

    return report


def require_live(fault: FaultSpec) -> None:
    """Raise InvalidValue for a fault that an open connection cannot get: one of accepting, or one that selects."""
    if isinstance(fault.effect, Refuse) or not KINDS[fault.kind].selectable:
        raise InvalidValue(f"{fault.kind} acts when clients are accepted: it says nothing to an open connection")
    if fault.selector != Selector():
        raise InvalidValue("p=, first=, every= and net= choose among new connections: this one is chosen already")
