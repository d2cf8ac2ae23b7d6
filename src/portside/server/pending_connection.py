"""A client that is accepted and not connected yet: a PROXY header or a TLS handshake may come first."""

import socket
import struct
from typing import TYPE_CHECKING

from portside.addresses import format_sockaddr

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.events import Proxy
    from portside.server.connection import Connection, ConnectionFaults
    from portside.server.listener import Listener

_UCRED = struct.Struct("3i")


class PendingConnection:
    """An accepted socket and its client. A PROXY header replaces ``peer`` and ``ip`` by the client that it names."""

    __slots__ = ("ip", "listener", "make_faults", "peer", "proxy", "sock")

    def __init__(self, sock: socket.socket, peer: str, ip: str | None, listener: "Listener") -> None:
        self.sock = sock
        self.peer = peer
        self.ip = ip  # None on a unix socket
        self.listener = listener
        self.proxy: Proxy | None = None
        self.make_faults: Callable[[Connection], ConnectionFaults] | None = None


def unix_peer(sock: socket.socket, address: object) -> str:
    """The path of the client's end where it has one, otherwise its process (SO_PEERCRED, unix(7))."""
    if address:
        return format_sockaddr(socket.AF_UNIX, address)
    pid, _uid, _gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return f"unix:pid={pid}"
