"""A connection as a ``--handler`` sees it: awaited, on the handlers' own loop.

Two threads share it. The server's hands over what came and takes what is to be sent; the handlers' runs the function.
Each side counts what it has done (bytes fed, taken, handed, sent), so neither waits for a lock, and both directions are
bounded: a function that does not read holds its client back, and ``send`` waits for a client that does not read.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from portside.events import CloseReason
from portside.server.connection import Connection
from portside.server.leg import Hold
from portside.wire.frame import Frame, parse_frame
from portside.wire.framing import make_framer

HIGH_BYTES = 256 * 1024  # in each direction
LOW_BYTES = 64 * 1024
_LONGEST_MESSAGE = 1 << 20


class HandlerConnection:
    """What the function is called with. ``peer`` and ``local`` are addresses as shown, ``number`` counts from 1.

    ``tls`` tells of the TLS session; None without. Methods raise ConnectionError when the connection is gone.
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
        self._arrived: deque[bytes] = deque()
        self._fed = 0  # bytes; by the server's thread alone
        self._taken = 0  # bytes; by the handlers' thread alone
        self._handed = 0  # bytes; by the handlers' thread alone
        self._sent = 0  # bytes; by the server's thread alone
        self._eof = False
        self._finished = False
        self._gone: CloseReason | None = None
        self._changed = asyncio.Event()

    @property
    def is_gone(self) -> bool:
        """Whether the connection is gone."""
        return self._gone is not None

    # For the function.

    async def receive(self, most: int = 65536) -> bytes:
        """Some of what the client sent, at least a byte; empty after its FIN. Raises ConnectionError after a reset."""
        if most < 1:
            raise ValueError(f"most must be at least 1, and is {most}")
        while not self._arrived:
            if self._gone is not None and self._gone != "peer_closed":
                raise ConnectionResetError(f"connection {self.number} is gone: {self._gone}")
            if self._eof or self._gone is not None:
                return b""
            await self._wait()
        data = self._arrived.popleft()
        if len(data) > most:
            self._arrived.appendleft(data[most:])
            data = data[:most]
        before = self._fed - self._taken
        self._taken += len(data)
        if before > LOW_BYTES >= self._fed - self._taken:
            self._server.call_soon_threadsafe(self._connection.resume_reading, Hold.FLOW)
        return data

    async def lines(self) -> AsyncIterator[bytes]:
        """Its lines, each with its line feed but maybe the last, up to its FIN."""
        async for line in self._messages(Frame("lines")):
            yield line

    async def frames(self, frame: str) -> AsyncIterator[bytes]:
        """Its messages, cut as ``--frame`` says: ``length:u16be``, ``fixed:8`` … Raises ValueError for another."""
        async for message in self._messages(parse_frame(frame)):
            yield message

    async def _messages(self, frame: Frame) -> AsyncIterator[bytes]:
        framer = make_framer(frame, _LONGEST_MESSAGE)
        while data := await self.receive():
            for message in framer.feed(data, self._own.time()):
                yield bytes(message)
        for message in framer.finish():
            yield bytes(message)

    async def send(self, data: bytes | str) -> None:
        """Send bytes, or text as UTF-8; waits while the client does not read."""
        payload = data.encode() if isinstance(data, str) else bytes(data)
        while self._handed - self._sent > HIGH_BYTES and self._gone is None:
            await self._wait()
        if self._gone is not None:
            raise ConnectionResetError(f"connection {self.number} is gone: {self._gone}")
        if self._finished:
            raise ConnectionError(f"connection {self.number} has been half-closed from this side")
        if payload:
            self._handed += len(payload)
            self._server.call_soon_threadsafe(self._send, payload)

    async def finish(self) -> None:
        """Half-close: FIN after what was sent; the client may go on sending."""
        self._finished = True
        self._server.call_soon_threadsafe(self._connection.write_eof)

    async def close(self) -> None:
        """Close in order: what was sent still goes out."""
        self._server.call_soon_threadsafe(self._connection.close, "local_closed")

    async def reset(self) -> None:
        """Send RST: what waits is lost."""
        self._server.call_soon_threadsafe(self._connection.reset)

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    # On the handlers' thread, called by the server's.

    def arrived(self, data: bytes) -> None:
        """The client sent bytes."""
        self._arrived.append(data)
        self._changed.set()

    def ended(self) -> None:
        """It sent FIN."""
        self._eof = True
        self._changed.set()

    def gone(self, reason: CloseReason) -> None:
        """The connection is gone."""
        self._gone = reason
        self._changed.set()

    # On the server's thread.

    def feed(self, data: bytes) -> None:
        """Hand over what came; a function that does not read holds the client back."""
        self._fed += len(data)
        if self._fed - self._taken > HIGH_BYTES:
            self._connection.pause_reading(Hold.FLOW)
        self._own.call_soon_threadsafe(self.arrived, data)

    def _send(self, data: bytes) -> None:
        self._connection.send(data)
        if not self._connection.write_paused:
            self.caught_up()

    def caught_up(self) -> None:
        """The client took what waited for it."""
        self._sent = self._connection.sent
        self._own.call_soon_threadsafe(self._changed.set)
