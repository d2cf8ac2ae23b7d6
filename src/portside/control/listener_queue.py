"""How many clients wait at a listening socket, and how many were dropped there: the kernel's own counts."""

import socket
import struct
from typing import NamedTuple

from portside.server.listener import Listener

_INFO = struct.Struct(
    "2I"
)  # tcpi_unacked and tcpi_sacked, which of a listener are the length of its queue and its limit
_INFO_AT = 24  # in struct tcp_info, include/uapi/linux/tcp.h
_MEMORY = struct.Struct("9I")  # enum SK_MEMINFO_*, include/uapi/linux/sock_diag.h: the last is the drops
_SO_MEMINFO = 55  # include/uapi/asm-generic/socket.h; Linux 4.12


class ListenerQueue(NamedTuple):
    """The queue of clients that the kernel has accepted and the server has not; None is unknown."""

    waiting: int | None
    limit: int | None
    drops: int | None


UNKNOWN = ListenerQueue(None, None, None)


def read_queue(listener: Listener) -> ListenerQueue:
    """The queue of a listener; unknown for a unix socket, and for one that is closed."""
    sock = listener.socket
    if listener.family not in (socket.AF_INET, socket.AF_INET6) or sock.fileno() < 0:
        return UNKNOWN
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_AT + _INFO.size)
        waiting, limit = _INFO.unpack_from(info, _INFO_AT)
    except (OSError, struct.error):
        return UNKNOWN
    return ListenerQueue(waiting, limit, _drops(sock))


def _drops(sock: socket.socket) -> int | None:
    try:
        drops: int = _MEMORY.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMORY.size))[-1]
    except (OSError, struct.error):
        return None
    return drops
