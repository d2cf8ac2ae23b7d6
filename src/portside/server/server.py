"""The server: the clients that are connected, their deadlines, and the end of the run."""

import asyncio
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING

from portside.events import CloseReason
from portside.server.acceptor import Acceptor, MakeFaults
from portside.server.admission import Admission
from portside.server.behaviour import Behaviour
from portside.server.closed_totals import ClosedTotals
from portside.server.connection import Connection, ConnectionInfo, HalfCloseDeadlines, Publish
from portside.server.half_close import HalfCloseTimeout
from portside.server.leg import Hold
from portside.server.poller import SocketPoller
from portside.server.pre_connect import PreConnect
from portside.server.timer_wheel import DeadlineScheduler
from portside.server.vanished_peers import VanishedPeers, WatchedLeg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from portside.server.faults.injector import FaultInjector
    from portside.server.hello_watch import HelloWatch


def _tick_for(timeout: float) -> float:
    """The precision of deadlines, in seconds, that is fine enough for a timeout."""
    return max(0.01, min(1.0, timeout / 8))


class Server:
    """Any number of clients, accepted by ``acceptor``; everything on the loop's thread.

    ``publish`` takes every event. The callbacks: ``on_opened`` and ``on_closed`` with the connection (and the reason),
    ``on_writable`` when a client whose writing was paused took what was buffered. More attributes than a class should
    have: connections read them, and one more lookup would be one for each read.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        publish: Publish,
        *,
        admission: Admission,
        pre_connect: PreConnect,
        idle_timeout: float | None = None,
        half_close_timeout: float | None = None,
        keepalive: float | None = None,
        shows_received: bool = True,
        shows_sent: bool = True,
        most_clients: int | None = None,
        behaviour: Behaviour | None = None,
        greeting: bytes | None = None,
        faults: "FaultInjector | None" = None,
    ) -> None:
        self.loop = loop
        self.now = loop.time
        self.publish = publish
        self.connections: dict[int, Connection] = {}
        self.behaviour = behaviour or Behaviour()
        self.idle_timeout = idle_timeout
        self.tracks_activity = idle_timeout is not None
        self.shows_received = shows_received
        self.shows_sent = shows_sent
        self.half_close_deadlines: HalfCloseDeadlines | None = None
        self.keeps_half_open = False  # whether a client that sent FIN stays, for what is still to be sent
        self.hello_watch: HelloWatch | None = None
        self.on_opened: Callable[[Connection], None] = lambda _connection: None
        self.on_closed: Callable[[Connection, CloseReason], None] = lambda _connection, _reason: None
        self.on_writable: Callable[[Connection], None] = lambda _connection: None
        self.poller = SocketPoller(loop)
        shortest = min(each for each in (idle_timeout, half_close_timeout, 8.0) if each is not None)
        self._tick = _tick_for(shortest)
        self._scheduler = scheduler = DeadlineScheduler(loop, self._tick)
        self.half_close_timeout: float | None = half_close_timeout
        if half_close_timeout is not None:
            self.half_close_deadlines = HalfCloseTimeout(scheduler, half_close_timeout)
        self._vanished: VanishedPeers | None = None
        if keepalive is not None:
            self._vanished = VanishedPeers(loop, self._legs, keepalive)
            self._vanished.start()
        self.schedule_check = scheduler.schedule
        self.acceptor = Acceptor(
            loop,
            self.poller,
            publish,
            scheduler,
            self._make_connection,
            admission=admission,
            pre_connect=pre_connect,
            faults=faults,
            most_clients=most_clients,
        )
        self.totals = ClosedTotals()
        self._greeting = greeting
        self._paused = False
        self._empty = asyncio.Event()

    def set_idle_timeout(self, seconds: float | None) -> None:
        """Close from now on what is idle for so long, open connections too: their time begins now. None: nothing."""
        self.idle_timeout = seconds
        if seconds is None:
            return
        self.tracks_activity = True
        self.schedule_check = self._scheduler_for(seconds).schedule
        for connection in self.connections.values():
            connection.idle_timeout_changed()

    def set_half_close_timeout(self, seconds: float | None) -> None:
        """Limit the other direction of a connection that is half-closed from now on; None: not at all."""
        self.half_close_timeout = seconds
        deadlines = None if seconds is None else HalfCloseTimeout(self._scheduler_for(seconds), seconds)
        self.half_close_deadlines = deadlines

    def _scheduler_for(self, seconds: float) -> DeadlineScheduler:
        """A scheduler that is fine enough for a timeout; what an earlier one has goes on there."""
        tick = _tick_for(seconds)
        if tick < self._tick:
            self._tick = tick
            self._scheduler = DeadlineScheduler(self.loop, tick)
        return self._scheduler

    def pause(self) -> None:
        """Take nothing from anybody: new clients wait in the backlog, data in the kernel."""
        self._paused = True
        self.acceptor.pause()
        for connection in self.connections.values():
            connection.pause_reading(Hold.FEED)
        self.behaviour.paused()

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._paused = False
        self.acceptor.resume()
        for connection in self.connections.values():
            connection.resume_reading(Hold.FEED)
        self.behaviour.resumed()

    def _make_connection(self, number: int, info: ConnectionInfo, make_faults: MakeFaults) -> Connection:
        connection = self.connections[number] = Connection(self, number, info, make_faults)
        return connection

    @property
    def received_bytes(self) -> int:
        """Bytes that all clients have sent, since the start."""
        return self.totals.received + sum(each.received for each in self.connections.values())

    @property
    def sent_bytes(self) -> int:
        """Bytes that were sent to all clients, since the start; without those that wait here to be sent."""
        return self.totals.sent + sum(each.sent - each.buffered_bytes for each in self.connections.values())

    def _legs(self) -> "Iterable[WatchedLeg]":
        return chain(self.connections.values(), self.behaviour.legs())

    # Called by connections.

    def opened(self, connection: Connection) -> None:
        """Greet a client whose connection is ready."""
        if self._paused:
            connection.pause_reading(Hold.FEED)
        if self._greeting:
            connection.send(self._greeting)
        self.behaviour.opened(connection)
        self.on_opened(connection)

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        """Forget a connection that is gone."""
        self.connections.pop(connection.number, None)
        self.totals.add(connection, reason)
        if self.hello_watch is not None:
            self.hello_watch.forget(connection)
        self.acceptor.release(connection.info)
        if not self.connections:
            self._empty.set()
        self.behaviour.closed(connection, reason)
        self.on_closed(connection, reason)

    def writable(self, connection: Connection) -> None:
        """Go on with a client that took what was buffered for it."""
        self.behaviour.writable(connection)
        self.on_writable(connection)

    # The end.

    async def shut_down(self, *, patience: float) -> None:
        """Close the ports and every connection in order; what a peer does not take in ``patience`` seconds is lost."""
        self.acceptor.end()
        if self._vanished is not None:
            self._vanished.stop()
        for connection in list(self.connections.values()):
            if connection.faults is not None:
                connection.faults.discard_delayed()
            connection.close("shutdown")
        await self.wait_empty(patience)
        for connection in list(self.connections.values()):
            connection.abort("shutdown")
        await self.wait_empty(patience)

    async def wait_empty(self, patience: float | None) -> None:
        """Wait until no client is connected, for ``patience`` seconds at most; None is no limit."""
        self._empty.clear()
        if self.connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), patience)
