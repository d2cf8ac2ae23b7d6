"""The receiving half of a replay: bytes of the other side are compared with the recorded ones as they arrive."""

import select
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from portside.client.replay_timing import MOST_WAIT_S
from portside.client.tcp_progress import KILLED, is_killed, is_reset
from portside.errors import PortsideError
from portside.wire.compare import LEFT, RIGHT, Comparison

if TYPE_CHECKING:
    from portside.client.script import Ending

BUFFER_SIZE = 256 * 1024  # bytes a call, as client.sender's


class ResponseChecker:
    """Receives from a non-blocking socket, and compares the bytes with the recorded ``answers`` of a script.

    ``arrived`` and ``compared`` count bytes; ``ended`` is how the other side ended the connection, None until it has.
    ``writable``: the last ``poll`` found the socket writable, or failed in a way that the next send will raise.
    """

    def __init__(self, sock: socket.socket, peer: str, answers: Iterator[bytes | int]) -> None:
        self.arrived = 0
        self.compared = 0
        self.ended: Ending | None = None
        self.writable = False
        self.comparison = Comparison()
        self._sock = sock
        self._peer = peer
        self._answers = answers
        self._compares = True

    def poll(self, timeout: float, events: int = select.POLLIN) -> None:
        """Wait for an event on the socket, at most so many seconds, and receive once. Raises PortsideError."""
        poller = select.poll()
        if self.ended is not None:
            events &= ~select.POLLIN
        if events:  # an ended connection would be reported for ever
            poller.register(self._sock, events)
        self.writable = False
        for _, what in poller.poll(min(max(0.0, timeout), MOST_WAIT_S) * 1000):
            self.writable = bool(what & ~select.POLLIN)
            if self.ended is None:
                self._receive()

    def drain(self) -> None:
        """Receive all that has arrived; the kernel keeps that after a failed call, too. Raises PortsideError."""
        while self._receive():
            pass

    def failed(self, error: OSError) -> None:
        """Take the error of a call on the socket: a reset is an end. Raises PortsideError for any other."""
        if not is_reset(error):
            raise PortsideError(f"connection to {self._peer}", KILLED if is_killed(error) else error) from None
        self.ended = "reset"

    def stop_comparing(self) -> None:
        """Compare no more: what has not come yet is missing, and what still comes is not looked at."""
        if self._compares:
            self._compares = False
            self.comparison.end(RIGHT)
            self._catch_up()

    def _receive(self) -> bool:
        """Receive and compare once: whether anything came."""
        try:
            data = self._sock.recv(BUFFER_SIZE)
        except BlockingIOError:
            return False
        except OSError as error:
            self.failed(error)
            return False
        if not data:
            self.ended = self.ended or "closed"
            return False
        self.arrived += len(data)
        if self._compares:
            self.compared = self.arrived
            self.comparison.feed(RIGHT, data)
            self._catch_up()
        return True

    def _catch_up(self) -> None:
        """Read as many bytes of the recorded answers as have arrived."""
        while self.comparison.wants(LEFT):
            piece = next(self._answers, None)
            if piece is None:
                self.comparison.end(LEFT)
            else:
                self.comparison.feed(LEFT, piece)
