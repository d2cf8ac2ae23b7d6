"""The direction to the peer: a thread of its own, because reading the source and sending both block."""

import select
import socket
import threading
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from portside.client.stdio import Stdio, wait_for
from portside.client.tcp_progress import backoff, pending_error, unacknowledged

if TYPE_CHECKING:
    from portside.wire.newlines import CrLf

BUFFER_SIZE = 256 * 1024  # bytes a call; measured best of 64 KiB to 1 MiB


class Observer(Protocol):
    """Whoever is told what passes, by either thread at any time; bytes are told after they have moved.

    Its methods raise OutputClosed or PortsideError where they cannot tell it on.
    """

    @property
    def turn(self) -> AbstractContextManager[object]:
        """Held while bytes are sent and told, so that a reply to them is told after them; reentrant."""

    @property
    def due(self) -> float | None:
        """When ``tick`` should be called (``time.monotonic()``); None while nothing waits."""

    def received(self, data: bytes) -> None:
        """Bytes came from the peer."""

    def sent(self, data: bytes) -> None:
        """Bytes went to the peer."""

    def half_closed(self) -> None:
        """The peer has sent its last, and we have not."""

    def tick(self) -> None:
        """Time passed."""


class Sender(threading.Thread):
    """Sends what the source yields, and half-closes at its end.

    Everything that it learns is for the other direction to read, which alone decides how the run ends. Where
    receiving is to stop because of it, it shuts the socket down, which wakes the other direction.
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
    ) -> None:
        super().__init__(name="sender", daemon=True)  # a blocked read of a terminal must not hold up the exit
        self._sock = sock
        self._stdio = stdio
        self._observer = observer
        self._crlf = crlf
        self._half_close = half_close
        self._ends_run = ends_run  # the run ends when all is sent and acknowledged
        self.sent = 0  # bytes
        self.busy = False  # bytes are in hand that the kernel has not taken; stays True where it never does
        self.moved_at = time.monotonic()  # when the source last yielded, or the kernel last took, something
        self.source_ended = False
        self.complete = False  # all is sent and acknowledged, and that ends the run
        self.refusal: OSError | None = None  # why the peer takes no more
        self.trouble: BaseException | None = None  # what went wrong on our side

    def run(self) -> None:
        """See the class."""
        try:
            self._pump()
        except OSError as error:
            self.refusal = error
            self._stdio.peer_gone()
        except BaseException as trouble:  # noqa: BLE001 - the other direction raises it
            self.trouble = trouble
            self._stop_receiving()
        else:
            self._end()

    def _pump(self) -> None:
        read_into, crlf, observer = self._stdio.read_into, self._crlf, self._observer
        buffer = memoryview(bytearray(BUFFER_SIZE))
        while size := read_into(buffer):
            self.busy = True
            self.moved_at = time.monotonic()
            data = buffer[:size]
            if crlf is not None:
                data = memoryview(crlf.convert(bytes(data)))
            if observer is None:
                self._send(data)
            else:
                self._send_and_tell(data, observer)
            self.moved_at = time.monotonic()
            self.busy = False

    def _send(self, data: memoryview) -> None:
        while data:
            size = self._sock.send(data)
            self.sent += size
            data = data[size:]

    def _send_and_tell(self, data: memoryview, observer: Observer) -> None:
        """As ``_send``, but never blocks while it has the turn: then nothing received could be told."""
        while data:
            with observer.turn:
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
        """Half-close, and end the run where that is asked for."""
        self.source_ended = True
        try:
            if self._half_close:
                self._sock.shutdown(socket.SHUT_WR)
            if self._ends_run or (self._half_close and self._stdio.is_over()):
                self._wait_for_acknowledgement()
        except OSError:
            return  # the connection is gone: whoever receives learns why

    def _wait_for_acknowledgement(self) -> None:
        for pause in backoff():
            if not unacknowledged(self._sock):
                break
            self.refusal = pending_error(self._sock)
            if self.refusal is not None:
                return
            time.sleep(pause)
        self.complete = True
        self._stop_receiving()

    def _stop_receiving(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is gone already
