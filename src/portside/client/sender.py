"""The direction to the peer: its own thread, because reading the source and sending both block.

States of the thread; the receiving direction reads them, and alone decides how the run ends:

    state         entered when                                                        next
    READING       it starts; the kernel has taken all that the source yielded         SENDING, SOURCE_ENDED
    SENDING       the source has yielded bytes, which the kernel has yet to take       READING
    SOURCE_ENDED  the source is at its end; our side is half-closed where asked for    COMPLETE
    COMPLETE      the peer has acknowledged all, and that ends the run                 none

The thread may end in any state: ``refusal`` is the error of a peer that takes no more, ``failure`` one on our side.
"""

import enum
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from portside.client.stdio import Stdio
from portside.client.tcp_progress import backoff, pending_error, unacknowledged
from portside.descriptors import wait_for

if TYPE_CHECKING:
    from portside.wire.newlines import CrLf

BUFFER_SIZE = 256 * 1024  # bytes a call; measured best of 64 KiB to 1 MiB


class SenderState(enum.IntEnum):
    """The state of the direction to the peer; the module docstring has the table of transitions."""

    READING = enum.auto()
    SENDING = enum.auto()
    SOURCE_ENDED = enum.auto()
    COMPLETE = enum.auto()


class Observer(Protocol):
    """An observer of both directions; either thread calls it at any time, after bytes have moved.

    The methods raise OutputClosed or PortsideError if they cannot show or record the bytes.
    """

    @property
    def lock(self) -> AbstractContextManager[object]:
        """Held while bytes are sent and reported, so that a reply to them is reported after them; reentrant."""

    @property
    def deadline(self) -> float | None:
        """When ``tick`` should be called (``time.monotonic()``); None while nothing waits for it."""

    def received(self, data: bytes) -> None:
        """Take bytes that came from the peer."""

    def sent(self, data: bytes) -> None:
        """Take bytes that went to the peer."""

    def half_closed(self) -> None:
        """Take the peer's FIN, where our side is still open."""

    def tick(self) -> None:
        """Do what was due at ``deadline``."""


class Sender(threading.Thread):
    """Sends what the source yields, and half-closes at its end.

    To stop receiving, because of an error here for example, the thread shuts the socket down, which wakes the thread
    that receives.
    """

    def __init__(
        self,
        sock: socket.socket,
        stdio: Stdio,
        observer: Observer | None,
        *,
        crlf: "CrLf | None",
        half_close: bool,
        ends_run: bool,
        on_half_closed: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name="sender", daemon=True)  # a blocked read of a terminal must not hold up the exit
        self._sock = sock
        self._stdio = stdio
        self._observer = observer
        self._crlf = crlf
        self._half_close = half_close
        self._ends_run = ends_run  # the run ends when all is sent and acknowledged
        self._on_half_closed = on_half_closed  # called on this thread, after our FIN
        self.state = SenderState.READING
        self.sent = 0  # bytes
        self.moved_at = time.monotonic()  # when the source last yielded, or the kernel last took, something
        self.ended_at: float | None = None  # when the source did (``time.monotonic()``)
        self.refusal: OSError | None = None
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Send until the source ends or the peer takes no more."""
        try:
            self._pump()
        except OSError as error:
            self.refusal = error
            self._stdio.peer_gone()
        except BaseException as failure:  # noqa: BLE001 - the other direction raises it
            self.failure = failure
            self._stop_receiving()
        else:
            self._end()

    def _pump(self) -> None:
        read_into, crlf, observer = self._stdio.read_into, self._crlf, self._observer
        reading, sending = SenderState.READING, SenderState.SENDING
        buffer = memoryview(bytearray(BUFFER_SIZE))
        while size := read_into(buffer):
            self.state = sending
            self.moved_at = time.monotonic()
            data = buffer[:size]
            if crlf is not None:
                data = memoryview(crlf.convert(bytes(data)))
            if observer is None:
                self._send(data)
            else:
                self._send_observed(data, observer)
            self.moved_at = time.monotonic()
            self.state = reading

    def _send(self, data: memoryview) -> None:
        while data:
            size = self._sock.send(data)
            self.sent += size
            data = data[size:]

    def _send_observed(self, data: memoryview, observer: Observer) -> None:
        """Send as ``_send`` does, but never block while holding the lock: nothing received could be reported then."""
        while data:
            with observer.lock:
                try:
                    size = self._sock.send(data, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    size = 0
                else:
                    observer.sent(bytes(data[:size]))
            self.sent += size
            data = data[size:]
            if data:
                wait_for(self._sock.fileno(), select.POLLOUT)

    def _end(self) -> None:
        """Half-close and end the run, each where ``__init__`` was given it."""
        self.state = SenderState.SOURCE_ENDED
        self.ended_at = time.monotonic()
        try:
            if self._half_close:
                self._sock.shutdown(socket.SHUT_WR)
                if self._on_half_closed is not None:
                    self._on_half_closed()
            if self._ends_run or (self._half_close and self._stdio.is_over()):
                self._wait_for_acknowledgement()
        except OSError:
            return  # the connection is gone: the thread that receives learns why

    def _wait_for_acknowledgement(self) -> None:
        for delay in backoff():
            if not unacknowledged(self._sock):
                break
            self.refusal = pending_error(self._sock)
            if self.refusal is not None:
                return
            time.sleep(delay)
        self.state = SenderState.COMPLETE
        self._stop_receiving()

    def _stop_receiving(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the connection is gone already
