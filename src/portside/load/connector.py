"""The connecting of a slot."""

import errno
import socket
from select import EPOLLOUT
from typing import TYPE_CHECKING

from portside.load.error_kinds import error_kind
from portside.load.slot_state import SlotState

if TYPE_CHECKING:
    from portside.load.slot_owner import SlotOwner

_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h


_TIMED_OUT = {
    SlotState.CONNECTING: "timed_out",
    SlotState.GREETING: "timed_out",
    SlotState.CLOSING: "not_closed",
}  # what it is called where a slot was in a state for too long


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
        if (peer := self._peer_of(sock)) is not None:
            self._connected(peer, self._worker.clock_ns())
        else:
            self._worker.watch(sock, self._on_connecting, EPOLLOUT)
            self._limit_time()

    def _peer_of(self, sock: socket.socket) -> object:
        """The address at the other end; None as long as there is none."""
        if self._worker.work.target.family == socket.AF_UNIX:
            return ""
        try:
            return sock.getpeername()
        except OSError:
            return None

    def _on_connecting(self, _events: int) -> None:
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._end(error_kind(OSError(code, "")))
        elif (peer := self._peer_of(self.sock)) is not None:
            self._worker.unwatch(self.sock)
            self._connected(peer, self._worker.clock_ns())

    def _limit_time(self) -> None:
        """End the connection unless it leaves its state before the timeout."""
        self._worker.timers.limit(self, self._generation, self.state)

    def is_in(self, generation: int, state: SlotState) -> bool:
        """Whether this is still the connection, and the state, that a timeout is for."""
        return generation == self._generation and state is self.state

    def time_out(self) -> None:
        """End the connection, which has been in its state for too long."""
        self._end(_TIMED_OUT[self.state])

    def _connected(self, peer: object, now_ns: int) -> None:
        """The TCP connection is there."""
        if self._worker.may_be_self_connected:
            if self.sock.getsockname() == peer:
                self._end("refused")  # a simultaneous open with itself: nothing listens there
                return
            self._worker.may_be_self_connected = False  # something does, as long as no attempt fails
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
