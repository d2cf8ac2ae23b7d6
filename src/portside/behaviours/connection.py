"""A connection as Python code sees it, in a ``--handler`` function and in the Python API: its methods are awaited.

Two threads may share the object. The server's thread passes on received bytes and sends what the code wants to send;
the thread of the code's loop runs the code. Each thread counts only its own bytes, so neither waits for a lock. Both
directions are bounded: while the code does not read, nothing is read from the peer, and ``send`` waits while the peer
does not read. Where both threads are one, as in the Python API, each calls the other at once.
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from portside.errors import PortsideError
from portside.events import CloseReason, Tls
from portside.server.connection import Connection as ServerConnection
from portside.server.leg import Hold
from portside.wire.frame import Frame, parse_frame
from portside.wire.framing import make_framer

if TYPE_CHECKING:
    from types import TracebackType

    from portside.feed.transcript import Transcript
    from portside.kernel.models import Socket

Result = TypeVar("Result")

HIGH_BYTES = 256 * 1024  # in each direction
LOW_BYTES = 64 * 1024
_LONGEST_MESSAGE = 1 << 20
_NO_TRANSCRIPT = "--handler keeps none: --record DIR keeps everything"


class _Framing:
    """Bytes that were read ahead to cut messages: those not taken yet, and a framer that holds the unfinished one."""

    __slots__ = ("frame", "framer", "messages")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.framer = make_framer(frame, _LONGEST_MESSAGE)
        self.messages: deque[bytes] = deque()


class Connection:
    """An open TCP connection, at either end.

    ``number`` counts from 1 in each server; ``peer`` and ``local`` are addresses as they are shown
    (``127.0.0.1:33406``); ``tls`` is what the TLS handshake agreed on, None without TLS. All ways of reading take from
    one stream and may be mixed. The methods raise ConnectionResetError once the connection has ended otherwise than by
    the peer's FIN, and ConnectionError for what is sent after our own. Leaving ``async with`` closes it in order.

    >>> async with portside.connect("127.0.0.1:12345") as connection:
    ...     await connection.send(b"one\\ntwo\\n")
    ...     await connection.half_close()
    ...     async for line in connection.lines():
    ...         print(line)
    b'one\\n'
    b'two\\n'
    >>> connection.reason
    'peer_closed'
    """

    # More than 12 attributes: each of the two threads has counters of its own, so that neither needs a lock.

    def __init__(
        self,
        connection: ServerConnection,
        server: asyncio.AbstractEventLoop,
        own: asyncio.AbstractEventLoop,
        *,
        transcript: "Transcript | None" = None,
        reader: str | None = None,
    ) -> None:
        """For Portside itself. ``reader`` is the option whose behaviour reads the connection, None where code does."""
        self.number: int = connection.number
        self.peer: str = connection.peer
        self.local: str = connection.info.local
        self.tls: Tls | None = connection.info.tls
        self._connection = connection
        self._server, self._own = server, own
        self._is_one_thread = server is own
        self._transcript = transcript
        self._reader = reader
        self._received: deque[bytes] = deque()
        self._framing: _Framing | None = None  # has taken what comes before ``_received``
        self._fed_bytes = 0  # bytes; by the server's thread alone
        self._taken_bytes = 0  # bytes; by the code's thread alone
        self._queued_bytes = 0  # bytes; by the code's thread alone
        self._handed_bytes = 0  # bytes, to the server's connection; by the server's thread alone
        self._sent_bytes = 0  # bytes of these that do not wait; by the server's thread alone
        self._eof = False
        self._eof_sent = False
        self._closed: CloseReason | None = None
        self._error: str | None = None
        self._changed = asyncio.Event()
        self._finish: Callable[[], Awaitable[object]] | None = None  # what the end of the connection waits for
        self._release: Callable[[], object] | None = None  # closes the socket where its loop is closed

    def __repr__(self) -> str:
        state = "open" if self._closed is None else self._closed
        return f"<portside.Connection #{self.number} {self.local} - {self.peer} {state}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        await self.close()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed."""
        return self._closed is not None

    @property
    def reason(self) -> CloseReason | None:
        """Why the connection has ended, as in the event ``closed``: ``peer_closed``, ``idle_timeout`` ….

        None while it is open.
        """
        return self._closed

    @property
    def error(self) -> str | None:
        """The network's error in words, where ``reason`` is ``error``, or the exception that a handler raised."""
        return self._error

    @property
    def closed_by(self) -> Literal["peer", "local"] | None:
        """Which end has ended the connection; None while it is open.

        Timeouts, faults and the end of the server are this end's; a peer that has vanished is the peer.
        """
        if self._closed is None:
            return None
        return "peer" if self._closed.startswith("peer_") else "local"

    @property
    def received_bytes(self) -> int:
        """Bytes that have come from the peer, taken by ``receive`` or not."""
        return self._connection.received

    @property
    def sent_bytes(self) -> int:
        """Bytes that were sent to the peer; without those that wait here because it does not read."""
        return max(0, self._connection.sent - self._connection.lost - self._connection.buffered_bytes)

    @property
    def transcript(self) -> "Transcript":
        """A record of what has passed so far: ``str(connection.transcript)`` are the lines that ``listen`` would show.

        Raises PortsideError in a function of ``--handler``, where none is kept.
        """
        if self._transcript is None:
            raise PortsideError("no transcript", _NO_TRANSCRIPT)
        return self._transcript

    async def kernel(self) -> "Socket":
        """The kernel's facts of the connection's own socket, as ``watch --json``: Recv-Q, Send-Q, tcp_info ….

        Takes a few milliseconds, on another thread. Raises ConnectionError once the connection is closed, and
        PortsideError where there are no facts, as for a unix socket.
        """
        from portside.behaviours.own_socket import own_socket, read_facts

        own = await self._on_server(lambda: own_socket(self._connection.fd))
        if own is None:
            raise ConnectionResetError(f"connection {self.number} is gone: {self._closed}")
        return await asyncio.to_thread(read_facts, own)

    # Receiving and sending.

    async def receive(self, most: int = 65536) -> bytes:
        """The next bytes from the peer, 1 to ``most``; empty after its FIN. Raises ConnectionResetError after a reset.

        >>> async with portside.connect("127.0.0.1:12345") as connection:
        ...     await connection.send(b"ping")
        ...     await connection.half_close()
        ...     while data := await connection.receive():
        ...         print(data)
        b'ping'
        """
        self._check_reader()
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
        """The peer's lines up to its FIN, each with its line feed; the last one may lack it.

        A line longer than 1 MiB comes in pieces. Raises ConnectionResetError after a reset.
        """
        async for line in self._messages(Frame("lines")):
            yield line

    async def frames(self, frame: str) -> AsyncIterator[bytes]:
        """The peer's messages up to its FIN, framed as by ``--frame``; ValueError for any other framing.

        ``none``, ``lines``, ``delim:HEX``, ``fixed:N``, ``length:TYPE[@OFFSET][+N|-N]`` or ``idle:DURATION``. A message
        longer than 1 MiB comes in pieces. Raises ConnectionResetError after a reset.

        >>> async with portside.connect("127.0.0.1:12345") as connection:
        ...     await connection.send(b"\\x00\\x02hi")
        ...     print(await anext(connection.frames("length:u16be")))
        b'\\x00\\x02hi'
        """
        async for message in self._messages(parse_frame(frame)):
            yield message

    async def _messages(self, frame: Frame) -> AsyncIterator[bytes]:
        self._check_reader()
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

    def _check_reader(self) -> None:
        if self._reader is not None:
            raise RuntimeError(f"connection {self.number} is read by {self._reader}: its bytes are in its transcript")

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
            self._call_server(self._connection.resume_reading, Hold.FLOW)
        return data

    def _unframe(self) -> None:
        """Put back what was cut into messages for ``lines`` or ``frames`` and not taken: all views read one stream."""
        framing, self._framing = self._framing, None
        if framing is not None and (ahead := b"".join([*framing.messages, *framing.framer.finish()])):
            self._received.appendleft(ahead)
            self._taken_bytes -= len(ahead)

    def unread(self, data: bytes) -> None:
        """Put bytes that were taken back before those that wait, for Portside itself."""
        self._unframe()
        if data:
            self._received.appendleft(data)
            self._taken_bytes -= len(data)

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send the bytes of a bytes-like object. Waits while the peer does not read.

        Raises TypeError for anything else, such as a number or text that is not encoded, ConnectionResetError once the
        connection is closed, and ConnectionError after ``half_close``.
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
            self._call_server(self._send, payload)

    async def half_close(self) -> None:
        """Half-close: send FIN after everything sent so far; the peer may go on sending. Returns at once."""
        self._eof_sent = True
        self._call_server(self._connection.write_eof)

    async def finish(self) -> None:
        """The former name of ``half_close``."""
        await self.half_close()

    async def close(self) -> None:
        """Close in order, and wait until that is done: everything sent so far still goes out.

        A peer that does not take it for 10 s loses the rest (``write_timeout``). After the peer's FIN the reason is
        ``peer_closed``, else ``local_closed``. A second call does nothing.
        """
        if self._release is not None and self._server.is_closed():
            self._release()
            return
        self._call_server(self._connection.close_gracefully)
        try:
            await self.wait_closed()
        except BaseException:
            with suppress(RuntimeError):  # the loop is closed
                self._call_server(self._connection.abort, "local_closed")
            raise

    async def reset(self) -> None:
        """Send RST, and wait until that is done: bytes that are still buffered are lost at both ends."""
        self._call_server(self._connection.reset)
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed, from either end, and a recording of it is written."""
        while self._closed is None:
            await self._wait()
        if self._finish is not None:
            await self._finish()

    async def _wait(self, seconds: float | None = None) -> None:
        """Wait for a change, for some seconds at most."""
        self._changed.clear()
        if seconds is None:
            await self._changed.wait()
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    def _call_server(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have the server do something: at once, or as soon as its thread gets to it."""
        if self._is_one_thread:
            function(*arguments)
        else:
            self._server.call_soon_threadsafe(function, *arguments)

    def _call_own(self, function: Callable[..., object], *arguments: Any) -> None:
        """Tell the code something: at once, or as soon as its thread gets to it."""
        if self._is_one_thread:
            function(*arguments)
        else:
            self._own.call_soon_threadsafe(function, *arguments)

    async def _on_server(self, function: Callable[[], Result]) -> Result:
        """The result of a function that is called on the server's thread."""
        if self._is_one_thread:
            return function()
        done: Future[Result] = Future()

        def call() -> None:
            try:
                done.set_result(function())
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                done.set_exception(error)

        self._server.call_soon_threadsafe(call)
        return await asyncio.wrap_future(done)

    # Called on the code's thread, on behalf of the server.

    def on_end(self, finish: Callable[[], Awaitable[object]], release: Callable[[], object]) -> None:
        """Have the end of the connection wait for something; ``release`` closes its socket where its loop is closed."""
        self._finish = finish
        self._release = release

    def on_received(self, data: bytes) -> None:
        """Take bytes that the peer sent."""
        self._received.append(data)
        self._changed.set()

    def on_eof(self) -> None:
        """Note that the peer has sent FIN."""
        self._eof = True
        self._changed.set()

    def on_closed(self, reason: CloseReason, error: str | None = None) -> None:
        """Note that the connection is closed, and why."""
        self._closed = reason
        self._error = error
        self._changed.set()

    # Called on the server's thread.

    def feed(self, data: bytes) -> None:
        """Hand bytes over to the code; too many that it does not read pause the peer."""
        self._fed_bytes += len(data)
        if self._fed_bytes - self._taken_bytes > HIGH_BYTES:
            self._connection.pause_reading(Hold.FLOW)
        self._call_own(self.on_received, data)

    def _send(self, data: bytes) -> None:
        self._handed_bytes += len(data)
        self._connection.send(data)
        if not self._connection.write_paused:
            self.on_writable()

    def on_writable(self) -> None:
        """Let ``send`` go on: the peer has taken what was buffered."""
        self._sent_bytes = self._handed_bytes
        self._call_own(self._changed.set)
