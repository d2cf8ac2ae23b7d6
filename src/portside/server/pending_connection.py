"""A client that is accepted and not connected yet: a PROXY header or a TLS handshake may come first."""

import os
import socket
import struct
from typing import TYPE_CHECKING

from portside.addresses import format_sockaddr, ip_of
from portside.socket_class import Socket

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.events import Proxy
    from portside.server.connection import Connection, ConnectionFaults
    from portside.server.listener import Listener

_UCRED = struct.Struct("3i")


class PendingConnection:
    """An accepted descriptor and its client. A PROXY header replaces ``peer`` and ``ip`` by the client that it names.

    The descriptor is in non-blocking mode, and belongs to this object until ``take_fd`` or ``close``.
    """

    __slots__ = ("_local", "_sock", "fd", "ip", "listener", "make_faults", "peer", "proxy")

    def __init__(self, fd: int, address: object, listener: "Listener") -> None:
        self.fd = fd
        self.listener = listener
        self._sock: socket.socket | None = None
        self._local: str | None = None
        family = listener.family
        self.ip = ip_of(address) if isinstance(address, tuple) else None  # None on a unix socket
        self.peer = format_sockaddr(family, address) if family != socket.AF_UNIX else self._unix_peer(address)
        self.proxy: Proxy | None = None
        self.make_faults: Callable[[Connection], ConnectionFaults] | None = None

    @property
    def sock(self) -> socket.socket:
        """The descriptor as a socket, made when it is first asked for: most clients need none."""
        if self._sock is None:
            self._sock = Socket(self.listener.family, socket.SOCK_STREAM, 0, self.fd)
        return self._sock

    def take_fd(self) -> int:
        """The descriptor, which is the caller's from now on."""
        self._local = self.local
        fd, self.fd = self.fd, -1
        if self._sock is not None:
            self._sock.detach()
            self._sock = None
        return fd

    @property
    def local(self) -> str:
        """The address that the client has connected to; known after ``take_fd`` too."""
        if self._local is None:
            listener = self.listener
            self._local = (
                format_sockaddr(listener.family, self.sock.getsockname()) if listener.everywhere else listener.name
            )
        return self._local

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.take_fd())

    def _unix_peer(self, address: object) -> str:
        """The path of the client's end where it has one, otherwise its process (SO_PEERCRED, unix(7))."""
        if address:
            return format_sockaddr(socket.AF_UNIX, address)
        pid, _uid, _gid = _UCRED.unpack(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return f"unix:pid={pid}"
