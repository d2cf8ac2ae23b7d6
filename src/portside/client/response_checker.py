"""The other side of a replay: what arrives of it, compared with what was recorded as it comes."""

import select
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from portside.client.tcp_progress import is_reset
from portside.errors import PortsideError
from portside.wire.compare import LEFT, RIGHT, Comparison

if TYPE_CHECKING:
    from portside.client.script import Ending

BUFFER_SIZE = 256 * 1024  # bytes a call, as client.sender's


class ResponseChecker:
    """What arrives at a non-blocking socket, against the recorded ``answers`` of a script.

    ``arrived`` counts bytes, ``judged`` those of them that were compared; ``ended`` is how the other side did.
    ``writable`` is whether the last turn found room to send, or a failure that sending will tell.
    """

    def __init__(self, sock: socket.socket, peer: str, answers: Iterator[bytes | int]) -> None:
        self.arrived = 0
        self.judged = 0
        self.ended: Ending | None = None
        self.writable = False
        self.comparison = Comparison()
        self._sock = sock
        self._peer = peer
        self._answers = answers
        self._judges = True

    def turn(self, timeout: float, events: int = select.POLLIN) -> None:
        """Wait for something, at most so many seconds, and receive what there is. Raises PortsideError."""
        poll = select.poll()
        if self.ended is not None:
            events &= ~select.POLLIN
        if events:  # an ended connection would be reported for ever
            poll.register(self._sock, events)
        self.writable = False
        for _, what in poll.poll(max(0.0, timeout) * 1000):
            self.writable = bool(what & ~select.POLLIN)
            if self.ended is None:
                self._receive()

    def take_what_is_there(self) -> None:
        """Receive what has arrived, after a failed call too: the kernel keeps it. Raises PortsideError."""
        while self._receive():
            pass

    def failed(self, error: OSError) -> None:
        """A call failed. Raises PortsideError where that was no reset."""
        if not is_reset(error):
            raise PortsideError(f"connection to {self._peer}", error) from None
        self.ended = "reset"

    def stop_judging(self) -> None:
        """What comes from now on is not compared, and what has not come is missing."""
        if self._judges:
            self._judges = False
            self.comparison.end(RIGHT)
            self._catch_up()

    def _receive(self) -> bool:
        """Receive and compare once; whether there was something."""
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
        if self._judges:
            self.judged = self.arrived
            self.comparison.feed(RIGHT, data)
            self._catch_up()
        return True

    def _catch_up(self) -> None:
        """Read as much of the recorded answers as has arrived."""
        while self.comparison.wants(LEFT):
            piece = next(self._answers, None)
            if piece is None:
                self.comparison.end(LEFT)
            else:
                self.comparison.feed(LEFT, piece)
