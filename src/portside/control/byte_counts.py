"""Where the bytes of an accepted connection are, read from its socket, for each direction.

    received_by_kernel = recv_q + read
    written            = buffered + unsent + unacked + acked

These are bytes of TCP: over TLS they are encrypted, with the records of the handshake, and a PROXY header counts too;
``received`` and ``sent`` of a connection are what its user sees. The kernel counts FIN as a byte, which is taken off
here (``tcp_rcv_nxt_update`` and ``tcp_snd_una_update`` in net/ipv4/tcp_input.c, ``tcp_ioctl`` in net/ipv4/tcp.c).
"""

import fcntl
import socket
import struct
import termios
from typing import Final

import msgspec

from portside.kernel import states
from portside.server.leg import Leg

_SIOCOUTQNSD: Final = 0x894B  # linux/sockios.h: bytes that are not sent yet
_INFO_BYTES: Final = 256
_ACKED_AND_RECEIVED = struct.Struct("=QQ")  # tcpi_bytes_acked, tcpi_bytes_received
_ACKED_AT: Final = 120
_ATTEMPTS: Final = 4  # at numbers that belong together, while bytes arrive
_FIN_RECEIVED = frozenset((states.CLOSE_WAIT, states.LAST_ACK, states.CLOSING, states.TIME_WAIT))
_FIN_QUEUED = frozenset((states.FIN_WAIT1, states.LAST_ACK, states.CLOSING))
_FIN_ACKED = frozenset((states.FIN_WAIT2, states.TIME_WAIT))


class BytesIn(msgspec.Struct, frozen=True, kw_only=True):
    """From the peer: all that its kernel has delivered, what waits in Recv-Q, and what this process has read."""

    received_by_kernel: int
    recv_q: int
    read: int


class BytesOut(msgspec.Struct, frozen=True, kw_only=True):
    """To the peer: all that was written, and of it what waits here, what the kernel has not sent, what is under way."""

    written: int
    buffered: int
    unsent: int
    unacked: int
    acked: int


class ByteCounts(msgspec.Struct, frozen=True, rename={"incoming": "in", "outgoing": "out"}):
    """Both directions at one moment."""

    incoming: BytesIn
    outgoing: BytesOut


def count_bytes(leg: Leg) -> ByteCounts | None:
    """Read the counts of an open connection; None on a unix socket, and where the kernel has forgotten it.

    The kernel is asked for several numbers one after the other, again where they changed in between; on the thread that
    reads and writes the socket, so that only the peer can change them.
    """
    fd = leg.fd
    if fd < 0:
        return None
    try:
        with socket.socket(fileno=fd) as sock:
            try:
                return None if sock.family == socket.AF_UNIX else _count(sock, fd, leg.buffered_bytes)
            finally:
                sock.detach()
    except OSError:
        return None


def _count(sock: socket.socket, fd: int, buffered: int) -> ByteCounts | None:
    for _ in range(_ATTEMPTS):
        before = _queues(fd)
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        if _queues(fd) == before:
            break
    if len(info) < _ACKED_AT + _ACKED_AND_RECEIVED.size:
        return None  # a kernel before 4.1
    recv_q, unacked, unsent = before
    state = info[0]
    if state == states.CLOSE:
        return None  # both sides have ended: which of them the kernel counted a FIN of is not known
    acked, received = _ACKED_AND_RECEIVED.unpack_from(info, _ACKED_AT)
    received -= state in _FIN_RECEIVED
    acked -= state in _FIN_ACKED
    if state in _FIN_QUEUED:
        if unsent:
            unsent -= 1
        unacked -= 1
    unacked -= unsent
    return ByteCounts(
        BytesIn(received_by_kernel=received, recv_q=recv_q, read=received - recv_q),
        BytesOut(
            written=buffered + unsent + unacked + acked, buffered=buffered, unsent=unsent, unacked=unacked, acked=acked
        ),
    )


def _queues(fd: int) -> tuple[int, int, int]:
    recv_q, unacked, unsent = (
        struct.unpack("=i", fcntl.ioctl(fd, request, bytes(4)))[0]
        for request in (termios.FIONREAD, termios.TIOCOUTQ, _SIOCOUTQNSD)
    )
    return recv_q, unacked, unsent
