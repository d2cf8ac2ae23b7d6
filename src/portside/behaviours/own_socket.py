"""The kernel's facts about a socket of this process: the row of its ports in the socket table that has its inode."""

import os
import socket
from typing import NamedTuple

from portside.errors import PortsideError
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket
from portside.kernel.snapshot import Query, take_snapshot


class OwnSocket(NamedTuple):
    """The key of a socket in the table: its inode and ports; the ports are None where it is no TCP socket."""

    inode: int
    ports: tuple[int, int] | None


def own_socket(fd: int) -> OwnSocket | None:
    """The socket of a descriptor, on the thread that closes it; None for one that is closed, or whose peer is gone."""
    if fd < 0:
        return None
    sock = socket.socket(fileno=fd)
    try:
        inode = os.fstat(fd).st_ino
        if sock.family == socket.AF_UNIX:
            return OwnSocket(inode, None)
        return OwnSocket(inode, (sock.getsockname()[1], sock.getpeername()[1]))
    except OSError:
        return None
    finally:
        sock.detach()


def read_facts(own: OwnSocket) -> Socket:
    """The row of the socket; blocks for some milliseconds. Raises PortsideError where there is none."""
    if own.ports is None:
        raise PortsideError("no kernel facts", "it is a unix socket, which the table of TCP sockets does not have")
    local, remote = own.ports
    found = take_snapshot(Query(f"sport = :{local} and dport = :{remote}", view="all", commands=True)).table
    for row in to_sockets(found):
        if row.inode == own.inode:
            return row
    raise PortsideError("no kernel facts", "the kernel's table has this socket no more")
