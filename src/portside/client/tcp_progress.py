"""What the kernel says about bytes under way, and how long nothing has moved."""

import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator

from portside import sockopts

_ACKED_AND_RECEIVED_AT = 120  # linux/tcp.h, struct tcp_info: tcpi_bytes_acked, tcpi_bytes_received
_ACKED_AND_RECEIVED = struct.Struct("=QQ")


def unacknowledged(sock: socket.socket) -> int:
    """Bytes that the peer's kernel has not acknowledged, our FIN counted as one (SIOCOUTQ, tcp(7)).

    What is sent on a unix socket is with the peer at once: 0.
    """
    if sock.family == socket.AF_UNIX:
        return 0
    return sockopts.unacknowledged(sock.fileno())


def acked_and_received(sock: socket.socket) -> tuple[int, ...]:
    """Two counts of bytes since the connection began; empty where the kernel does not count."""
    if sock.family == socket.AF_UNIX:
        return ()
    size = _ACKED_AND_RECEIVED_AT + _ACKED_AND_RECEIVED.size
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
    return _ACKED_AND_RECEIVED.unpack_from(info, _ACKED_AND_RECEIVED_AT) if len(info) == size else ()


def pending_error(sock: socket.socket) -> OSError | None:
    """What the network has reported and no call has raised yet; asking for it takes it away."""
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(number, os.strerror(number)) if number else None


def is_reset(error: OSError) -> bool:
    """Whether an error is the peer's reset; after its FIN the kernel calls that a broken pipe (tcp_reset)."""
    return error.errno in (errno.ECONNRESET, errno.EPIPE)


class StallTimer:
    """How long nothing has moved, judged by counters that are read now and then."""

    def __init__(self, counters: Callable[[], object], since: float) -> None:
        self._counters = counters
        self._seen = counters()
        self._since = since  # time.monotonic()

    def seconds(self) -> float:
        """How long the counters have stood still, as far as calls of this could see."""
        now = time.monotonic()
        seen = self._counters()
        if seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since


def backoff() -> Iterator[float]:
    """How long to sleep between looks at what the kernel announces to nobody: 1 ms, 2 ms … 32 ms, in seconds."""
    pause = 0.001
    while True:
        yield pause
        pause = min(2 * pause, 0.032)
