"""The server: accepts clients from its listeners and keeps those that are connected.

Accepting is our own, not the loop's: a client that may not come in costs one accept and one close; a full house of
file descriptors is noticed before the kernel says so, and reported; and accepting can stop and go on without losing
what waits in the backlog.
"""

import asyncio
import errno
import resource
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from portside.addresses import format_sockaddr
from portside.events import CloseReason, Refused, RefuseReason
from portside.server.admission import Admission
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection, ConnectionInfo, Publish
from portside.server.leg import Hold
from portside.server.listener import Listener
from portside.server.pending_connection import PendingConnection, unix_peer
from portside.server.reset_monitor import ResetMonitor
from portside.server.timer_wheel import HasDeadline, TimerWheel
from portside.sockopts import set_abortive_close

if TYPE_CHECKING:
    from portside.server.faults.faults import Faults
    from portside.server.pre_connect import PreConnect

ACCEPTS_PER_TURN = 64  # so that those connected are served between them
SPARE_DESCRIPTORS = 16  # for log files, name look-ups and the like
RETRY_ACCEPT_S = 1.0
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Server:
    """Any number of clients on any number of listeners; everything on the loop's thread.

    ``publish`` takes every event; after ``most_clients`` in all the ports close. The callbacks: ``on_opened`` and
    ``on_closed`` with the connection (and why it closed), ``on_writable`` when a lagging client took what waited,
    ``on_starved`` each time the process has no descriptor left.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        publish: Publish,
        *,
        admission: Admission,
        idle_timeout: float | None = None,
        shows_received: bool = True,
        shows_sent: bool = True,
        most_clients: int | None = None,
        behaviour: Behaviour | None = None,
        greeting: bytes | None = None,
        faults: "Faults | None" = None,
        pre_connect: "PreConnect | None" = None,
    ) -> None:
        self.connections: dict[int, Connection] = {}
        self.now = loop.time
        self.publish = publish
        self.idle_timeout = idle_timeout
        self.shows_received = shows_received
        self.shows_sent = shows_sent
        self.behaviour = behaviour or Behaviour()
        self._greeting = greeting
        self._faults = faults
        self._pre_connect = pre_connect
        if pre_connect is not None:
            pre_connect.guard(self)
        self._door = faults.door(self._accept, self._accept_or_not) if faults is not None else None
        self.keeps_half_open = False  # whether a client that sent FIN stays, for what is still to be sent
        self.on_opened: Callable[[Connection], None] = lambda _connection: None
        self.on_closed: Callable[[Connection, CloseReason], None] = lambda _connection, _reason: None
        self.on_writable: Callable[[Connection], None] = lambda _connection: None
        self.on_starved: Callable[[OSError], None] = lambda _error: None
        self.loop = loop
        self.reset_monitor = ResetMonitor(loop)
        self._admission = admission
        self._listeners: list[Listener] = []
        self._accepted = 0
        self._most_clients = most_clients
        self._adopting: set[asyncio.Task[None]] = set()
        self.paused = False
        self._starved = False
        self._wheel: TimerWheel[HasDeadline] = TimerWheel(
            max(0.01, min(1.0, idle_timeout / 8)) if idle_timeout else 1.0
        )
        self._turning = False
        self._empty = asyncio.Event()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most_descriptors = sys.maxsize if limit == resource.RLIM_INFINITY else limit - SPARE_DESCRIPTORS

    # Listening.

    def start(self, listeners: Sequence[Listener]) -> None:
        """Accept from these from now on; the server closes them."""
        self._listeners = list(listeners)
        if self._door is not None:
            self._door.start()
        self._accept_or_not()

    def stop_listening(self) -> None:
        """Close the ports; those connected stay."""
        for listener in self._listeners:
            self.loop.remove_reader(listener.socket)
            listener.close()
        self._listeners = []

    def pause(self) -> None:
        """Take nothing from anybody: new clients wait in the backlog, data in the kernel."""
        self.paused = True
        self._accept_or_not()
        for connection in self.connections.values():
            connection.pause_reading(Hold.FEED)
        self.behaviour.paused()

    def resume(self) -> None:
        """Go on after ``pause``."""
        self.paused = False
        self._accept_or_not()
        for connection in self.connections.values():
            connection.resume_reading(Hold.FEED)
        self.behaviour.resumed()

    def _accept_or_not(self) -> None:
        door = self._door
        accept = self._accept if door is None else door.knock
        for listener in self._listeners:
            if self.paused or self._starved or (door is not None and door.shut):
                self.loop.remove_reader(listener.socket)
            else:
                self.loop.add_reader(listener.socket, accept, listener)

    def _accept(self, listener: Listener, most: int = ACCEPTS_PER_TURN) -> None:
        for _ in range(most):
            if not self._listeners or self.paused:
                return
            try:
                sock, address = listener.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    self._starve(error)
                    return
                continue  # that client went away while it waited (accept(2): treat as EAGAIN)
            self._admit(sock, address, listener)

    def _admit(self, sock: socket.socket, address: object, listener: Listener) -> None:
        family = listener.family
        peer = unix_peer(sock, address) if family == socket.AF_UNIX else format_sockaddr(family, address)
        ip = str(address[0]) if isinstance(address, tuple) else None
        pending = PendingConnection(sock, peer, ip, listener)
        if sock.fileno() >= self._most_descriptors:
            self.refuse(pending, "no_file_descriptors")
        elif self._pre_connect is not None:
            self._pre_connect.admit(pending)
        elif self.admit(pending):
            connection = self.connection_of(pending)
            self.attach(sock, connection.protocol, connection)

    # What the pre_connect does with those who arrive, and where there is none, accepting.

    def admit(self, pending: PendingConnection) -> bool:
        """Let a client in, or refuse it; whoever lets it in says when it leaves, or makes a connection of it."""
        refusal = self._admission.admit(pending.ip)
        if refusal is not None:
            self.refuse(pending, refusal)
            return False
        if self._faults is not None:
            pending.chosen = self._faults.next(pending.ip)
            if pending.chosen is not None and pending.chosen.refused:
                self.release(pending)
                set_abortive_close(pending.sock)
                self.refuse(pending, "fault")
                return False
        return True

    def release(self, pending: PendingConnection) -> None:
        """A client that was let in is gone without having been connected."""
        self._admission.release(pending.ip)
        self._feed_again()

    def refuse(self, pending: PendingConnection, reason: RefuseReason, why: str | None = None) -> None:
        """Close a client that is not connected."""
        pending.sock.close()
        self.refused(pending, reason, why)

    def refused(self, pending: PendingConnection, reason: RefuseReason, why: str | None = None) -> None:
        """Say that a client was refused."""
        self.publish(Refused(time.time_ns(), pending.peer, reason, why))

    @property
    def limit_reached(self) -> bool:
        """Whether as many clients were connected as there may be in this run."""
        return self._accepted == self._most_clients

    def connection_of(self, pending: PendingConnection) -> Connection:
        """The connection of a client that was let in; not more than may be in this run."""
        self._accepted += 1
        listener = pending.listener
        local = format_sockaddr(listener.family, pending.sock.getsockname()) if listener.everywhere else listener.name
        info = ConnectionInfo(pending.peer, local, pending.ip, pending.tls, pending.proxy)
        faults = (
            self._faults.factory(pending.chosen) if self._faults is not None and pending.chosen is not None else None
        )
        connection = Connection(self, self._accepted, info, faults)
        if self.limit_reached:
            self.stop_listening()
        self.connections[connection.number] = connection
        return connection

    def attach(self, sock: socket.socket, protocol: asyncio.Protocol, connection: Connection | None = None) -> None:
        """Give an accepted socket to the loop: a task for one turn, the connection itself has none."""
        task = self.loop.create_task(self._attach(sock, protocol, connection))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _attach(self, sock: socket.socket, protocol: asyncio.Protocol, connection: Connection | None) -> None:
        try:
            await self.loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError as error:
            # The loop could not take it. It was accepted, so it is reported like any other that broke.
            sock.close()
            if connection is not None:
                connection.publish_opened()
            (connection or protocol).connection_lost(error)

    def _starve(self, error: OSError) -> None:
        """No descriptor is left, for all that was kept spare: let new clients wait until one may be free."""
        self._starved = True
        self._accept_or_not()
        self.on_starved(error)
        self.loop.call_later(RETRY_ACCEPT_S, self._feed_again)

    def _feed_again(self) -> None:
        if self._starved:
            self._starved = False
            self._accept_or_not()

    # What connections report.

    def opened(self, connection: Connection) -> None:
        """A connection is ready."""
        if self.paused:
            connection.pause_reading(Hold.FEED)
        if self._greeting:
            connection.send(self._greeting)
        self.behaviour.opened(connection)
        self.on_opened(connection)

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        """A connection is gone."""
        self.connections.pop(connection.number, None)
        self._admission.release(connection.info.ip)
        self._feed_again()
        if not self.connections:
            self._empty.set()
        self.behaviour.closed(connection, reason)
        self.on_closed(connection, reason)

    def writable(self, connection: Connection) -> None:
        """A lagging client took what waited for it."""
        self.behaviour.writable(connection)
        self.on_writable(connection)

    def schedule_check(self, item: HasDeadline, at: float) -> None:
        """Have ``item.check`` called at ``at`` or a little later."""
        self._wheel.schedule(item, at)
        if not self._turning:
            self._turning = True
            self.loop.call_later(self._wheel.tick, self._turn)

    def _turn(self) -> None:
        now = self.now()
        self._turning = False
        for item in self._wheel.take_due(now):
            item.check(now)
        if self._wheel and not self._turning:
            self._turning = True
            self.loop.call_later(self._wheel.tick, self._turn)

    # The end.

    async def shut_down(self, *, patience: float) -> None:
        """Close the ports and every connection in order; what a peer does not take in ``patience`` seconds is lost."""
        self.stop_listening()
        if self._pre_connect is not None:
            self._pre_connect.end()
        for connection in list(self.connections.values()):
            if connection.faults is not None:
                connection.faults.give_up()
            connection.close("shutdown")
        await self.wait_empty(patience)
        for connection in list(self.connections.values()):
            connection.abort("shutdown")
        await self.wait_empty(patience)

    async def wait_empty(self, patience: float) -> None:
        """Wait until no client is connected, but no longer than ``patience`` seconds."""
        self._empty.clear()
        if self.connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), patience)
