"""Socket options and queries that several packages use."""

import errno
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from itertools import cycle
from typing import NamedTuple

_LEAST_PROBES, _MOST_PROBES = 4, 8  # that a peer leaves unanswered before it has vanished
_MOST_PROBE_INTERVAL_S = 15
MANY_DESCRIPTORS = 512
"""From here on connections are so many that their probes in one moment may be too many: see ``probe_times``."""
_IDLE_STEPS = 17  # and no multiple of the number of intervals, so that each goes with every other
_PROBES_AT, _LAST_ACK_AT = 3, 56  # linux/tcp.h, struct tcp_info: tcpi_probes, tcpi_last_ack_recv (ms)
_KEEPIDLE: int = getattr(socket, "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE")  # macOS
_VANISHED = (errno.ETIMEDOUT, errno.EHOSTUNREACH)
_LINGER_0_S = struct.pack("ii", 1, 0)  # struct linger: on, 0 s


def set_abortive_close(sock: socket.socket) -> None:
    """Have the close of a socket send RST in place of FIN and drop what is not sent yet (SO_LINGER, socket(7)).

    Raises OSError where the socket is closed.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0_S)


def timeval(seconds: float) -> bytes:
    """Seconds as the ``struct timeval`` of a socket option, where 0 means for ever."""
    return struct.pack("ll", *divmod(round(seconds * 1e6), 1_000_000))


def set_keepalive(sock: socket.socket, idle_s: float) -> None:
    """Have the kernel probe a peer that has been silent for so long, from 1 s on; unanswered probes end the connection.

    Sockets that a listening one accepts inherit this (tcp(7)).
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    set_probe_times(sock, ProbeTimes(round(idle_s), _probe_interval_s(idle_s)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _probes(idle_s))


class ProbeTimes(NamedTuple):
    """When a silent peer is probed, and how long after a probe without an answer the next follows; in seconds."""

    idle: int
    interval: int


def probe_times(idle_s: float) -> Iterator[ProbeTimes]:
    """Times in turn for ``set_probe_times``: from half of those of ``set_keepalive`` up.

    The kernel's timers of that length have steps of 2 s: of thousands of connections that fall silent together, all
    probes leave in one moment. A queue on the way, such as that of the loopback interface, drops those above its limit
    (1000 packets, net.core.netdev_max_backlog) and, at one interval for all, the same ones each time. Intervals are
    odd: the even ones are whole steps, so that each repetition would leave together with the first probes of others.
    """
    most_s = _probe_interval_s(idle_s)
    idles = [max(1, round(idle_s * (0.5 + 0.5 * step / (_IDLE_STEPS - 1)))) for step in range(_IDLE_STEPS)]
    intervals = [each for each in range((most_s + 1) // 2, most_s + 1) if each % 2] or [most_s]
    return map(ProbeTimes, cycle(idles), cycle(intervals))


def set_probe_times(sock: socket.socket, times: ProbeTimes) -> None:
    """Have a socket that has ``set_keepalive`` probed at other times. Raises OSError where it is closed."""
    sock.setsockopt(socket.IPPROTO_TCP, _KEEPIDLE, times.idle)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, times.interval)


def vanished_after_s(idle_s: float) -> float:
    """How long a peer may give no sign of itself, at most, where ``set_keepalive`` was given this time."""
    return idle_s + _probes(idle_s) * _probe_interval_s(idle_s)


def _probe_interval_s(idle_s: float) -> int:
    return min(max(1, round(idle_s / _MOST_PROBES)), _MOST_PROBE_INTERVAL_S)


def _probes(idle_s: float) -> int:
    return min(max(_LEAST_PROBES, round(idle_s / _probe_interval_s(idle_s))), _MOST_PROBES)


def has_vanished(error: BaseException | None) -> bool:
    """Whether an error of a connection says that its peer answers no more, neither probes nor data."""
    return isinstance(error, OSError) and error.errno in _VANISHED


def seconds_since_ack(sock: socket.socket) -> float:
    """Seconds since the peer's kernel last acknowledged something, were it only a probe. Raises OSError."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ACK_AT + 4)
    return int.from_bytes(info[_LAST_ACK_AT:], sys.byteorder) / 1000


def was_probed(sock: socket.socket) -> bool:
    """Whether the kernel has sent a probe that the peer has not acknowledged: a reset is the answer to it."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _PROBES_AT + 1)[_PROBES_AT] > 0


def unacknowledged(fd: int) -> int:
    """Bytes that were sent and are not acknowledged, our FIN counted as one (SIOCOUTQ, tcp(7)); raises OSError.

    Of a unix socket: bytes that the peer has not read.
    """
    return int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
