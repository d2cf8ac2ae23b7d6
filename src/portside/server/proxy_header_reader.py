"""The PROXY header of a client that has been accepted: read from its socket, and not one byte beyond it.

What has come is looked at before it is taken (MSG_PEEK), and exactly what belongs to the header is taken: a part of it
leaves nothing behind that would make the socket readable again, and all after it is left to the connection or to TLS.
"""

import os
import socket
from typing import TYPE_CHECKING, Final

from portside.addresses import format_sockaddr
from portside.errors import InvalidValue, reason_of
from portside.events import Proxy
from portside.networks import Network, contains
from portside.server.pending_connection import PendingConnection
from portside.wire.escaping import escape
from portside.wire.proxy_header import Header, HeaderDecoder

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

TIMEOUT_S: Final = 5.0
_LOOK_BYTES = 4096  # at once; a longer header comes in several


class HeaderReader:
    """Reads one; then calls ``done`` with the pending, and None or why there is none. The socket is then theirs."""

    __slots__ = ("_arrival", "_decoder", "_done", "_due", "_loop")

    def __init__(
        self,
        loop: "asyncio.AbstractEventLoop",
        pending: PendingConnection,
        due: float,
        done: "Callable[[HeaderReader, PendingConnection, str | None], None]",
    ) -> None:
        self._loop = loop
        self._arrival: PendingConnection | None = pending
        self._due = due  # the loop's clock
        self._done = done
        self._decoder = HeaderDecoder()
        pending.sock.setblocking(False)
        loop.add_reader(pending.sock, self._readable, pending)

    def check(self, now: float) -> None:
        """Whether it is late; called from the wheel."""
        if self._arrival is not None and now >= self._due:
            # uvloop tells a reader of the peer's FIN, and not of its reset.
            error = self._arrival.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            late = f"no whole PROXY header came within {TIMEOUT_S:g}s"
            self._finish(self._arrival, os.strerror(error) if error else late)

    def end(self) -> None:
        """The run ends."""
        if self._arrival is not None:
            self._loop.remove_reader(self._arrival.sock)
            self._arrival.sock.close()
            self._arrival = None

    def _readable(self, pending: PendingConnection) -> None:
        try:
            seen = pending.sock.recv(_LOOK_BYTES, socket.MSG_PEEK)
            taken = self._decoder.feed(seen)
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
        elif not seen:
            self._finish(pending, "it closed before its PROXY header was whole")

    def _finish(self, pending: PendingConnection, why: str | None) -> None:
        self._loop.remove_reader(pending.sock)
        self._arrival = None
        self._done(self, pending, why)


def apply_proxy_header(pending: PendingConnection, header: Header) -> None:
    """Make an pending that of the client which a header names."""
    destination = None
    via = pending.peer
    if header.source is not None:
        pending.peer = escape(format_sockaddr(header.family, header.source).encode())
        pending.ip = header.source[0] if isinstance(header.source, tuple) else None
        destination = escape(format_sockaddr(header.family, header.destination).encode())
    pending.proxy = Proxy(via, header.version, destination, dict(header.tlvs))


def is_trusted_proxy(ip: str | None, trusted: list[Network] | None) -> bool:
    """Whether a header is taken from this address; None is a unix socket, whose file has permissions."""
    return ip is None or trusted is None or contains(ip, trusted)
