"""TLS on a socket: to the socket's transport a protocol, to the connection a transport.

The loop has its own, which a server that shows what happens cannot use: it closes on a failed handshake without the
alert that tells the client why, answers the client's close_notify by dropping what is still to be sent, and cannot
send its own before the end. ``tls.engine`` does all that; here it meets the socket:

1. The protocol is made when the handshake is finished. A handshake that fails sends its alert, then FIN, and what still
   arrives is discarded unread, so that no reset overtakes the alert.
2. The peer's close_notify is a half-close, and so is a FIN without one. Our side may stay open.
3. ``write_eof`` is close_notify, without FIN: many peers drop what they have to send when they see one.
4. Data waits encrypted, in the transport below, whose limits say when writing has to pause.

States; the two directions of an OPEN one have states in the engine:

    state         entered by                                                          next
    NO_TRANSPORT  construction                                                        HANDSHAKING, ABANDONED
    ABANDONED     give_up before there is a transport below                           CLOSED
    HANDSHAKING   connection_made                                                     OPEN, REJECTED, CLOSING, CLOSED
    OPEN          data_received: the handshake is finished, and ``opened`` has
                  made a protocol                                                     CLOSING, CLOSED
    REJECTED      data_received or eof_received: the handshake failed                 CLOSING, CLOSED
    CLOSING       close, by the protocol or because it does not stay after the
                  peer's end; abort; give_up; a failure of the engine; ``opened``
                  has made none                                                       CLOSED
    CLOSED        connection_lost                                                     none
"""

import asyncio
import enum
import logging
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from portside.tls.engine import Half, TlsEngine
from portside.tls.words import TlsError

if TYPE_CHECKING:
    from portside.events import Tls

REJECTION_LINGER_S = 1.0  # for a peer whose handshake failed to read why
_log = logging.getLogger("portside.server.tls")


class TransportState(enum.Enum):
    """How far a connection has come; the module's head has the table."""

    NO_TRANSPORT = enum.auto()
    ABANDONED = enum.auto()
    HANDSHAKING = enum.auto()
    OPEN = enum.auto()
    REJECTED = enum.auto()
    CLOSING = enum.auto()
    CLOSED = enum.auto()


_OPEN, _HALF_OPEN = TransportState.OPEN, Half.OPEN  # looked up once: they are compared for each read and write


