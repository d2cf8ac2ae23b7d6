"""What a client passes between being accepted and being connected: its PROXY header, then admission, then TLS.

Who waits here holds a descriptor and a little memory, for a few seconds at most, and nobody waits for it. Admission
counts a client from before its handshake until it is gone, so --max-conns bounds handshakes too; who sends a PROXY
header is not known before, and is bounded by the descriptors alone.
"""

from typing import TYPE_CHECKING, Final

from portside.networks import Network
from portside.server.pending_connection import PendingConnection
from portside.server.proxy_header_reader import TIMEOUT_S as HEADER_TIMEOUT_S
from portside.server.proxy_header_reader import HeaderReader, is_trusted_proxy

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable

    from portside.server.server import Server
    from portside.server.tls_transport import TlsTransport

HANDSHAKE_TIMEOUT_S: Final = 10.0
LAST_WORDS_S: Final = 1.0  # that a client whose handshake failed has to read why


class PreConnect:
    """What comes first on each connection: a PROXY header where one is expected, TLS where there is a context.

    ``trusted`` None means that everyone may send a header.
    """

    def __init__(
        self, *, tls: "ssl.SSLContext | None", expects_header: bool = False, trusted: list[Network] | None = None
    ) -> None:
        self._tls = tls
        self._expects_header = expects_header
        self._trusted = trusted
        self._server: Server
        self._waiting: set[HeaderReader | Handshake] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def guard(self, server: "Server") -> None:
        """Stand before this server."""
        self._server = server

    def admit(self, pending: PendingConnection) -> None:
        """Let a client through, in its own time."""
        server = self._server
        if not self._expects_header:
            self._enter(pending)
        elif not is_trusted_proxy(pending.ip, self._trusted):
            server.refuse(pending, "proxy_header", "no proxy of --proxy-protocol-from")
        else:
            due = server.now() + HEADER_TIMEOUT_S
            reader = HeaderReader(server.loop, pending, due, self._headed)
            self._waiting.add(reader)
            server.schedule_check(reader, due)

    def _headed(self, reader: HeaderReader, pending: PendingConnection, why: str | None) -> None:
        self._waiting.discard(reader)
        if why is None:
            self._enter(pending)
        else:
            self._server.refuse(pending, "proxy_header", why)

    def _enter(self, pending: PendingConnection) -> None:
        server = self._server
        if not server.admit(pending):
            return
        if self._tls is not None:
            self._waiting.add(Handshake(server, pending, self._tls, self._waiting.discard))
        elif server.limit_reached:
            server.refuse(pending, "max_conns")
            server.release(pending)
        else:
            connection = server.connection_of(pending)
            server.attach(pending.sock, connection.protocol, connection)

    def end(self) -> None:
        """Let nobody in any more: the run ends."""
        for each in list(self._waiting):
            each.end()
        self._waiting.clear()


class Handshake:
    """One TLS handshake; ``over`` is told when it is, either way."""

    __slots__ = ("_arrival", "_due", "_over", "_server", "_transport")

    def __init__(
        self,
        server: "Server",
        pending: PendingConnection,
        context: "ssl.SSLContext",
        over: "Callable[[Handshake], None]",
    ) -> None:
        from portside.server.tls_transport import TlsTransport

        self._server = server
        self._arrival = pending
        self._over = over
        self._transport: TlsTransport | None = TlsTransport(
            context, opened=self._opened, failed=self._failed, gone=self._gone
        )
        self._check_in(HANDSHAKE_TIMEOUT_S)
        server.attach(pending.sock, self._transport)

    def check(self, now: float) -> None:
        """Whether it is late; called from the wheel."""
        if self._transport is not None and now >= self._due:
            self._transport.give_up(f"no handshake within {HANDSHAKE_TIMEOUT_S:g}s")

    def end(self) -> None:
        """The run ends."""
        if self._transport is not None:
            self._transport.give_up(None)

    def _check_in(self, seconds: float) -> None:
        self._due = self._server.now() + seconds
        self._server.schedule_check(self, self._due)

    def _opened(self, transport: "TlsTransport") -> "asyncio.Protocol | None":
        if self._server.limit_reached:
            self._server.refused(self._arrival, "max_conns")
            return None
        self._arrival.tls = transport.negotiated
        self._transport = None
        self._over(self)
        connection = self._server.connection_of(self._arrival)
        return connection.protocol

    def _failed(self, words: str) -> None:
        self._server.refused(self._arrival, "tls_failed", words)
        self._check_in(LAST_WORDS_S)

    def _gone(self) -> None:
        self._transport = None
        self._over(self)
        self._server.release(self._arrival)
