"""The faults of a run: which clients get them, where they are inserted, and the events that report their actions."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from portside.events import Event
from portside.events import Fault as FaultEvent
from portside.server.connection import Connection
from portside.server.faults.accept_throttle import Accept, AcceptThrottle
from portside.server.faults.link import FaultyLink
from portside.server.faults.stage_context import FaultReport
from portside.server.listener import Listener
from portside.wire.faults.model import KINDS, FaultSpec, Refuse
from portside.wire.faults.plan import AssignedFault, FaultPlan


class FaultSet(NamedTuple):
    """The faults of one client."""

    refused: bool = False
    client: tuple[AssignedFault, ...] = ()  # those of its own leg
    upstream: tuple[AssignedFault, ...] = ()  # those of the other leg of --forward


class ClientFaults:
    """The faults of one connection: before the connection itself, and before the upstream leg of ``--forward``."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        faults: FaultSet,
        on_report: Callable[[Connection, FaultReport, bool], None],
        connection: Connection,
    ) -> None:
        self._loop = loop
        self._upstream = faults.upstream
        self._on_report = on_report
        self._connection = connection
        self._link = FaultyLink(loop, connection, faults.client, self._report) if faults.client else None

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
        return FaultyLink(self._loop, protocol, self._upstream, self._report_upstream) if self._upstream else protocol

    def discard_delayed(self) -> None:
        """Discard what faults keep back, so that ``close`` waits for nothing: the run ends."""
        if self._link is not None:
            self._link.discard_delayed()

    def _report(self, report: FaultReport) -> None:
        self._on_report(self._connection, report, False)

    def _report_upstream(self, report: FaultReport) -> None:
        self._on_report(self._connection, report, True)


class FaultInjector:
    """Inserts the faults of ``--fault`` between the network and the clients or ports that have them."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, faults: Sequence[FaultSpec], seed: int, publish: Callable[[Event], None]
    ) -> None:
        self._loop = loop
        self._publish = publish
        self._of_ports = [fault for fault in faults if not KINDS[fault.kind].selectable]
        self._plan = FaultPlan([fault for fault in faults if KINDS[fault.kind].selectable], seed)

    def make_throttle(
        self, accept: Accept, stop_watching: Callable[[Listener], None], on_change: Callable[[], None]
    ) -> AcceptThrottle | None:
        """The throttle of the ports; None where no fault concerns them."""
        if not self._of_ports:
            return None
        return AcceptThrottle(
            self._loop,
            self._of_ports,
            accept=accept,
            stop_watching=stop_watching,
            on_change=on_change,
            on_report=self._publish_port,
        )

    def assign(self, ip: str | None) -> FaultSet:
        """The faults of the next client, to be asked for once each, as they come; ``ip`` is None on a unix socket."""
        assigned = self._plan.next(ip)
        if not assigned:
            return FaultSet()
        return FaultSet(
            any(isinstance(each.fault.effect, Refuse) for each in assigned),
            tuple(each for each in assigned if not each.fault.window.upstream),
            tuple(each for each in assigned if each.fault.window.upstream),
        )

    def factory(self, faults: FaultSet) -> "Callable[[Connection], ClientFaults] | None":
        """A function that makes the faults of a client's connection; None where it has none."""
        if not faults.client and not faults.upstream:
            return None
        return partial(ClientFaults, self._loop, faults, self._publish_report)

    def _publish_report(self, connection: Connection, report: FaultReport, upstream: bool) -> None:  # noqa: FBT001
        if report.ends_connection:
            connection.set_close_reason("fault")
        self._publish(
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

    def _publish_port(self, fault: FaultSpec, listener: Listener | None, over: bool) -> None:  # noqa: FBT001
        self._publish(
            FaultEvent(
                at=time.time_ns(),
                fault=fault.kind,
                spec=fault.text,
                address=listener.name if listener is not None else None,
                over=True if over else None,
            )
        )