# More than twenty methods: asyncio's two interfaces alone have sixteen.
class TlsTransport(asyncio.Protocol, asyncio.Transport):
    """TLS over the transport of a socket, on either side of it.

    ``opened`` makes the protocol when the handshake is finished (None closes at once), ``failed`` is called with the
    reason why it failed, in words, and ``gone`` when a connection is over that was never opened. The class has more
    than 20 methods because a transport and a protocol together have that many.
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
        self.negotiated: Tls | None = None
        self._on_opened, self._on_failed, self._on_gone = opened, failed, gone
        self._engine = TlsEngine(context, server_side=server_side, server_hostname=server_hostname)
        self._data_to_send = self._engine.data_to_send
        self._state = TransportState.NO_TRANSPORT
        self._raw: asyncio.Transport
        self._protocol: asyncio.Protocol | None = None  # there from OPEN on
        self._reading_paused = False

    # Called by the transport below.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._raw = cast("asyncio.Transport", transport)
        if self._state is TransportState.ABANDONED:
            self._raw.abort()
        else:
            self._state = TransportState.HANDSHAKING
            self._handshake()

    def data_received(self, data: bytes) -> None:
        """Decrypt what came, and hand it on at once."""
        if self._state is _OPEN:
            self._engine.feed(data)
            self._deliver()
        elif self._state is TransportState.HANDSHAKING:
            self._engine.feed(data)
            self._handshake()

    def eof_received(self) -> bool:
        """Treat the peer's FIN as its close_notify; whether our side stays open."""
        if self._state is TransportState.HANDSHAKING:
            self._engine.feed_eof()
            self._reject()
        elif self._state is _OPEN:
            self._deliver()
            if self._engine.receiving is _HALF_OPEN:
                self._engine.feed_eof()
                self._peer_ended()
        return self._state is _OPEN

    def connection_lost(self, error: Exception | None) -> None:
        """Hand on the end of the connection."""
        in_handshake, self._state = self._state is TransportState.HANDSHAKING, TransportState.CLOSED
        if self._protocol is not None:
            self._protocol.connection_lost(self._engine.failure or error)
            return
        if in_handshake:
            self._on_failed("the peer reset the connection in mid-handshake" if error is not None else "closed here")
        self._on_gone()

    def pause_writing(self) -> None:
        """Hand on that the transport below has more than its limit."""
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Hand on that the transport below has room again."""
        if self._protocol is not None:
            self._protocol.resume_writing()

    # The handshake.

    def _handshake(self) -> None:
        try:
            finished = self._engine.handshake()
        except TlsError:
            self._reject()
            return
        self._send_pending()
        if finished:
            self._open()

    def _open(self) -> None:
        self.negotiated = self._engine.negotiated()
        _log.debug("handshake finished: %s", self.negotiated)
        protocol = self._on_opened(self)
        if protocol is None:
            self.abort()
            return
        self._protocol = protocol
        self._state = TransportState.OPEN
        protocol.connection_made(self)
        self._deliver()

    def _reject(self) -> None:
        """Answer a handshake that failed with its alert, and FIN."""
        self._state = TransportState.REJECTED
        self._send_pending()
        if not self._raw.is_closing():
            self._raw.write_eof()
        words = str(self._engine.failure.strerror if self._engine.failure is not None else "")
        self._on_failed(words)

    @property
    def received_nothing(self) -> bool:
        """Whether the peer has sent no byte yet."""
        return self._engine.received_nothing

    @property
    def failure(self) -> TlsError | None:
        """Why the session has failed; None where it has not."""
        return self._engine.failure

    def give_up(self, words: str | None) -> None:
        """Close now, where the handshake is not finished; ``failed`` is called with ``words`` unless that is None."""
        if self._protocol is not None:
            return
        if words is not None and self._state in (TransportState.NO_TRANSPORT, TransportState.HANDSHAKING):
            self._on_failed(words)
        self.abort()

    # Data.

    def _deliver(self) -> None:
        """Hand on what the engine can decrypt of what came, and then the peer's end or a failure."""
        engine, protocol = self._engine, self._protocol
        if self._reading_paused or self._state is not _OPEN or protocol is None or engine.receiving is not _HALF_OPEN:
            return
        if data := engine.read():
            protocol.data_received(data)
        if ciphertext := self._data_to_send():
            self._raw.write(ciphertext)
        if engine.failure is not None:
            self._fail()
        elif engine.receiving is not _HALF_OPEN:
            self._peer_ended()

    def _peer_ended(self) -> None:
        protocol = self._protocol
        if self._state is _OPEN and protocol is not None and not protocol.eof_received():
            self.close()

    def write(self, data: Any) -> None:
        """Send bytes; what the kernel does not take at once waits."""
        if self._state is not _OPEN or self._engine.sending is not _HALF_OPEN or not data:
            return
        try:
            self._raw.write(self._engine.encrypt(data))
        except TlsError:
            self._fail()

    def _send_pending(self) -> None:
        if ciphertext := self._data_to_send():
            self._raw.write(ciphertext)

    def _fail(self) -> None:
        """Close because of a wrong record, or an alert of the peer's; ``connection_lost`` says which."""
        if self._state is _OPEN:
            self._state = TransportState.CLOSING
            self._send_pending()
            self._raw.close()

    # Called by the connection, as of any transport.

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another protocol called from now on; not from within a call of the present one."""
        if self._protocol is not None:
            self._protocol = cast("asyncio.Protocol", protocol)

    def write_eof(self) -> None:
        """Send close_notify: nothing more comes from here, and the peer may go on."""
        if self._state is _OPEN:
            self._engine.close_notify()
            self._send_pending()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        """Close in order: what waits still goes out, and close_notify after it. The peer's is not waited for."""
        if self._state is _OPEN:
            self.write_eof()
            self._state = TransportState.CLOSING
            self._raw.close()

    def abort(self) -> None:
        """Close now."""
        if self._state in (TransportState.NO_TRANSPORT, TransportState.ABANDONED):
            self._state = TransportState.ABANDONED
        elif self._state is not TransportState.CLOSED:
            self._state = TransportState.CLOSING
            self._raw.abort()

    def is_closing(self) -> bool:
        return self._state is not _OPEN or self._raw.is_closing()

    def pause_reading(self) -> None:
        """Take nothing from the peer."""
        self._reading_paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Take the peer's data again, first what is here already."""
        self._reading_paused = False
        self._raw.resume_reading()
        asyncio.get_running_loop().call_soon(self._deliver)

    def get_write_buffer_size(self) -> int:
        """Bytes that wait, encrypted."""
        return self._raw.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._raw.get_extra_info(name, default)


async def client_handshake(
    context: ssl.SSLContext,
    make_protocol: "Callable[[Tls | None], asyncio.Protocol]",
    attach: Callable[[asyncio.Protocol], None],
    *,
    server_hostname: str | None,
    timeout_s: float,
    linger_s: float = REJECTION_LINGER_S,
) -> None:
    """Connect a protocol over TLS, as its client; ``attach`` gives what it gets the transport of a connected socket.

    ``make_protocol`` is called with what the handshake agreed on. Raises TlsError where the handshake fails or takes
    longer than ``timeout_s``; the socket is then closed, after ``linger_s`` in which the peer can read the alert.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def opened(transport: TlsTransport) -> asyncio.Protocol | None:
        if done.done():
            return None  # it was cancelled meanwhile
        done.set_result(None)
        return make_protocol(transport.negotiated)

    def failed(words: str) -> None:
        if not done.done():
            done.set_exception(tls.failure or TlsError(words))

    tls = TlsTransport(context, opened=opened, failed=failed, server_side=False, server_hostname=server_hostname)
    try:
        async with asyncio.timeout(timeout_s):
            attach(tls)
            await done
    except TlsError:
        if linger_s:
            loop.call_later(linger_s, tls.give_up, None)
        else:
            tls.give_up(None)
        raise
    except TimeoutError:
        tls.give_up(None)
        raise TlsError(f"no TLS handshake within {timeout_s:g}s") from None
    except BaseException:
        tls.give_up(None)
        raise
