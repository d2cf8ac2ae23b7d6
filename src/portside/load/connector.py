"""The connecting of a slot, and the states of its whole life.

state        entered when                                          next
WAITING      made; a connection has ended                          CONNECTING
CONNECTING   connect(2) was called                                 OPEN, WAITING (failed)
OPEN         connected, with TLS: the handshake is done            GREETING, CLOSING, WAITING
GREETING     it might send, but the server speaks first            OPEN, CLOSING, WAITING
             and has said nothing yet
CLOSING      its messages or its lifetime are over: FIN was sent   WAITING
ENDED        the run is over                                       none
"""

import enum
import errno
import socket
from select import EPOLLOUT
from typing import TYPE_CHECKING

from portside.load.error_kinds import error_kind

if TYPE_CHECKING:
    from portside.load.slot_owner import SlotOwner

_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h


class SlotState(enum.Enum):
    """The state of a slot; the module docstring has the table of transitions."""

    WAITING = enum.auto()
    CONNECTING = enum.auto()
    OPEN = enum.auto()
    GREETING = enum.auto()
    CLOSING = enum.auto()
    ENDED = enum.auto()


class Connector:
    """A slot as far as it connects. ``_secure`` and ``_end`` are what follows."""

    __slots__ = ("_generation", "_worker", "connect_due_ns", "has_socket", "index", "number", "sock", "state")

    def __init__(self, worker: "SlotOwner", index: int) -> None:
        self._worker = worker
        self.index = index
        self.state = SlotState.WAITING
        self.sock: socket.socket  # while has_socket
        self.has_socket = False
        self.connect_due_ns = 0
        self.number = 0
        self._generation = 0  # of the connection: timers of one before it mean nothing

    def open(self) -> None:
        """Begin to connect; the connection counts as due at ``connect_due_ns``."""
        work = self._worker.work
        self.number = self._worker.next_number()
        self._generation += 1
        try:
            self.sock = sock = _new_socket(work.target.family)
            self.has_socket = True
            if work.target.sources:
                sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind(work.target.sources[self.number % len(work.target.sources)])
            code = sock.connect_ex(work.target.sockaddr)
        except OSError as error:
            self._end(error_kind(error))
            return
        if code not in (0, errno.EINPROGRESS):
            self._end(error_kind(OSError(code, "")))
            return
        self.state = SlotState.CONNECTING
        self._worker.connecting += 1
        # Over the loopback the handshake is over when connect(2) returns: that saves two calls and a turn.
        if self._is_connected(sock):
            self._connected(self._worker.clock_ns())
        else:
            self._worker.watch(sock, self._on_connecting, EPOLLOUT)
            generation = self._generation
            self._worker.after(work.timeout_ns, lambda: self._on_connect_timeout(generation))

    def _is_connected(self, sock: socket.socket) -> bool:
        if self._worker.work.target.family == socket.AF_UNIX:
            return True
        try:
            sock.getpeername()
        except OSError:
            return False
        return True

    def _on_connecting(self, _events: int) -> None:
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._end(error_kind(OSError(code, "")))
        elif self._is_connected(self.sock):
            self._worker.unwatch(self.sock)
            self._connected(self._worker.clock_ns())

    def _on_connect_timeout(self, generation: int) -> None:
        if generation == self._generation and self.state is SlotState.CONNECTING:
            self._end("timed_out")

    def _connected(self, now_ns: int) -> None:
        """The TCP connection is there."""
        if self._worker.may_be_self_connected and self.sock.getsockname() == self.sock.getpeername():
            self._end("refused")  # a simultaneous open with itself: nothing listens there
            return
        self._secure(now_ns)

    def _secure(self, now_ns: int) -> None:
        """Do what comes between the connection and its use, such as a handshake."""
        raise NotImplementedError

    def _end(self, kind: str | None) -> None:
        """The connection is over, or could not be made."""
        raise NotImplementedError


def _new_socket(family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    if family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
