"""TLS without I/O: ciphertext and the peer's FIN come in as arguments, ciphertext and plaintext go out as results.

OpenSSL works on two buffers in memory, so the owner of the socket decides when to read and write: callbacks of
an event loop in ``server.tls_transport``, two blocking threads in ``client.tls_socket``.

What the owner of an engine must do:

1. ``feed`` gets what arrives, in pieces of any size; ``feed_eof`` is the peer's FIN, once all before it is read.
2. After each ``feed`` comes ``handshake`` until that returns True, and ``read`` from then on; once more right after the
   handshake, for the peer's first data may have come with the end of it.
3. What ``data_to_send`` returns is sent after each ``handshake`` (one that failed leaves the alert that tells the peer
   why), each ``read`` (key updates, alerts) and ``close_notify``. ``encrypt`` returns its ciphertext.
4. One thread at a time uses an engine.

States of the session. Each direction has a state of its own while the session is OPEN:

    state         entered when                                                   next
    HANDSHAKING   the engine is made                                             OPEN, FAILED
    OPEN          handshake: both sides have finished                            FAILED
    FAILED        handshake, read, encrypt: OpenSSL rejects a record, a
                  certificate, or reports the peer's alert;
                  handshake: what came first is no TLS;
                  feed_eof: FIN in mid-handshake                                 none

    direction     state       entered when                                       next
    sending       OPEN        the engine is made                                 CLOSED
                  CLOSED      close_notify: ours is in data_to_send              none
    receiving     OPEN        the engine is made                                 CLOSED, TRUNCATED
                  CLOSED      read: the peer's close_notify                      none
                  TRUNCATED   feed_eof: FIN without close_notify; an attacker
                              may have sent it (RFC 8446, section 6.1)           none

close_notify ends one direction, as FIN does: the other stays open (RFC 8446, section 6.1; in TLS 1.2, RFC 5246,
section 7.2.1, the peer should close its own at once, and not all do).
"""

import enum
import ssl
from typing import TYPE_CHECKING, Any

from portside.tls.first_bytes import is_tls
from portside.tls.words import TlsError, no_tls, shortened, subject_of, tls_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.events import Tls

_RECORD_BYTES = 16 * 1024  # the most plaintext of one record (RFC 8446, section 5.1)
_SHOWN_BYTES = 16  # of a peer that speaks no TLS


class SessionState(enum.Enum):
    """The state of a session; the module docstring has the table of transitions."""

    HANDSHAKING = enum.auto()
    OPEN = enum.auto()
    FAILED = enum.auto()


class Half(enum.Enum):
    """One direction of an open session."""

    OPEN = enum.auto()
    CLOSED = enum.auto()
    TRUNCATED = enum.auto()


