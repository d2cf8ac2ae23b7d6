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


class ClientFaults:
    """The faults of one connection: before the connection itself, and before the upstream leg of ``--forward``."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        chosen: Chosen,
        on_done: Callable[[Connection, Done, bool], None],
        connection: Connection,
    ) -> None:
        self._loop = loop
        self._upstream = chosen.upstream
        self._on_done = on_done
        self._connection = connection
        self._link = FaultyLink(loop, connection, chosen.dues, self._did) if chosen.dues else None

    @property
    def protocol(self) -> asyncio.Protocol:
        """The protocol for the transport to call: the faults, or the connection where none is its own."""
        return self._link or self._connection

    @property
    def is_blocking(self) -> bool:
        """Whether a fault keeps bytes back, so that nothing moves."""
        return self._link is not None and self._link.keeps_back

    @property
    def was_reset(self) -> bool:
        """Whether a fault has reset the connection."""
        return self._link is not None and self._link.was_reset

    def wrap_upstream(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        """Put the faults of the upstream leg before its protocol; the protocol that its transport calls."""
        return FaultyLink(self._loop, protocol, self._upstream, self._did_upstream) if self._upstream else protocol

    def give_up(self) -> None:
        """Drop what is kept back: the run ends."""
        if self._link is not None:
            self._link.give_up()

    def _did(self, done: Done) -> None:
        self._on_done(self._connection, done, False)

    def _did_upstream(self, done: Done) -> None:
        self._on_done(self._connection, done, True)


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

    def factory(self, chosen: Chosen) -> "Callable[[Connection], ClientFaults] | None":
        """A function that makes the faults of a client's connection; None where it has none."""
        return partial(ClientFaults, self._loop, chosen, self._did) if chosen.dues or chosen.upstream else None

    def _did(self, connection: Connection, done: Done, upstream: bool) -> None:  # noqa: FBT001
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
