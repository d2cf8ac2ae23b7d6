"""Destroy sockets, as ``ss -K`` does: SOCK_DESTROY of sock_diag(7).

The kernel asks for CAP_NET_ADMIN and has to be built with CONFIG_INET_DIAG_DESTROY. The program that holds a destroyed
socket gets ECONNABORTED.
"""

import errno
import os
import socket
import sys
from typing import NamedTuple

import numpy as np

from portside.errors import PortsideError
from portside.kernel.address_text import endpoints
from portside.kernel.dump_reader import (
    HEADER,
    NETLINK_SOCK_DIAG,
    NLM_F_ACK,
    NLM_F_REQUEST,
    REQUEST,
)
from portside.kernel.netns import Namespace
from portside.kernel.table import SocketTable

_SOCK_DESTROY = 21
_IDENTITY = slice(4, 52)  # struct inet_diag_sockid in struct inet_diag_msg
_HOPELESS = {
    errno.EPERM: "this needs root (CAP_NET_ADMIN)",
    errno.EACCES: "this needs root (CAP_NET_ADMIN)",
    errno.EOPNOTSUPP: "this kernel is made without CONFIG_INET_DIAG_DESTROY",
}


class Destroyed(NamedTuple):
    """The sockets that were destroyed, and the number of sockets that no longer existed."""

    table: SocketTable
    gone: int


class DestroyError(PortsideError):
    """The kernel refused to destroy a socket; ``before`` is what it destroyed until then."""

    def __init__(self, what: str, why: str | BaseException, hint: str | None, before: Destroyed) -> None:
        super().__init__(what, why, hint)
        self.before = before


def destroy(table: SocketTable, namespace: Namespace | None = None) -> Destroyed:
    """Destroy every socket of a table that came from netlink: by its ends and its cookie, so no other one.

    Raises DestroyError at the first socket that the kernel refuses to destroy.
    """
    destroyed, gone = np.zeros(len(table), bool), 0

    def opened() -> socket.socket:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)

    with namespace.run(opened) if namespace else opened() as channel:
        for index in range(len(table)):
            number = _destroy_one(channel, table, index)
            if number not in (0, errno.ENOENT):
                (local,) = endpoints(table.base[index : index + 1], "local", table.interfaces, bound=True)
                what = f"destroying {local}"
                before = Destroyed(table.select(destroyed), gone)
                raise DestroyError(what, os.strerror(number), _HOPELESS.get(number), before)
            destroyed[index] = number == 0
            gone += number != 0
    return Destroyed(table.select(destroyed), gone)


def _destroy_one(channel: socket.socket, table: SocketTable, index: int) -> int:
    """The errno of the kernel's answer, 0 for done."""
    message = table.base[index : index + 1].tobytes()
    request = REQUEST.pack(message[0], socket.IPPROTO_TCP, 0, 0, message[_IDENTITY])
    header = HEADER.pack(HEADER.size + len(request), _SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, index + 1, 0)
    channel.send(header + request)
    answer = channel.recv(4096)
    return -int.from_bytes(answer[HEADER.size : HEADER.size + 4], sys.byteorder, signed=True)
