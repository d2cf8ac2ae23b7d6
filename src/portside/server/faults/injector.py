"""The faults of a run: which clients get them, where they are inserted, and the events that report their actions."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from portside.events import Event
from portside.events import Fault as FaultEvent
from portside.server.faults.accept_throttle import Accept, AcceptThrottle
from portside.server.faults.client_faults import ClientFaults, FaultSet, reporter
from portside.server.listener import Listener
from portside.wire.faults.model import KINDS, FaultSpec, Refuse
from portside.wire.faults.plan import FaultPlan

if TYPE_CHECKING:
    from portside.server.connection import Connection


class FaultInjector:
    """Inserts the faults of ``--fault`` between the network and the clients or ports that have them."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, faults: Sequence[FaultSpec], seed: int, publish: Callable[[Event], None]
    ) -> None:
        self._loop = loop
        self._publish = publish
        self._report = reporter(publish)
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
        return partial(ClientFaults, self._loop, faults, self._report)

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
