"""What a connection that was opened from here runs in: the part of a server that its ``Connection`` uses.

A connection has an epoll set of its own, so that its end needs nobody else, and gives it back after its end.
"""

import asyncio
import os
import warnings
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from portside.api.notices import log_notice
from portside.api.weak_call import weakly
from portside.behaviours.connection import Connection
from portside.events import Closed, CloseReason, Event
from portside.feed.bus import EventBus
from portside.feed.transcript import Transcript
from portside.server.connection import Connection as ServerConnection
from portside.server.connection import ConnectionInfo, HalfCloseDeadlines, Publish
from portside.server.half_close import HalfCloseTimeout
from portside.server.leg import Hold
from portside.server.poller import SocketPoller
from portside.server.timer_wheel import DeadlineScheduler
from portside.server.vanished_peers import VanishedPeers
from portside.settings.connect import Connect

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from portside.record.recorder import Recorder
    from portside.server.hello_watch import HelloWatch


class ClientHost:
    """The host and the behaviour of one connection; see ``server.connection.ConnectionHost``.

    Raises PortsideError where the recording cannot be opened. The class has more than 12 attributes because a
    connection asks for that many.
    """

    keeps_half_open = True
    hello_watch: "HelloWatch | None" = None

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: Connect, transcript: Transcript) -> None:
        self.loop = loop
        self._pid = os.getpid()
        self.now = loop.time
        self.idle_timeout = settings.idle_timeout
        self.tracks_activity = settings.idle_timeout is not None
        self.transcript = transcript
        self._bus = EventBus(loop)
        self._recorder = self._open_recorder(settings)
        self.shows_received = self.shows_sent = bool(transcript.limit_bytes or self._recorder is not None)
        self.publish: Publish = self._publish
        self.poller = SocketPoller(loop)
        shortest = min(each for each in (settings.idle_timeout, settings.half_close_timeout, 8.0) if each is not None)
        scheduler = DeadlineScheduler(loop, max(0.01, min(1.0, shortest / 8)))
        self.schedule_check = scheduler.schedule
        self.half_close_deadlines: HalfCloseDeadlines | None = None
        if settings.half_close_timeout is not None:
            self.half_close_deadlines = HalfCloseTimeout(scheduler, settings.half_close_timeout)
        self._vanished = VanishedPeers(loop, self._legs, settings.keepalive) if settings.keepalive is not None else None
        self._connection: ServerConnection | None = None
        self._wrapper: Connection | None = None
        self._error: str | None = None
        self._recorded: Awaitable[None] | None = None

    def _open_recorder(self, settings: Connect) -> "Recorder | None":
        if settings.record is None:
            return None
        from portside.app.recording import start_recorder

        on_drained = partial(self.loop.call_soon_threadsafe, self._bus.drained)
        recorder = start_recorder(
            settings.record, mode=settings.record_mode, outbound=True, on_drained=on_drained, notify=log_notice
        )
        self._bus.add(recorder)
        self._bus.on_full, self._bus.on_drained = weakly(self._pause), weakly(self._resume)
        return recorder

    def _pause(self) -> None:
        if self._connection is not None:
            self._connection.pause_reading(Hold.FEED)

    def _resume(self) -> None:
        if self._connection is not None:
            self._connection.resume_reading(Hold.FEED)

    def make_connection(self, info: ConnectionInfo) -> ServerConnection:
        """The protocol of the connection, and what the program gets of it (``connection``)."""
        number = 1 if self._recorder is None else self._recorder.last_conn + 1
        made = self._connection = ServerConnection(self, number, info)
        self._wrapper = Connection(made, self.loop, self.loop, transcript=self.transcript)
        self._wrapper.on_end(self._wait_recorded, self.release)
        if self._vanished is not None:
            self._vanished.start()
        return made

    @property
    def connection(self) -> Connection:
        """The connection, once it is made."""
        if self._wrapper is None:
            raise RuntimeError("the connection is not made yet")
        return self._wrapper

    def _legs(self) -> tuple[ServerConnection, ...]:
        return () if self._connection is None or not self._connection.is_open else (self._connection,)

    def discard(self) -> None:
        """Give everything back: there will be no connection, or nobody waits for it any more."""
        if self._connection is not None:
            self._connection.abort("local_closed")
        self.poller.close()
        self._close_recorder()

    def release(self) -> None:
        """Close the socket of a connection whose loop is closed, unless it is the parent's of this process."""
        connection, self._connection = self._connection, None
        if connection is None or self._pid != os.getpid():
            return
        self.poller.abandon()
        for give_back in (partial(connection.abort, "local_closed"), self.poller.close):
            with suppress(RuntimeError):  # the closed loop's, which somebody asks for a callback
                give_back()
        if self._recorder is not None and self._recorded is None:
            self._bus.flush()
            self._recorder.close()

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None and connection.is_open and self._pid == os.getpid():
            warnings.warn(f"unclosed {self._wrapper!r}", ResourceWarning, source=self._wrapper, stacklevel=2)
            self.release()

    def _close_recorder(self) -> None:
        if self._recorder is not None and self._recorded is None:
            self._bus.flush()
            self._recorded = self.loop.run_in_executor(None, self._recorder.close)

    async def _wait_recorded(self) -> None:
        if self._recorded is not None:
            await asyncio.shield(self._recorded)

    # Called by the connection.

    @property
    def behaviour(self) -> "ClientHost":
        """The receiver of the bytes: this object too."""
        return self

    def _publish(self, event: Event, size: int = 0, /) -> None:
        """Keep an event in the transcript, and record it, as long as there is a loop."""
        if self.transcript.limit_bytes:
            self.transcript.add(event)
        if type(event) is Closed:
            self._error = event.error
        if self._recorder is not None and not self.loop.is_closed():
            self._bus.publish(event, size)

    def opened(self, connection: ServerConnection) -> None:
        """Do nothing: the program has the connection when it is made."""

    def received(self, connection: ServerConnection, data: bytes) -> None:
        """Hand bytes over to the program."""
        self.connection.feed(data)

    def half_closed(self, connection: ServerConnection) -> bool:
        """Tell of the peer's FIN; our side stays open."""
        self.connection.on_eof()
        return True

    def is_active(self, connection: ServerConnection) -> bool:
        """Whether something else moves: never."""
        return False

    def writable(self, connection: ServerConnection) -> None:
        """Let the program go on sending."""
        self.connection.on_writable()

    def closed(self, connection: ServerConnection, reason: CloseReason) -> None:
        """Tell of the end, and give everything back."""
        if self._vanished is not None:
            self._vanished.stop()
        if not self.loop.is_closed():
            self.loop.call_soon(self.poller.close)  # it is serving this socket now
            self._close_recorder()
        self.connection.on_closed(reason, self._error)