class TlsEngine:
    """One side of one TLS session.

    ``server_hostname`` is the name that a client sends as SNI, and that the server's certificate must have if
    ``context`` verifies it. Raises ValueError if that cannot be the name of a host. ``feed(ciphertext)`` (after the
    first bytes) and ``data_to_send()`` are methods of OpenSSL's buffers, with no Python around them. ``failure`` is
    what led to FAILED.
    """

    __slots__ = (
        "_first_bytes", "_incoming", "_is_tls", "_outgoing", "_server_hostname", "_tls", "data_to_send", "failure",
        "feed", "receiving", "sending", "state",
    )  # fmt: skip

    def __init__(
        self, context: ssl.SSLContext, *, server_side: bool = False, server_hostname: str | None = None
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname)
        self._server_hostname = server_hostname
        self.state = SessionState.HANDSHAKING
        self.receiving = self.sending = Half.OPEN
        self.failure: TlsError | None = None
        self._first_bytes = b""
        self._is_tls: bool | None = None  # not known before the first record has begun
        self.feed: Callable[[Any], object] = self._feed_first
        self.data_to_send: Callable[[], bytes] = self._outgoing.read

    def handshake(self) -> bool:
        """Take the handshake as far as what was fed allows: whether it is finished. Raises TlsError."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            if self._is_tls is not False:
                return False
            raise self._fail(no_tls(self._first_bytes)) from None
        except OSError as error:
            raise self._fail(no_tls(self._first_bytes) if self._is_tls is False else tls_error(error)) from None
        self.state = SessionState.OPEN
        return True

    def negotiated(self) -> "Tls":
        """The parameters that a finished handshake agreed on, and the name that the client asked for (SNI)."""
        from portside.events import Tls

        tls = self._tls
        cipher, alpn = tls.cipher(), tls.selected_alpn_protocol()
        name = self._server_hostname
        sent = None if name is None or _is_ip(name) else name
        sni = sent or getattr(tls, "sni", None)  # contexts.server_context keeps that of a client there
        return Tls(
            version=tls.version() or "",
            cipher=cipher[0] if cipher else "",
            sni=None if sni is None else shortened(sni),
            alpn=None if alpn is None else shortened(alpn),
            peer=subject_of(self.peer_certificate),
        )

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate (DER), where it has sent one."""
        return self._tls.getpeercert(binary_form=True)

    @property
    def has_data_to_send(self) -> bool:
        """Whether ``data_to_send`` would return something."""
        return self._outgoing.pending > 0

    @property
    def received_nothing(self) -> bool:
        """Whether the peer has sent no byte yet."""
        return not self._first_bytes

    # Receiving.

    def _feed_first(self, data: Any) -> None:
        self._first_bytes = (self._first_bytes + bytes(data[:_SHOWN_BYTES]))[:_SHOWN_BYTES]
        self._is_tls = is_tls(self._first_bytes)
        self._incoming.write(data)
        if self._is_tls is not None:
            self.feed = self._incoming.write

    def read(self) -> bytes:
        """The plaintext of all that was fed; b"" where that makes no whole record.

        Never raises: plaintext that came before the end of the session or a failure is not lost, and ``receiving`` and
        ``state`` say whether either followed it.
        """
        tls, incoming = self._tls, self._incoming
        pieces: list[bytes] = []
        try:
            while incoming.pending or tls.pending():  # a read without data would cost an exception
                piece = tls.read(_RECORD_BYTES)
                if not piece:
                    self._close_receiving()
                    break
                pieces.append(piece)
        except ssl.SSLError as error:
            self._stop_reading(error)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_into(self, room: memoryview) -> int:
        """Put the plaintext of what was fed into ``room``, as far as that goes: its size in bytes.

        What finds no room is returned by the next call. In all else as ``read``.
        """
        tls, incoming = self._tls, self._incoming
        size = 0
        try:
            while size < len(room) and (incoming.pending or tls.pending()):
                got = int(tls.read(len(room) - size, room[size:]))
                if not got:
                    self._close_receiving()
                    break
                size += got
        except ssl.SSLError as error:
            self._stop_reading(error)
        return size

    def feed_eof(self) -> None:
        """The peer's FIN: a failure in mid-handshake, truncation where no close_notify came before it."""
        if self.state is SessionState.HANDSHAKING:
            when = "before it sent anything" if self.received_nothing else "in mid-handshake"
            self._fail(TlsError(f"the peer closed the connection {when}"))
        elif self.state is SessionState.OPEN and self.receiving is Half.OPEN:
            self.receiving = Half.TRUNCATED

    def _stop_reading(self, error: ssl.SSLError) -> None:
        if isinstance(error, ssl.SSLWantReadError):
            return  # the rest of a record is still to come
        if isinstance(error, ssl.SSLZeroReturnError):  # how the peer's close_notify reads after ours
            self._close_receiving()
        else:
            self._fail(tls_error(error))

    def _close_receiving(self) -> None:
        self.receiving = Half.CLOSED
        self.feed = _ignore

    # Sending.

    def encrypt(self, data: Any) -> bytes:
        """The ciphertext of ``data`` (not empty), with what else was to be sent before it. Raises TlsError."""
        try:
            self._tls.write(data)  # all of it: Python does not set SSL_MODE_ENABLE_PARTIAL_WRITE
        except ssl.SSLError as error:
            raise self._fail(tls_error(error)) from None
        return self._outgoing.read()

    def close_notify(self) -> None:
        """Say that our side sends no more; the peer may go on. Nothing happens in a session that is not open."""
        if self.state is not SessionState.OPEN or self.sending is not Half.OPEN:
            return
        self.sending = Half.CLOSED
        # OpenSSL sends it, and then looks for the peer's; data in its place is an error from which it does not recover.
        fed = self._incoming.read()
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # SSLWantReadError: sent, and the peer's has not come
        if fed:
            self._incoming.write(fed)

    def _fail(self, failure: TlsError) -> TlsError:
        self.state = SessionState.FAILED
        self.failure = failure
        self.feed = _ignore
        return TlsError(str(failure.strerror), failure.reason)  # to be raised: its traceback refers to this engine


def _is_ip(host: str) -> bool:
    """Whether a host is an IP address, which is not sent as SNI (RFC 6066, section 3): no name ends in a number."""
    return ":" in host or host.rpartition(".")[2].isdecimal()


def _ignore(_data: Any) -> None:
    """Data after a closure alert is ignored (RFC 8446, section 6.1), and not kept either."""
