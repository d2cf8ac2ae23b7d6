"""The PROXY header of a client that has been accepted: read from its socket, and not one byte beyond it.

Bytes are looked at before they are taken (MSG_PEEK), and exactly those of the header are taken: a part of a header
leaves nothing behind that would make the socket readable again, and the bytes after it are left to the connection.
"""

import os
import socket
from typing import TYPE_CHECKING, Final

from portside.addresses import format_sockaddr
from portside.errors import InvalidValue, reason_of
from portside.events import Proxy
from portside.networks import Network, contains, normal_ip
from portside.server.pending_connection import PendingConnection
from portside.wire.escaping import escape
from portside.wire.proxy_header import HeaderDecoder, ProxyHeader

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.server.pre_connect import PreConnectHost

TIMEOUT_S: Final = 5.0
_PEEK_BYTES = 4096  # at once; a longer header comes in several


class HeaderReader:
    """Reads one header; then calls ``done`` with None, or with the reason for which there is none.

    The socket is closed by the reader only where ``end`` is called before.
    """

    __slots__ = ("_deadline", "_decoder", "_done", "_loop", "_pending")

    def __init__(
        self,
        host: "PreConnectHost",
        pending: PendingConnection,
        done: "Callable[[HeaderReader, PendingConnection, str | None], None]",
    ) -> None:
        self._loop = host.loop
        self._pending: PendingConnection | None = pending
        self._done = done
        self._decoder = HeaderDecoder()
        self._deadline = host.now() + TIMEOUT_S
        pending.sock.setblocking(False)
        host.loop.add_reader(pending.sock, self._readable, pending)
        host.schedule_check(self, self._deadline)

    def check(self, now: float) -> None:
        """Give up on a header that takes too long."""
        if self._pending is not None and now >= self._deadline:
            # uvloop reports the peer's FIN to a reader, and not its reset.
            error = self._pending.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            late = f"no whole PROXY header came within {TIMEOUT_S:g}s"
            self._finish(self._pending, os.strerror(error) if error else late)

    def give_way(self, error: str) -> None:
        """Refuse the client, whose place another one gets."""
        if self._pending is not None:
            self._finish(self._pending, error)

    def end(self) -> None:
        """Close the client: the run ends."""
        if self._pending is not None:
            self._loop.remove_reader(self._pending.sock)
            self._pending.sock.close()
            self._pending = None

    def _readable(self, pending: PendingConnection) -> None:
        try:
            peeked = pending.sock.recv(_PEEK_BYTES, socket.MSG_PEEK)
            taken = self._decoder.feed(peeked)
            if taken:
                pending.sock.recv(taken)
        except BlockingIOError:
            return
        except InvalidValue as problem:
            self._finish(pending, str(problem))
            return
        except OSError as error:
            self._finish(pending, reason_of(error))
            return
        if self._decoder.header is not None:
            apply_proxy_header(pending, self._decoder.header)
            self._finish(pending, None)
        elif not peeked:
            self._finish(pending, "it closed before its PROXY header was whole")

    def _finish(self, pending: PendingConnection, error: str | None) -> None:
        self._loop.remove_reader(pending.sock)
        self._pending = None
        self._done(self, pending, error)


def apply_proxy_header(pending: PendingConnection, header: ProxyHeader) -> None:
    """Replace the proxy that connected by the client that its header names.

    A client on a unix socket of the proxy has no IP address: it is let in and counted as the proxy itself.
    """
    destination = None
    via = pending.peer
    if header.source is not None:
        pending.peer = escape(format_sockaddr(header.family, header.source).encode())
        if isinstance(header.source, tuple):
            pending.ip = normal_ip(header.source[0])
        destination = escape(format_sockaddr(header.family, header.destination).encode())
    pending.proxy = Proxy(via, header.version, destination, dict(header.tlvs))


def is_trusted_proxy(ip: str | None, trusted: list[Network] | None) -> bool:
    """Whether a header is taken from this address; None is a unix socket, whose file has permissions."""
    return ip is None or trusted is None or contains(ip, trusted)
