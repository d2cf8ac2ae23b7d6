"""TLS on a connection of the loop: to the loop a protocol, to the connection a transport.

The loop has its own, which a server that shows what happens cannot use: it closes on a failed handshake without the
alert that tells the client why, answers the client's close_notify by dropping what is still to be sent, and cannot
send its own before the end. Here, with OpenSSL on buffers in memory (RFC 8446, section 6.1; RFC 5246, section 7.2.1):

1. The connection is made when the handshake is finished. One that fails sends its alert, then FIN, and takes what
   still comes without looking, so that no reset overtakes the alert.
2. The peer's close_notify is its half-close, and so is a FIN without one. Our side may stay open.
3. ``write_eof`` is close_notify, without FIN: many peers drop what they have to send when they see one.
4. Data waits encrypted, in the transport below, whose limits say when the connection lags.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from portside.wire.tls import TlsError, agreed, say_last, words_of

if TYPE_CHECKING:
    from portside.events import Tls

_RECORD_BYTES = 16 * 1024  # the most in one record (RFC 8446, section 5.1)


class TlsTransport(asyncio.Protocol, asyncio.Transport):
    """TLS over a transport of the loop, on either side of it.

    ``opened`` makes the protocol when the handshake is finished (None closes at once), ``failed`` is told why it
    failed, in words, and ``gone`` that a connection is over that was never opened.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        opened: "Callable[[TlsTransport], asyncio.Protocol | None]",
        failed: Callable[[str], None],
        gone: Callable[[], None] = lambda: None,
        server_side: bool = True,
        server_hostname: str | None = None,
    ) -> None:
        super().__init__()
        self.agreed: Tls | None = None
        self._opened, self._failed, self._gone = opened, failed, gone
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname)
        self._sni = server_hostname
        self._raw: asyncio.Transport
        self._made = False  # the transport below is there
        self._protocol: asyncio.Protocol | None = None
        self._deaf = False  # the handshake failed: what comes is dropped
        self._paused = False
        self._closing = False
        self._last_said = False  # our close_notify is out
        self._ended = False  # the peer sent its last
        self._stays = False  # and our side stays open
        self._error: TlsError | None = None

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there: the handshake begins."""
        self._raw, self._made = cast("asyncio.Transport", transport), True
        if self._closing:
            self._raw.abort()  # it was given up meanwhile
        else:
            self._shake()

    def data_received(self, data: bytes) -> None:
        """Encrypted bytes came."""
        if self._deaf:
            return
        self._incoming.write(data)
        if self._protocol is not None:
            self._read()
        else:
            self._shake()

    def eof_received(self) -> bool:
        """The peer sent FIN."""
        if self._protocol is None:
            if not self._deaf:
                self._fail("the peer closed the connection in mid-handshake")
            return False
        self._read()
        self._peer_ended(self._protocol)
        return self._stays

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._closing = True
        if self._protocol is not None:
            self._protocol.connection_lost(self._error or error)
            return
        if not self._deaf:
            self._deaf = True
            self._failed("the peer reset the connection in mid-handshake" if error is not None else "closed here")
        self._gone()

    def pause_writing(self) -> None:
        """The transport below has more than it should."""
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """It has room again."""
        if self._protocol is not None:
            self._protocol.resume_writing()

    # The handshake.

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except OSError as error:
            self._fail(words_of(error))
            return
        self._flush()
        self.agreed = agreed(self._tls, self._sni or getattr(self._tls, "sni", None))
        protocol = self._protocol = self._opened(self)
        if protocol is None:
            self._deaf = True
            self.abort()
            return
        protocol.connection_made(self)
        self._read()

    def _fail(self, words: str) -> None:
        self._deaf = True
        self._flush()  # the alert
        if not self._raw.is_closing():
            self._raw.write_eof()
        self._failed(words)

    def give_up(self, words: str | None) -> None:
        """Close now, where the handshake is not finished, for a reason in words; None is for one that nobody asks."""
        if self._protocol is None:
            if words is not None and not self._deaf:
                self._failed(words)
            self._deaf = True
            self.abort()

    # Data.

    def _read(self) -> None:
        """Decrypt what came, and hand it on at once."""
        tls, incoming, protocol = self._tls, self._incoming, self._protocol
        if self._paused or self._closing or protocol is None:
            return
        pieces: list[bytes] = []
        last, failure = False, None
        try:
            while incoming.pending or tls.pending():  # to be told that there is nothing costs an exception
                piece = tls.read(_RECORD_BYTES)
                if not piece:
                    last = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            last = True  # how its close_notify reads after ours
        except ssl.SSLError as error:
            failure = error
        if pieces:
            protocol.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        self._flush()
        if failure is not None:
            self._break(failure)
        elif last:
            self._peer_ended(protocol)

    def _peer_ended(self, protocol: asyncio.Protocol) -> None:
        if not self._ended and not self._closing:
            self._ended = True
            self._stays = bool(protocol.eof_received())
            if not self._stays:
                self.close()

    def write(self, data: Any) -> None:
        """Send bytes; what the kernel does not take at once waits."""
        if self._closing or self._last_said or not data:
            return
        write = self._tls.write
        try:
            size = write(data)
            if size < len(data):
                view = memoryview(data)
                while size < len(view):
                    size += write(view[size:])
        except ssl.SSLError as error:
            self._break(error)
        else:
            self._flush()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._raw.write(data)

    def _break(self, error: ssl.SSLError) -> None:
        """TLS itself is broken: a wrong record, an alert of the peer's."""
        if not self._closing:
            self._error = TlsError(words_of(error))
            self._closing = True
            self._flush()
            self._raw.close()

    # Called by the connection, as of any transport.

    def write_eof(self) -> None:
        """Say that nothing more comes from here; the peer may go on."""
        if not self._closing and not self._last_said:
            self._last_said = True
            say_last(self._tls, self._incoming)
            self._flush()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        """Close in order: what waits still goes out, and close_notify after it. The peer's is not waited for."""
        if not self._closing:
            self.write_eof()
            self._closing = True
            self._raw.close()

    def abort(self) -> None:
        """Close now."""
        self._closing = True
        if self._made:
            self._raw.abort()

    def is_closing(self) -> bool:
        return self._closing or self._raw.is_closing()

    def pause_reading(self) -> None:
        """Take nothing from the peer."""
        self._paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Take its data again, first what is here already."""
        self._paused = False
        self._raw.resume_reading()
        asyncio.get_running_loop().call_soon(self._read)

    def get_write_buffer_size(self) -> int:
        """Bytes that wait, encrypted."""
        return self._raw.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._raw.get_extra_info(name, default)
