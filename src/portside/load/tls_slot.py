"""A slot whose connections speak TLS; the bytes that are counted are those on the connection, encrypted."""

from select import EPOLLIN, EPOLLOUT
from typing import TYPE_CHECKING

from portside.load.slot import READ_BYTES, Slot
from portside.load.slot_state import SlotState
from portside.tls.engine import Half, SessionState, TlsEngine
from portside.tls.words import TlsError

if TYPE_CHECKING:
    from portside.load.slot_owner import SlotOwner


class TlsSlot(Slot):
    """A slot that is OPEN when the handshake is done; its connecting takes that long."""

    __slots__ = ("_engine",)

    def __init__(self, worker: "SlotOwner", index: int) -> None:
        super().__init__(worker, index)
        self._engine: TlsEngine

    def _secure(self, now_ns: int) -> None:
        work = self._worker.work
        self._send, self._on_ready = self.sock.send, self._on_handshake
        self._engine = TlsEngine(work.tls, server_hostname=work.servername)
        self._worker.watch(self.sock, self._on_ready, EPOLLIN)
        self._limit_time()
        self._advance()

    def _on_handshake(self, events: int) -> None:
        if events & EPOLLOUT:
            self._flush()
        if events == EPOLLOUT or not self.has_socket:
            return
        try:
            data = self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end("tls_failed")
            return
        self._worker.bytes_received += len(data)
        self._engine.feed(data)
        self._advance()

    def _advance(self) -> None:
        engine = self._engine
        try:
            is_done = engine.handshake()
        except TlsError:
            self._flush_engine()
            self._end("tls_failed")
            return
        if self._flush_engine() and is_done:
            self._recv, self._on_ready = self._recv_plaintext, self._on_event
            self._secured()

    def _secured(self) -> None:
        """The handshake is done. What came with its end is in the engine: no event of the socket will tell of it."""
        engine = self._engine
        greeting = engine.read()
        if not self._flush_engine():
            return
        if engine.state is SessionState.FAILED:
            self._end("tls_failed")
            return
        self._opened(self._worker.clock_ns(), is_greeted=bool(greeting))
        if self.has_socket and engine.receiving is not Half.OPEN:
            self._on_eof()

    def _flush_engine(self) -> bool:
        """Send what the engine has to say; false where the connection has ended."""
        if data := self._engine.data_to_send():
            super()._write(data)
        return self.has_socket

    def _recv_plaintext(self, most_bytes: int) -> bytes:
        engine = self._engine
        data = self.sock.recv(most_bytes)
        if not data:
            engine.feed_eof()
            return b""
        engine.feed(data)
        plaintext = engine.read()
        self._worker.bytes_received += len(data) - len(plaintext)  # whoever gets the plaintext counts that
        self._flush_engine()
        if plaintext:
            return plaintext
        if engine.state is SessionState.FAILED:
            raise TlsError("the session has failed")
        if engine.receiving is not Half.OPEN:
            return b""
        raise BlockingIOError

    def _write(self, data: bytes) -> None:
        try:
            encrypted = self._engine.encrypt(data)
        except TlsError:
            self._end("tls_failed")
            return
        super()._write(encrypted)

    def _half_close(self) -> None:
        self.state = SlotState.CLOSING
        self._engine.close_notify()
        if self._flush_engine():
            super()._half_close()
