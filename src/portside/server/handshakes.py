"""The pre-connect stage of a port that expects a PROXY header, or TLS, or both.

Each client passes, in this order, its PROXY header, admission, and the TLS handshake. A client in this stage holds a
descriptor, for a few seconds at most, and delays no other client. An admitted client counts from before its handshake
until it is gone, so --max-conns bounds handshakes too.

A TLS handshake holds 50 kB, so a port with TLS has at most ``most`` clients in this stage. While it is full, further
clients wait in the backlog, and the client that has been here longest gives way to the next of them, once it has been
here for ``PATIENCE_S``. So a burst of clients is served in its order, and clients that stop in mid-handshake cost
bounded memory and let ``most`` others pass in each second. Without TLS, the descriptors are the bound of this stage.
"""

import logging
import sys
from typing import TYPE_CHECKING, Final

from portside.networks import Network
from portside.server.pending_connection import PendingConnection
from portside.server.pre_connect import PreConnect, PreConnectHost
from portside.server.proxy_header_reader import HeaderReader, is_trusted_proxy

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable

    from portside.server.tls_transport import TlsTransport

HANDSHAKE_TIMEOUT_S: Final = 10.0
PATIENCE_S: Final = 1.0  # that a client may take in this stage while others wait for its place
ALERT_LINGER_S: Final = 1.0  # that a client whose handshake failed has to read the alert
_log = logging.getLogger("portside.server.tls")


class Handshakes(PreConnect):
    """Reads a PROXY header where ``expects_header``, and does a TLS handshake where there is a context.

    ``most`` is how many clients may be in this stage at once where there is a context. ``trusted`` lists the networks
    that may send a header; None is every network.
    """

    def __init__(
        self,
        *,
        tls: "ssl.SSLContext | None",
        most: int,
        expects_header: bool = False,
        trusted: list[Network] | None = None,
    ) -> None:
        self._tls = tls
        self._most = most if tls is not None else sys.maxsize
        self._expects_header = expects_header
        self._trusted = trusted
        self._unfinished: dict[HeaderReader | TlsHandshake, float] = {}  # with their begin; the oldest is the first
        self._retry: asyncio.TimerHandle | None = None  # there while clients wait in the backlog for a place here

    def has_room(self) -> bool:
        if len(self._unfinished) < self._most:
            return True
        host = self._host
        patience_left = next(iter(self._unfinished.values())) + PATIENCE_S - host.now()
        if patience_left <= 0:
            return True
        if self._retry is None:
            self._retry = host.loop.call_later(patience_left, self._resume_accepting)
        return False

    def _resume_accepting(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
            self._host.resume_accepting()

    def begin(self, pending: PendingConnection) -> None:
        if not self._expects_header:
            self._admit(pending)
        elif not is_trusted_proxy(pending.ip, self._trusted):
            self._host.refuse(pending, "proxy_header", "no proxy of --proxy-protocol-from")
        else:
            self._make_room()
            self._unfinished[HeaderReader(self._host, pending, self._header_read)] = self._host.now()

    def _make_room(self) -> None:
        if len(self._unfinished) >= self._most:
            oldest = next(iter(self._unfinished))
            del self._unfinished[oldest]
            oldest.give_way(f"not finished within {PATIENCE_S:g}s, with {self._most} handshakes at once")

    def _over(self, client: "HeaderReader | TlsHandshake") -> None:
        self._unfinished.pop(client, None)
        if len(self._unfinished) < self._most:
            self._resume_accepting()

    def _header_read(self, reader: HeaderReader, pending: PendingConnection, error: str | None) -> None:
        self._over(reader)
        if error is None:
            self._admit(pending)
        else:
            self._host.refuse(pending, "proxy_header", error)

    def _admit(self, pending: PendingConnection) -> None:
        if self._tls is None:
            super().begin(pending)
        elif self._host.admit(pending):
            self._make_room()
            handshake = TlsHandshake(self._host, pending, self._tls, self._over)
            self._unfinished[handshake] = self._host.now()
            handshake.start()

    def end(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for each in list(self._unfinished):
            each.end()
        self._unfinished.clear()


class TlsHandshake:
    """One TLS handshake of an admitted client; ``on_over`` is called when it has succeeded, or failed."""

    __slots__ = ("_deadline", "_host", "_on_over", "_pending", "_transport")

    def __init__(
        self,
        host: PreConnectHost,
        pending: PendingConnection,
        context: "ssl.SSLContext",
        on_over: "Callable[[TlsHandshake], None]",
    ) -> None:
        from portside.server.tls_transport import TlsTransport

        self._host = host
        self._pending = pending
        self._on_over = on_over
        transport = TlsTransport(context, opened=self._opened, failed=self._failed, gone=self._gone)
        self._transport: TlsTransport | None = transport

    def start(self) -> None:
        """Begin: the client has ``HANDSHAKE_TIMEOUT_S``."""
        self._set_deadline(HANDSHAKE_TIMEOUT_S)
        if self._transport is not None:
            self._host.attach(self._pending.take_fd(), self._transport)

    def check(self, now: float) -> None:
        """Give up a handshake that takes too long, or a client that had time to read the alert."""
        if self._transport is not None and now >= self._deadline:
            silent = ": it sent nothing" if self._transport.received_nothing else ""
            self._transport.give_up(f"no handshake within {HANDSHAKE_TIMEOUT_S:g}s{silent}")

    def give_way(self, error: str) -> None:
        """Refuse the client, whose place another one gets."""
        if self._transport is not None:
            self._transport.give_up(error)

    def end(self) -> None:
        """Close the client: the run ends."""
        if self._transport is not None:
            self._transport.give_up(None)

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self._host.now() + seconds
        self._host.schedule_check(self, self._deadline)

    def _opened(self, transport: "TlsTransport") -> "asyncio.Protocol | None":
        host = self._host
        if host.limit_reached:
            host.publish_refusal(self._pending, "max_conns")
            return None
        self._transport = None
        self._on_over(self)
        return host.open_connection(self._pending, transport.negotiated).protocol

    def _failed(self, error: str) -> None:
        _log.info("handshake with %s failed: %s", self._pending.peer, error)
        self._host.publish_refusal(self._pending, "tls_failed", error)
        self._set_deadline(ALERT_LINGER_S)

    def _gone(self) -> None:
        self._transport = None
        self._on_over(self)
        self._host.release(self._pending)
