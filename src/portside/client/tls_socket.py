"""TLS for the client, with the interface of a socket, for one thread that receives and one thread that sends.

The engine allows one thread at a time, and a thread that waits for the network must not block the other one. So each
direction waits on the socket without the lock, and holds the lock only while it uses the engine:

1. Receiving: wait for bytes, and only then take the lock to decrypt them. All that can be decrypted is returned at
   once, so that waiting for the descriptor is waiting for data.
2. Sending: one at a time (``_sending``): encrypt under the lock, then send what came of it, in that order.
3. What the engine wants sent while receiving (an answer to a key update, an alert) goes with what is sent next, or at
   once where no send is under way; receiving never waits for it.
"""

import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from portside.client.log import log_info
from portside.tls.engine import Half, TlsEngine
from portside.tls.words import TlsError

if TYPE_CHECKING:
    from portside.events import Tls

_PIECE_BYTES = 64 * 1024  # encrypted at once: four records
_CIPHERTEXT_BYTES = 128 * 1024  # received at once; callers receive into at least as much room


class TlsSocket(socket.socket):
    """A connected socket that speaks TLS from ``handshake`` on; it takes over the given socket.

    ``server_hostname`` is the name that the peer's certificate must have. Raises ValueError if that cannot be the name
    of a host.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._engine = TlsEngine(context, server_hostname=server_hostname)
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._lock = threading.Lock()  # of the engine
        self._sending = threading.Lock()  # of the order in which bytes go out; taken before the other
        self._unsent = memoryview(b"")  # encrypted, and not taken by the kernel
        self._unreported = 0  # bytes of the caller's that ``_unsent`` ends with, and that no ``send`` has returned

    def handshake(self, timeout_s: float) -> "Tls":
        """Shake hands within so many seconds: what was agreed on.

        Raises TlsError, TimeoutError, and what the socket raises.
        """
        engine = self._engine
        deadline = time.monotonic() + timeout_s
        try:
            while not self._advance_handshake():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self.settimeout(left)
                data = super().recv(_CIPHERTEXT_BYTES)
                if not data:
                    when = "before it sent anything" if engine.received_nothing else "in mid-handshake"
                    raise TlsError(f"it closed the connection {when}")
                engine.feed(data)
        finally:
            self.settimeout(None)
        negotiated = engine.negotiated()
        log_info("tls", "handshake finished: %s", negotiated)
        return negotiated

    def _advance_handshake(self) -> bool:
        """Take the handshake as far as what has come allows: whether it is finished. Raises TlsError."""
        try:
            return self._engine.handshake()
        finally:
            if data := self._engine.data_to_send():  # an alert, too
                super().sendall(data)

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate (DER)."""
        return self._engine.peer_certificate

    @property
    def is_truncated(self) -> bool:
        """Whether the peer's FIN came without its close_notify: something may be missing."""
        return self._engine.receiving is Half.TRUNCATED

    # Receiving.

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive as on any socket, but raise BlockingIOError while a record is incomplete."""
        data = super().recv(_CIPHERTEXT_BYTES, flags)
        engine = self._engine
        with self._lock:
            engine.feed(data)
            size = engine.read_into(memoryview(buffer))
            if not data:
                engine.feed_eof()
            receiving, answers = engine.receiving, engine.has_data_to_send
        if receiving is Half.CLOSED:
            # A poll of the descriptor must report the end, even if the peer leaves the connection open.
            with suppress(OSError):
                super().shutdown(socket.SHUT_RD)
        if answers and self._sending.acquire(blocking=False):
            try:
                with suppress(OSError):  # the next send meets it too
                    self._flush(socket.MSG_DONTWAIT)
            finally:
                self._sending.release()
        if size or receiving is not Half.OPEN:
            return size
        if engine.failure is not None:
            raise engine.failure
        raise BlockingIOError

    # Sending.

    def send(self, data: Any, flags: int = 0) -> int:
        """Send as on any socket; after BlockingIOError (MSG_DONTWAIT) the call is repeated with the same bytes."""
        with self._sending:
            self._flush(flags)
            if self._unreported:
                size, self._unreported = self._unreported, 0
                return size
            piece = memoryview(data)[:_PIECE_BYTES]
            with self._lock:
                self._unsent = memoryview(self._engine.encrypt(piece))
            if flags & socket.MSG_DONTWAIT:
                self._unreported = len(piece)
            self._flush(flags)
            self._unreported = 0
            return len(piece)

    def _flush(self, flags: int) -> None:
        """Send what is encrypted. Raises BlockingIOError where some of it stays."""
        while True:
            if not self._unsent:
                with self._lock:
                    self._unsent = memoryview(self._engine.data_to_send())
                if not self._unsent:
                    return
            self._unsent = self._unsent[super().send(self._unsent, flags) :]

    # The end.

    def shutdown(self, how: int) -> None:
        """Shut a direction down; SHUT_WR sends close_notify, without FIN, after which some peers would stop sending."""
        if how != socket.SHUT_WR:
            super().shutdown(how)
            return
        with self._sending:
            self._close_notify(0)

    def close(self) -> None:
        """Close, after close_notify where that can be sent at once."""
        if self.fileno() >= 0 and self._sending.acquire(blocking=False):
            try:
                with suppress(OSError):
                    self._close_notify(socket.MSG_DONTWAIT)
            finally:
                self._sending.release()
        super().close()

    def _close_notify(self, flags: int) -> None:
        with self._lock:
            self._engine.close_notify()
        self._flush(flags)
