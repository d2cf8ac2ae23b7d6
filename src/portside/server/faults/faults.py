"""The faults of a run: which client has which, and what is told of them."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from portside.events import Event
from portside.events import Fault as FaultEvent
from portside.server.connection import Connection
from portside.server.faults.door import Accept, Door
from portside.server.faults.link import Done, FaultyLink
from portside.server.listener import Listener
from portside.settings.faults import KINDS, Fault
from portside.wire.faults import Due, Plan


class Chosen(NamedTuple):
    """The faults of one client."""

    refused: bool = False
    dues: tuple[Due, ...] = ()
    upstream: tuple[Due, ...] = ()  # those of the other leg of --forward


class Faults:
    """What ``--fault`` asks for. A client is asked about once, with ``next``, in the order in which they come."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, faults: Sequence[Fault], seed: int, publish: Callable[[Event], None]
    ) -> None:
        self._loop = loop
        self._publish = publish
        self._of_port = [fault for fault in faults if not KINDS[fault.kind].chosen]
        self._plan = Plan([fault for fault in faults if KINDS[fault.kind].chosen], seed)

    def door(self, accept: Accept, on_change: Callable[[], None]) -> Door | None:
        """Who decides when listeners are asked for clients; None where no fault has a say in that."""
        if not self._of_port:
            return None
        return Door(self._loop, self._of_port, accept=accept, on_change=on_change, on_done=self._port_did)

    def next(self, ip: str | None) -> Chosen:
        """The faults of the next client; ``ip`` is None on a unix socket."""
        dues = self._plan.next(ip)
        if not dues:
            return Chosen()
        return Chosen(
            any(due.fault.kind == "refuse" for due in dues),
            tuple(due for due in dues if not due.fault.upstream),
            tuple(due for due in dues if due.fault.upstream),
        )

    def link(self, connection: Connection, chosen: Chosen) -> None:
        """Put its faults before a connection that the loop does not know yet: ``connection.link``."""
        if chosen.upstream:
            did_there = partial(self._did, connection, upstream=True)
            connection.upstream = lambda protocol: FaultyLink(self._loop, protocol, chosen.upstream, did_there)
        if chosen.dues:
            did = partial(self._did, connection)
            connection.link = FaultyLink(self._loop, connection, chosen.dues, did)

    def _did(self, connection: Connection, done: Done, *, upstream: bool = False) -> None:
        if done.ends:
            connection.set_close_reason("fault")
        self._publish(
            FaultEvent(
                at=time.time_ns(),
                conn=connection.number,
                peer=connection.peer,
                fault=done.fault.kind,
                spec=done.fault.spec,
                leg="upstream" if upstream else None,
                direction=done.direction,
                offset=done.offset,
                size=done.size,
                over=True if done.over else None,
            )
        )

    def _port_did(self, fault: Fault, listener: Listener | None, over: bool) -> None:  # noqa: FBT001
        self._publish(
            FaultEvent(
                at=time.time_ns(),
                fault=fault.kind,
                spec=fault.spec,
                address=listener.name if listener is not None else None,
                over=True if over else None,
            )
        )
