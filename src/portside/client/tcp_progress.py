"""Progress of a TCP connection: the kernel's byte counters, and a timer for how long they have not changed."""

import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator

from portside import sockopts

KILLED = "it was killed: the kernel was asked to destroy its socket"
"""Words for the error that ``is_killed`` recognizes."""

_ACKED_AND_RECEIVED_AT = 120  # linux/tcp.h, struct tcp_info: tcpi_bytes_acked, tcpi_bytes_received
_ACKED_AND_RECEIVED = struct.Struct("=QQ")


def unacknowledged(sock: socket.socket) -> int:
    """Bytes that the peer's kernel has not acknowledged; our FIN counts as one (SIOCOUTQ, tcp(7)).

    0 for a unix socket, where bytes sent are in the peer's buffer at once.
    """
    if sock.family == socket.AF_UNIX:
        return 0
    return sockopts.unacknowledged(sock.fileno())


def acked_and_received(sock: socket.socket) -> tuple[int, ...]:
    """Bytes that the peer has acknowledged, bytes received; empty where the kernel does not count them."""
    if sock.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
        return ()
    size = _ACKED_AND_RECEIVED_AT + _ACKED_AND_RECEIVED.size
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
    return _ACKED_AND_RECEIVED.unpack_from(info, _ACKED_AND_RECEIVED_AT) if len(info) == size else ()


def pending_error(sock: socket.socket) -> OSError | None:
    """An error that the network has reported and no call has raised yet (SO_ERROR); reading it clears it."""
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(number, os.strerror(number)) if number else None


def is_killed(error: OSError) -> bool:
    """Whether somebody had the kernel destroy the socket, as ``watch --kill`` and ``ss -K`` do (tcp_abort)."""
    return error.errno == errno.ECONNABORTED


def is_reset(error: OSError) -> bool:
    """Whether an error is the peer's reset; after the peer's FIN the kernel says broken pipe (tcp_reset)."""
    return error.errno in (errno.ECONNRESET, errno.EPIPE)


class StallTimer:
    """Measures for how long no bytes have moved, from counters that are polled."""

    def __init__(self, counters: Callable[[], object], since: float) -> None:
        self._counters = counters
        self._seen = counters()
        self._since = since  # time.monotonic()

    def seconds(self) -> float:
        """Seconds for which the counters have stood still, as seen by calls of this method."""
        now = time.monotonic()
        seen = self._counters()
        if seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since


class VanishWatch:
    """Notices that a peer acknowledges nothing of what was sent to it, not even probes of its closed window.

    The kernel would send it again for a quarter of an hour. ``keepalive`` is in seconds, as for ``set_keepalive``.
    """

    def __init__(self, sock: socket.socket, keepalive: float) -> None:
        self._sock = sock
        self._limit_s = sockopts.vanished_after_s(keepalive)
        self._stalled = StallTimer(lambda: unacknowledged(sock), time.monotonic())
        self.interval_s = self._limit_s / 8  # between two calls of ``has_vanished``, at most

    def has_vanished(self) -> bool:
        """Whether the peer has given no sign of itself for as long as a silent one may be."""
        stalled_s = self._stalled.seconds()
        if stalled_s < self._limit_s or not unacknowledged(self._sock):
            return False
        return sockopts.seconds_since_ack(self._sock) >= self._limit_s


def set_receive_timeout(sock: socket.socket, seconds: float) -> None:
    """Have a blocking call return after so long without data, with BlockingIOError (SO_RCVTIMEO, socket(7))."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, sockopts.timeval(seconds))


def backoff() -> Iterator[float]:
    """Seconds to sleep between checks of a state that the kernel does not announce: 1 ms, 2 ms … 32 ms, 32 ms …"""
    delay = 0.001
    while True:
        yield delay
        delay = min(2 * delay, 0.032)
