"""A client that is accepted and not yet connected: a PROXY header or a handshake may come first."""

import socket
import struct
from typing import TYPE_CHECKING

from portside.addresses import format_sockaddr

if TYPE_CHECKING:
    from portside.events import Proxy, Tls
    from portside.server.faults.faults import Chosen
    from portside.server.listener import Listener

_UCRED = struct.Struct("3i")


class PendingConnection:
    """What is known of it; a PROXY header changes ``peer`` and ``ip`` to those of the client that it names."""

    __slots__ = ("chosen", "ip", "listener", "peer", "proxy", "sock", "tls")

    def __init__(self, sock: socket.socket, peer: str, ip: str | None, listener: "Listener") -> None:
        self.sock = sock
        self.peer = peer
        self.ip = ip  # None on a unix socket
        self.listener = listener
        self.tls: Tls | None = None
        self.proxy: Proxy | None = None
        self.chosen: Chosen | None = None  # the faults that it is to meet


def unix_peer(sock: socket.socket, address: object) -> str:
    """The path of the client's end where it has one, otherwise its process (SO_PEERCRED, unix(7))."""
    if address:
        return format_sockaddr(socket.AF_UNIX, address)
    pid, _uid, _gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return f"unix:pid={pid}"
