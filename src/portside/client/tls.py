"""TLS for the client: a socket that is used like any other, by one thread that receives and one that sends.

OpenSSL's state takes one thread at a time, and a thread that waits for the network must not hold it. So OpenSSL works
on buffers in memory under a lock, and each direction waits on the socket itself without one:

1. Receiving: wait for bytes, and only then take the lock to decrypt them. All that can be decrypted is given out at
   once, so that waiting for the descriptor is waiting for data.
2. Sending: one at a time (``_sending``): encrypt under the lock, then send what came of it, in that order.
3. What OpenSSL wants sent while receiving (an answer to a key update, an alert) goes with what is sent next, or at
   once where nobody is sending; receiving never waits for it.
"""

import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from portside.errors import PortsideError
from portside.wire.tls import TlsError, agreed, load_authorities, load_own, log_keys, say_last, words_of

if TYPE_CHECKING:
    from portside.events import Tls

_PIECE_BYTES = 64 * 1024  # encrypted at once: four records
_CIPHERTEXT_BYTES = 128 * 1024  # received at once; whoever receives has at least as much room
_HINTS = {
    "CERTIFICATE_VERIFY_FAILED": "--tls-ca FILE says who may have signed it, --tls-servername NAME whose it may be; "
    "--no-tls-verify takes any",
    "WRONG_VERSION_NUMBER": "does it speak TLS on this port?",
}


def client_context(
    *,
    verify: bool = True,
    ca: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    alpn: tuple[str, ...] = (),
) -> ssl.SSLContext:
    """How to speak TLS to a server; ``ca`` None means those of the system. SSLKEYLOGFILE is honoured.

    Where ``verify`` holds, each use needs the name of the server. Raises PortsideError where a file is not good.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is not None:
        load_authorities(context, ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if certificate is not None:
        load_own(context, certificate, key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    log_keys(context)
    return context


class TlsSocket(socket.socket):
    """A connected socket that has spoken TLS since ``shake_hands``; it takes over the one that it is made of."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str | None) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._name = name
        self._lock = threading.Lock()  # of OpenSSL's state and its buffers
        self._sending = threading.Lock()  # of the order in which bytes go out; taken before the other
        self._unsent = memoryview(b"")  # encrypted, and not taken by the kernel
        self._encrypted = 0  # bytes of the caller's that ``_unsent`` ends with, where it was not told of them
        self._ended = False  # our close_notify is out
        self._over = False  # the peer's came
        self._failure: TlsError | None = None
        self.truncated = False  # the peer's FIN came without its close_notify: something may be missing

    def shake_hands(self, timeout: float) -> "Tls":
        """The handshake, within so many seconds; what it agreed on. Raises PortsideError's causes: OSError."""
        deadline = time.monotonic() + timeout
        try:
            while not self._shaken():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self.settimeout(left)
                data = super().recv(_CIPHERTEXT_BYTES)
                if not data:
                    raise TlsError("it closed the connection in mid-handshake")
                self._incoming.write(data)
        finally:
            self.settimeout(None)
        return agreed(self._tls, self._name)

    def _shaken(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            if self._outgoing.pending:
                super().sendall(self._outgoing.read())  # an alert, too
        return True

    @property
    def certificate(self) -> bytes | None:
        """The peer's certificate (DER)."""
        return self._tls.getpeercert(binary_form=True)

    # Receiving.

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As of any socket, but BlockingIOError where what came is no whole record yet."""
        data = super().recv(_CIPHERTEXT_BYTES, flags)
        with self._lock:
            self._incoming.write(data)
            size = self._decrypt(memoryview(buffer))
            answers = self._outgoing.pending > 0
        if answers and self._sending.acquire(blocking=False):
            try:
                with suppress(OSError):  # whoever sends next meets it too
                    self._flush(socket.MSG_DONTWAIT)
            finally:
                self._sending.release()
        if size or self._over:
            return size
        if self._failure is not None:
            raise self._failure
        if not data:
            self.truncated = True
            return 0
        raise BlockingIOError

    def _decrypt(self, room: memoryview) -> int:
        """How many bytes it put into ``room``."""
        size = 0
        try:
            while size < len(room) and not self._over:
                got = int(self._tls.read(len(room) - size, room[size:]))
                self._over = not got
                size += got
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._over = True  # how its close_notify reads after ours
        except ssl.SSLError as error:
            self._failure = TlsError(words_of(error))
        if self._over:
            # Whoever polls the descriptor is to see the end, though the peer may leave it open.
            with suppress(OSError):
                super().shutdown(socket.SHUT_RD)
        return size

    # Sending.

    def send(self, data: Any, flags: int = 0) -> int:
        """As of any socket; with MSG_DONTWAIT whoever gets BlockingIOError calls again with the same bytes."""
        with self._sending:
            self._flush(flags)
            if self._encrypted:
                size, self._encrypted = self._encrypted, 0
                return size
            piece = memoryview(data)[:_PIECE_BYTES]
            with self._lock:
                size = 0
                try:
                    while size < len(piece):
                        size += self._tls.write(piece[size:])
                except ssl.SSLError as error:
                    raise TlsError(words_of(error)) from None
            if flags & socket.MSG_DONTWAIT:
                self._encrypted = size
            self._flush(flags)
            self._encrypted = 0
            return size

    def _flush(self, flags: int) -> None:
        """Send what is encrypted. Raises BlockingIOError where some of it stays."""
        while True:
            if not self._unsent:
                with self._lock:
                    self._unsent = memoryview(self._outgoing.read())
                if not self._unsent:
                    return
            self._unsent = self._unsent[super().send(self._unsent, flags) :]

    # The end.

    def shutdown(self, how: int) -> None:
        """SHUT_WR is TLS's own: close_notify, no FIN, after which some peers would send no more."""
        if how != socket.SHUT_WR:
            super().shutdown(how)
            return
        with self._sending:
            self._say_last(0)

    def close(self) -> None:
        """Close; close_notify goes before where it can go at once."""
        if self.fileno() >= 0 and self._sending.acquire(blocking=False):
            try:
                with suppress(OSError):
                    self._say_last(socket.MSG_DONTWAIT)
            finally:
                self._sending.release()
        super().close()

    def _say_last(self, flags: int) -> None:
        if not self._ended:
            self._ended = True
            with self._lock:
                say_last(self._tls, self._incoming)
        self._flush(flags)


def speak_tls(
    sock: socket.socket, context: ssl.SSLContext, name: str | None, peer: str, timeout: float
) -> "tuple[TlsSocket, Tls]":
    """Shake hands on a connected socket, which is closed where that fails.

    ``name`` is whose certificate the peer must have; ``timeout`` is in seconds. Raises PortsideError.
    """
    what = f"no TLS with {peer}"
    try:
        wrapped = TlsSocket(sock, context, name)
    except ValueError as error:  # a name that can be no host's
        sock.close()
        raise PortsideError(what, str(error)) from None
    try:
        return wrapped, wrapped.shake_hands(timeout)
    except TimeoutError:
        failure = PortsideError(what, f"no handshake within {timeout:g}s", "does it speak TLS on this port?")
    except ssl.SSLError as error:
        failure = PortsideError(what, words_of(error), _HINTS.get(error.reason or ""))
    except OSError as error:
        failure = PortsideError(what, error)
    wrapped.close()
    raise failure
