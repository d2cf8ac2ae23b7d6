"""A connection as a ``--handler`` function sees it: its methods are awaited, on the handlers' own loop.

Two threads share the object. The server's thread passes on received bytes and sends what the function wants to send;
the handlers' thread runs the function. Each thread counts only its own bytes, so neither waits for a lock. Both
directions are bounded: while the function does not read, the server does not read from the client, and ``send`` waits
while the client does not read.
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress

from portside.events import CloseReason
from portside.server.connection import Connection
from portside.server.leg import Hold
from portside.wire.frame import Frame, parse_frame
from portside.wire.framing import make_framer

HIGH_BYTES = 256 * 1024  # in each direction
LOW_BYTES = 64 * 1024
_LONGEST_MESSAGE = 1 << 20


class _Framing:
    """Bytes that were read ahead to cut messages: those not taken yet, and a framer that holds the unfinished one."""

    __slots__ = ("frame", "framer", "messages")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.framer = make_framer(frame, _LONGEST_MESSAGE)
        self.messages: deque[bytes] = deque()


class HandlerConnection:
    """The argument of a handler function: one connection.

    ``number`` counts from 1, ``peer`` and ``local`` are addresses as they are shown, ``tls`` describes the TLS session
    (None without TLS). The methods raise ConnectionError once the connection is closed. The class has more than 12
    attributes because each of the two threads has counters of its own, so that neither needs a lock.
    """

    def __init__(
        self, connection: Connection, server: asyncio.AbstractEventLoop, own: asyncio.AbstractEventLoop
    ) -> None:
        self.number = connection.number
        self.peer = connection.peer
        self.local = connection.info.local
        self.tls = connection.info.tls
        self._connection = connection
        self._server, self._own = server, own
        self._received: deque[bytes] = deque()
        self._framing: _Framing | None = None  # has taken what comes before ``_received``
        self._fed_bytes = 0  # bytes; by the server's thread alone
        self._taken_bytes = 0  # bytes; by the handlers' thread alone
        self._queued_bytes = 0  # bytes; by the handlers' thread alone
        self._sent_bytes = 0  # bytes; by the server's thread alone
        self._eof = False
        self._eof_sent = False
        self._closed: CloseReason | None = None
        self._changed = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed."""
        return self._closed is not None

    # Called by the user's function.

    async def receive(self, most: int = 65536) -> bytes:
        """The next bytes from the client, 1 to ``most``; empty after its FIN. Raises ConnectionError after a reset."""
        if most < 1:
            raise ValueError(f"most must be at least 1, and is {most}")
        self._unframe()
        while not self._has_ended():
            if self._received:
                return self._take(most)
            await self._wait()
            self._unframe()
        return b""

    async def lines(self) -> AsyncIterator[bytes]:
        """The client's lines up to its FIN, each with its line feed; the last one may lack it."""
        async for line in self._messages(Frame("lines")):
            yield line

    async def frames(self, frame: str) -> AsyncIterator[bytes]:
        """The client's messages, framed as by ``--frame``: ``length:u16be``, ``fixed:8`` … ValueError for any other."""
        async for message in self._messages(parse_frame(frame)):
            yield message

    async def _messages(self, frame: Frame) -> AsyncIterator[bytes]:
        while True:
            framing = self._framing
            if framing is None or framing.frame != frame:  # at first, or another view has read meanwhile
                self._unframe()
                framing = self._framing = _Framing(frame)
            if framing.messages:
                yield bytes(framing.messages.popleft())
                continue
            now = self._own.time()
            if self._received:
                framing.messages += framing.framer.feed(self._take(), now)
            elif self._has_ended():
                framing.messages += framing.framer.finish()
                if not framing.messages:
                    return
            else:
                deadline = framing.framer.deadline
                await self._wait(None if deadline is None else deadline - now)
                framing.messages += framing.framer.expire(self._own.time())

    def _has_ended(self) -> bool:
        """Whether nothing comes any more, and all that came is taken. Raises ConnectionError after a reset."""
        if self._received:
            return False
        if self._closed is not None and self._closed != "peer_closed":
            raise ConnectionResetError(f"connection {self.number} is gone: {self._closed}")
        return self._eof or self._closed is not None

    def _take(self, most: int = sys.maxsize) -> bytes:
        """The first of what waits, at most ``most`` bytes of it."""
        data = self._received.popleft()
        if len(data) > most:
            self._received.appendleft(data[most:])
            data = data[:most]
        before = self._fed_bytes - self._taken_bytes
        self._taken_bytes += len(data)
        if before > LOW_BYTES >= self._fed_bytes - self._taken_bytes:
            self._server.call_soon_threadsafe(self._connection.resume_reading, Hold.FLOW)
        return data

    def _unframe(self) -> None:
        """Put back what was cut into messages for ``lines`` or ``frames`` and not taken: all views read one stream."""
        framing, self._framing = self._framing, None
        if framing is not None and (ahead := b"".join([*framing.messages, *framing.framer.finish()])):
            self._received.appendleft(ahead)
            self._taken_bytes -= len(ahead)

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send the bytes of a bytes-like object. Waits while the client does not read.

        Raises TypeError for anything else, such as a number or text that is not encoded.
        """
        try:
            payload = bytes(memoryview(data))
        except TypeError:
            words = f"send() takes bytes, not {type(data).__name__}: text is sent as text.encode()"
            raise TypeError(words) from None
        while self._queued_bytes - self._sent_bytes > HIGH_BYTES and self._closed is None:
            await self._wait()
        if self._closed is not None:
            raise ConnectionResetError(f"connection {self.number} is gone: {self._closed}")
        if self._eof_sent:
            raise ConnectionError(f"connection {self.number} has been half-closed from this side")
        if payload:
            self._queued_bytes += len(payload)
            self._server.call_soon_threadsafe(self._send, payload)

    async def finish(self) -> None:
        """Half-close: send FIN after everything sent so far; the client may go on sending."""
        self._eof_sent = True
        self._server.call_soon_threadsafe(self._connection.write_eof)

    async def close(self) -> None:
        """Close in order: everything sent so far still goes out."""
        self._server.call_soon_threadsafe(self._connection.close, "local_closed")

    async def reset(self) -> None:
        """Send RST: bytes that are still buffered are lost."""
        self._server.call_soon_threadsafe(self._connection.reset)

    async def _wait(self, seconds: float | None = None) -> None:
        """Wait for a change, for some seconds at most."""
        self._changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    # Called on the handlers' thread, on behalf of the server.

    def on_received(self, data: bytes) -> None:
        """Take bytes that the client sent."""
        self._received.append(data)
        self._changed.set()

    def on_eof(self) -> None:
        """Note that the client has sent FIN."""
        self._eof = True
        self._changed.set()

    def on_closed(self, reason: CloseReason) -> None:
        """Note that the connection is closed, and why."""
        self._closed = reason
        self._changed.set()

    # Called on the server's thread.

    def feed(self, data: bytes) -> None:
        """Hand bytes over to the function; too many that it does not read pause the client."""
        self._fed_bytes += len(data)
        if self._fed_bytes - self._taken_bytes > HIGH_BYTES:
            self._connection.pause_reading(Hold.FLOW)
        self._own.call_soon_threadsafe(self.on_received, data)

    def _send(self, data: bytes) -> None:
        self._connection.send(data)
        if not self._connection.write_paused:
            self.on_writable()

    def on_writable(self) -> None:
        """Let ``send`` go on: the client has taken what was buffered."""
        self._sent_bytes = self._connection.sent
        self._own.call_soon_threadsafe(self._changed.set)
