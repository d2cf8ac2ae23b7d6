"""The server: accepts clients from its listeners and keeps those that are connected.

Accepting is our own, not the loop's: a client that may not come in costs one accept and one close; a full house of
file descriptors is noticed before the kernel says so, and reported; and accepting can stop and go on without losing
what waits in the backlog.
"""

import asyncio
import errno
import resource
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from portside.addresses import format_sockaddr
from portside.events import CloseReason, Event, Opened, Refused, RefuseReason
from portside.server.admission import Admission
from portside.server.connection import Connection
from portside.server.listener import Listener
from portside.server.wheel import Wheel

ACCEPTS_PER_TURN = 64  # so that those connected are served between them
SPARE_DESCRIPTORS = 16  # for log files, name look-ups and the like
RETRY_ACCEPT_S = 1.0
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_UCRED = struct.Struct("3i")


class Publish(Protocol):
    """Takes an event and the size of its payload in bytes."""

    def __call__(self, event: Event, size: int = 0, /) -> None: ...


class Server:
    """Any number of clients on any number of listeners; everything on the loop's thread.

    ``publish`` takes every event; after ``most_clients`` in all the ports close. The callbacks: ``on_opened`` and
    ``on_closed`` with the connection (and why it closed), ``on_caught_up`` when a lagging client took what waited,
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
        most_clients: int | None = None,
    ) -> None:
        self.connections: dict[int, Connection] = {}
        self.now = loop.time
        self.publish = publish
        self.idle_timeout = idle_timeout
        self.shows_received = shows_received
        self.keeps_half_open = False  # whether a client that sent FIN stays, for what is still to be sent
        self.on_opened: Callable[[Connection], None] = lambda _connection: None
        self.on_closed: Callable[[Connection, CloseReason], None] = lambda _connection, _reason: None
        self.on_caught_up: Callable[[Connection], None] = lambda _connection: None
        self.on_starved: Callable[[OSError], None] = lambda _error: None
        self._loop = loop
        self._admission = admission
        self._listeners: list[Listener] = []
        self._accepted = 0
        self._most_clients = most_clients
        self._adopting: set[asyncio.Task[None]] = set()
        self.paused = False
        self._starved = False
        self._wheel: Wheel[Connection] = Wheel(max(0.01, min(1.0, idle_timeout / 8)) if idle_timeout else 1.0)
        self._turning = False
        self._empty = asyncio.Event()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most_descriptors = sys.maxsize if limit == resource.RLIM_INFINITY else limit - SPARE_DESCRIPTORS

    # Listening.

    def start(self, listeners: Sequence[Listener]) -> None:
        """Accept from these from now on; the server closes them."""
        self._listeners = list(listeners)
        self._accept_or_not()

    def stop_listening(self) -> None:
        """Close the ports; those connected stay."""
        for listener in self._listeners:
            self._loop.remove_reader(listener.socket)
            listener.close()
        self._listeners = []

    def pause(self) -> None:
        """Take nothing from anybody: new clients wait in the backlog, data in the kernel."""
        self.paused = True
        self._accept_or_not()
        for connection in self.connections.values():
            connection.pause_reading()

    def resume(self) -> None:
        """Go on after ``pause``."""
        self.paused = False
        self._accept_or_not()
        for connection in self.connections.values():
            connection.resume_reading()

    def _accept_or_not(self) -> None:
        for listener in self._listeners:
            if self.paused or self._starved:
                self._loop.remove_reader(listener.socket)
            else:
                self._loop.add_reader(listener.socket, self._accept, listener)

    def _accept(self, listener: Listener) -> None:
        for _ in range(ACCEPTS_PER_TURN):
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
        peer = _unix_peer(sock, address) if family == socket.AF_UNIX else format_sockaddr(family, address)
        ip = str(address[0]) if isinstance(address, tuple) else None
        full_house = sock.fileno() >= self._most_descriptors
        refusal: RefuseReason | None = "no_file_descriptors" if full_house else self._admission.enter(ip)
        if refusal is not None:
            sock.close()
            self.publish(Refused(time.time_ns(), peer, refusal))
            return
        self._accepted += 1
        local = format_sockaddr(family, sock.getsockname()) if listener.everywhere else listener.name
        connection = Connection(self, self._accepted, peer, local, ip)
        if self._accepted == self._most_clients:
            self.stop_listening()
        self.connections[connection.number] = connection
        task = self._loop.create_task(self._adopt(sock, connection))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _adopt(self, sock: socket.socket, connection: Connection) -> None:
        """Give an accepted socket to the loop: a task for one turn, the connection itself has none."""
        try:
            await self._loop.connect_accepted_socket(lambda: connection, sock)
        except OSError as error:
            # The loop could not take it. It was accepted, so it is reported like any other that broke.
            sock.close()
            self.publish(Opened(time.time_ns(), connection.number, connection.peer, connection.local))
            connection.connection_lost(error)

    def _starve(self, error: OSError) -> None:
        """No descriptor is left, for all that was kept spare: let new clients wait until one may be free."""
        self._starved = True
        self._accept_or_not()
        self.on_starved(error)
        self._loop.call_later(RETRY_ACCEPT_S, self._feed_again)

    def _feed_again(self) -> None:
        if self._starved:
            self._starved = False
            self._accept_or_not()

    # What connections report.

    def opened(self, connection: Connection) -> None:
        """A connection is ready."""
        if self.paused:
            # After this turn: the loop begins to read when connection_made returns.
            self._loop.call_soon(self._pause_still, connection)
        self.on_opened(connection)

    def _pause_still(self, connection: Connection) -> None:
        if self.paused:
            connection.pause_reading()

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        """A connection is gone."""
        self.connections.pop(connection.number, None)
        self._admission.leave(connection.ip)
        self._feed_again()
        if not self.connections:
            self._empty.set()
        self.on_closed(connection, reason)

    def caught_up(self, connection: Connection) -> None:
        """A lagging client took what waited for it."""
        self.on_caught_up(connection)

    def check_at(self, connection: Connection, at: float) -> None:
        """Have ``connection.check`` called at ``at`` or a little later."""
        self._wheel.schedule(connection, at)
        if not self._turning:
            self._turning = True
            self._loop.call_later(self._wheel.tick, self._turn)

    def _turn(self) -> None:
        now = self.now()
        self._turning = False
        for connection in self._wheel.take_due(now):
            connection.check(now)
        if self._wheel and not self._turning:
            self._turning = True
            self._loop.call_later(self._wheel.tick, self._turn)

    # The end.

    async def shut_down(self, *, patience: float) -> None:
        """Close the ports and every connection in order; what a peer does not take in ``patience`` seconds is lost."""
        self.stop_listening()
        for connection in list(self.connections.values()):
            connection.close("shutdown")
        await self.empty(patience)
        for connection in list(self.connections.values()):
            connection.abort("shutdown")
        await self.empty(patience)

    async def empty(self, patience: float) -> None:
        """Wait until no client is connected, but no longer than ``patience`` seconds."""
        self._empty.clear()
        if self.connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), patience)


def _unix_peer(sock: socket.socket, address: object) -> str:
    """The path of the client's end where it has one, otherwise its process (SO_PEERCRED, unix(7))."""
    if address:
        return format_sockaddr(socket.AF_UNIX, address)
    pid, _uid, _gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return f"unix:pid={pid}"
