"""Standard input sent to every client of ``listen``, at the pace of the clients that read; its end is sent as FIN."""

import asyncio
import sys

from portside.app.notices import write_notice
from portside.app.stdin import StandardInput
from portside.events import CloseReason
from portside.server.broadcast import Broadcast
from portside.server.connection import Connection
from portside.server.server import Server
from portside.settings.listen import Listen
from portside.wire.newlines import CrLf


class StdinDelivery:
    """Sends standard input to the clients that are connected at the moment.

    A terminal is read at any time. A pipe or a file is read only while a client is connected, no client lags behind,
    and the outputs can take events.
    """

    def __init__(self, server: Server, settings: Listen) -> None:
        self._server = server
        self._behaviour = server.behaviour
        self._broadcast = Broadcast(server)
        self._client_connected = asyncio.Event()
        self._bus_drained = asyncio.Event()
        self._bus_drained.set()
        self._at_end = False
        self._half_closes = settings.once or settings.send_only  # whether the end of input is FIN for every client
        self._crlf = CrLf() if settings.crlf else None
        self._from_terminal = sys.stdin.isatty()
        wanted = settings.stdin
        if wanted is None:
            wanted = settings.send_only or (self._from_terminal and settings.forward is None)
        self._wanted = wanted and not settings.recv_only

    def start(self) -> None:
        """Begin to read, where settings ask for it: a pipe or a file not before a client is connected."""
        if not self._wanted:
            return
        self._server.keeps_half_open = not self._from_terminal
        self._stdin = StandardInput(self._deliver)
        if self._from_terminal:
            self._stdin.start()
        else:
            self._task = asyncio.get_running_loop().create_task(self._start_with_first_client())

    async def _start_with_first_client(self) -> None:
        await self._client_connected.wait()
        self._stdin.start()

    async def _deliver(self, data: bytes) -> None:
        if not data:
            self._broadcast.send(self._behaviour.transform_stdin(b""))
            self._end()
            return
        if self._crlf is not None:
            data = self._crlf.convert(data)
        data = self._behaviour.transform_stdin(data)
        if not data:
            return  # the behaviour may be waiting for the rest of a line
        if self._from_terminal:
            if not self._broadcast.send(data):
                write_notice("no client is connected: not sent")
            return
        await self._client_connected.wait()
        self._broadcast.send(data)
        await self._broadcast.drain()
        await self._bus_drained.wait()
        await self._client_connected.wait()

    def _end(self) -> None:
        self._at_end = True
        self._server.keeps_half_open = False
        for connection in list(self._server.connections.values()):
            if self._half_closes:
                connection.write_eof()
            elif connection.half_closed and connection.is_open:
                connection.close_gracefully()

    # Called by the run.

    def pause(self) -> None:
        """Read no more from a pipe or a file: the event bus is full."""
        self._bus_drained.clear()

    def resume(self) -> None:
        """Read again after ``pause``."""
        self._bus_drained.set()

    def opened(self, connection: Connection) -> None:
        """Count on a client that is connected."""
        if self._at_end and connection.is_open and self._half_closes:
            connection.write_eof()
        self._client_connected.set()

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        """Wait for another client where the last is gone."""
        self._broadcast.closed(connection, reason)
        if not self._server.connections:
            self._client_connected.clear()
