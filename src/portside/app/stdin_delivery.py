"""Standard input sent to every client of ``listen``, at the pace of the clients that read; its end is sent as FIN."""

import asyncio
import os
from typing import TYPE_CHECKING

from portside.app.notices import write_notice
from portside.app.stdin import StandardInput
from portside.descriptors import is_pipe_or_file, is_regular_file, readable_bytes
from portside.events import CloseReason
from portside.server.behaviour import Behaviour
from portside.server.broadcast import Broadcast
from portside.server.connection import Connection
from portside.server.server import Server
from portside.settings.listen import Listen
from portside.wire.newlines import CrLf

if TYPE_CHECKING:
    from portside.app.typed_lines import TypedLines


def is_stdin_refused(settings: Listen) -> bool:
    """Whether the user does not want standard input sent, and needs no notice of it."""
    return settings.recv_only or settings.stdin is False or settings.tui


def is_stdin_sent(settings: Listen) -> bool:
    """Whether standard input goes to the clients."""
    if is_stdin_refused(settings):
        return False
    if settings.stdin:
        return True
    if settings.forward is not None:
        return False
    return os.isatty(0) or settings.send_only or (settings.once and is_pipe_or_file(0))


class StdinDelivery:
    """Sends standard input to the clients that are connected at the moment.

    A terminal is read at any time. A pipe or a file is read only while a client is connected, no client lags behind,
    and the outputs can take events.
    """

    def __init__(self, server: Server, settings: Listen, typed_lines: "TypedLines | None" = None) -> None:
        self._typed_lines = typed_lines
        self._server = server
        self._behaviour = server.behaviour
        self._broadcast = Broadcast(server)
        self._client_connected = asyncio.Event()
        self._bus_drained = asyncio.Event()
        self._bus_drained.set()
        self._at_end = False
        self._undelivered = 0  # bytes that were read and have no client yet
        self._lost = 0  # bytes that the one client of --once did not take
        self._is_for_one = settings.once
        # Whether the end of input is FIN for every client: not where something else answers them.
        self._half_closes = settings.send_only or (settings.once and type(server.behaviour) is Behaviour)
        self._may_be_sent = settings.forward is None
        self._crlf = CrLf() if settings.crlf else None
        self._from_terminal = os.isatty(0)
        timeout = settings.half_close_timeout
        # Whether a client that has sent FIN stays for what standard input still brings.
        self._keeps_half_open = timeout > 0 if timeout is not None else settings.once and not self._from_terminal
        self._refused = is_stdin_refused(settings)
        self._wanted = is_stdin_sent(settings)

    def start(self) -> None:
        """Begin to read, where settings ask for it: a pipe or a file not before a client is connected."""
        if not self._wanted:
            if not self._refused and is_pipe_or_file(0):
                self._watch_unsent()
            return
        self._server.keeps_half_open = self._keeps_half_open
        if (lines := self._typed_lines) is not None:
            self._stdin = StandardInput(lines.start(self._deliver), on_foreground=lines.resume)
        else:
            self._stdin = StandardInput(self._deliver)
        if self._from_terminal:
            self._stdin.start()
        else:
            self._task = asyncio.get_running_loop().create_task(self._start_with_first_client())

    async def _start_with_first_client(self) -> None:
        await self._client_connected.wait()
        self._stdin.start()

    def _watch_unsent(self) -> None:
        """Write a notice once there is input, which is left alone."""
        if is_regular_file(0):
            self._report_unwanted()
            return
        loop = asyncio.get_running_loop()

        def readable() -> None:
            loop.remove_reader(0)
            self._report_unwanted()

        loop.add_reader(0, readable)

    def _report_unwanted(self) -> None:
        if readable_bytes(0):
            hint = "--stdin sends it to every client" if self._may_be_sent else None
            write_notice("standard input is not sent", hint)

    async def _deliver(self, data: bytes) -> None:
        if not data:
            if self._from_terminal:
                write_notice("end of input: what is typed from now on is sent to nobody; the server goes on")
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
        self._undelivered = len(data)
        await self._client_connected.wait()
        self._broadcast.send(data)
        self._undelivered = 0
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

    def report_unsent(self) -> None:
        """Write a notice at the end of the run where a pipe or a file has more than was sent."""
        if not self._wanted or not is_pipe_or_file(0):
            return
        unread = 0 if self._at_end else readable_bytes(0)
        if left := self._lost + self._undelivered + unread:
            more = "" if self._at_end or is_regular_file(0) else " or more"
            write_notice(f"{left} B{more} of standard input were not sent")

    def opened(self, connection: Connection) -> None:
        """Count on a client that is connected."""
        if self._at_end and connection.is_open and self._half_closes:
            connection.write_eof()
        self._client_connected.set()

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        """Wait for another client where the last is gone."""
        self._broadcast.closed(connection, reason)
        if self._is_for_one:
            self._lost += connection.lost
        if not self._server.connections:
            self._client_connected.clear()
