"""The connection of ``connect`` as events: formatted on standard output, and recorded."""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from portside.app.event_errors import EventErrors
from portside.app.notices import wants_colour
from portside.client.dial import ClientConnection
from portside.client.stdio import OutputClosed, Stdio
from portside.errors import PortsideError
from portside.events import Closed, CloseReason, Event, HalfClosed, Opened, Received, Sent
from portside.feed.render import Renderer, make_renderer
from portside.settings.connect import Connect

if TYPE_CHECKING:
    from portside.record.recorder import Recorder

_LOCK_TIMEOUT_S = 0.5  # of waiting for the lock when a signal ends the run: another thread may be blocked in a write


class EventObserver:
    """Turns the bytes of a ``client.pipe.Pipe`` into events, as its ``client.sender.Observer``.

    Raises PortsideError if the recording cannot be opened.
    """

    def __init__(self, settings: Connect, connection: ClientConnection) -> None:
        self.lock = threading.RLock()
        self._peer, self._local, self._tls = connection.peer, connection.local, connection.tls
        self._shows_received = not settings.send_only
        self._output = Stdio(None, 1)
        self._received_bytes = self._sent_bytes = 0
        self._closed = False
        self._conn = 1
        self._renderer: Renderer | None = None
        self._recorder: Recorder | None = None
        if settings.format is not None and settings.is_formatted:
            terminal = sys.stdout.isatty()
            self._renderer = make_renderer(
                settings.format,
                encoding=settings.encoding,
                colour=wants_colour(1),
                terminal=terminal,
                on_error=EventErrors("standard output"),
            )
        if settings.record is not None:
            from portside.app.recording import start_recorder

            self._recorder = start_recorder(settings.record, mode=settings.record_mode, outbound=True)
            self._conn = self._recorder.last_conn + 1

    @property
    def deadline(self) -> float | None:
        """The time (``time.monotonic()``) at which an unfinished line is shown; None where there is none."""
        return self._renderer.deadline if self._renderer is not None else None

    def opened(self) -> None:
        """Show and record the beginning of the connection."""
        self._emit(lambda at: Opened(at, self._conn, self._peer, self._local, self._tls))

    def received(self, data: bytes) -> None:
        with self.lock:
            if not self._closed:
                self._received_bytes += len(data)
            self._emit(lambda at: Received(at, self._conn, self._peer, data), shown=self._shows_received)

    def sent(self, data: bytes) -> None:
        with self.lock:
            if not self._closed:
                self._sent_bytes += len(data)
            self._emit(lambda at: Sent(at, self._conn, self._peer, data))

    def half_closed(self) -> None:
        self._emit(lambda at: HalfClosed(at, self._conn, self._peer))

    def closed(self, reason: CloseReason, duration: float, error: str | None) -> None:
        """Show and record the end of the connection, which lasted ``duration`` seconds.

        It counts the bytes that have been told of, so that a recording agrees with itself: a signal may end the run
        between a read and its event.
        """
        with self.lock:
            counts = self._received_bytes, self._sent_bytes, round(duration, 6)
            with suppress(OutputClosed, PortsideError):  # the same output may have ended the run
                self._emit(lambda at: Closed(at, self._conn, self._peer, reason, *counts, error))
            self._closed = True
        if self._recorder is not None:
            self._recorder.close()

    def end_now(self, duration: float) -> None:
        """End the run on a signal: no event follows, and threads that would report one block until the process ends.

        Called on a thread of its own; ``duration`` as for ``closed``. Writes nothing while another write is blocked.
        """
        if self.lock.acquire(timeout=_LOCK_TIMEOUT_S):
            self.closed("shutdown", duration, None)

    def tick(self) -> None:
        with self.lock:
            if self._renderer is not None:
                self._write(self._renderer.tick(time.monotonic()))

    def _emit(self, event_at: Callable[[int], Event], *, shown: bool = True) -> None:
        """Make, show and record an event; the lock keeps the events of both threads in the order of their times."""
        with self.lock:
            if self._closed:
                return
            events = [event_at(time.time_ns())]
            if self._recorder is not None:
                self._recorder.consume(events)
                self._recorder.wait_drained()
            if self._renderer is not None and shown:
                self._write(self._renderer.render(events))

    def _write(self, pieces: list[bytes]) -> None:
        self._output.write(memoryview(b"".join(pieces)))
