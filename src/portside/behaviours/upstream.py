"""The leg of a relayed connection to the target: what comes from upstream goes to the client, and the other way round.

Each leg is read only while the other takes what it brings, so that memory is bounded: a read and a write buffer for
each direction. How an end is passed on:

    client sends FIN              FIN upstream, after what is buffered for it
    upstream sends FIN            FIN to the client, after what is buffered for it
    both have                     both close, when all that was buffered is gone
    either is reset               the other is reset
    upstream fails otherwise      the client is reset, with ``error`` and its text

A reset drops what is buffered, as it does in a kernel. Over TLS, close_notify is the FIN of this table.

States of the leg. Its client is there until CLOSED, but for a CLOSING that the client's own end has caused:

    state          entered by                                                 next
    DIALING        construction                                               DIALING_EOF, RELAYING, CLOSED
    DIALING_EOF    write_eof: the client's FIN, before the leg is connected   CLIENT_EOF, CLOSED
    RELAYING       connection_made                                            CLIENT_EOF, UPSTREAM_EOF, CLOSING, CLOSED
    CLIENT_EOF     write_eof, or connection_made after DIALING_EOF            CLOSING, CLOSED
    UPSTREAM_EOF   eof_received: upstream's FIN is the first                  CLOSING, CLOSED
    CLOSING        the second FIN, of either side; client_closed              CLOSED
    CLOSED         connection_lost; dial_failed; client_closed while dialing  none
"""

import asyncio
import enum
from typing import cast

from portside.errors import reason_of
from portside.server.connection import WRITE_TIMEOUT_S, Connection
from portside.server.leg import Hold, Leg

MAX_QUEUED_BYTES = 64 * 1024  # that a client may send before the leg is connected; then the client is not read
_RESETS = (ConnectionResetError, BrokenPipeError)


class State(enum.Enum):
    """How far a leg has come; the table in the module's head says what leads from one state to the next."""

    DIALING = enum.auto()
    DIALING_EOF = enum.auto()
    RELAYING = enum.auto()
    CLIENT_EOF = enum.auto()
    UPSTREAM_EOF = enum.auto()
    CLOSING = enum.auto()
    CLOSED = enum.auto()


class Upstream(Leg, asyncio.Protocol):
    """One upstream connection and the client that it belongs to; until it is made, what the client sends is queued.

    What goes each way passes one place, where something may be done to it: ``send`` and ``data_received``.
    """

    __slots__ = ("_client", "_closed", "_last_outstanding", "_queued", "_queued_bytes", "_state")

    def __init__(self, client: Connection) -> None:
        super().__init__()
        self._client: Connection | None = client  # None: it is gone
        self._state = State.DIALING
        self._queued: list[bytes] = []
        self._queued_bytes = 0
        self._last_outstanding = 0  # bytes, when ``is_active`` was last asked
        self._closed: asyncio.Event | None = None  # made where somebody waits for the end

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what the client has sent meanwhile."""
        transport = cast("asyncio.Transport", transport)
        client = self._client
        if client is None:
            transport.abort()
            return
        self.attach(transport)
        transport.write(b"".join(self._queued))
        self._queued, self._queued_bytes = [], 0
        if self._state is State.DIALING_EOF:
            self._state = State.CLIENT_EOF
            self.eof_sent = True
            transport.write_eof()
        else:
            self._state = State.RELAYING
        if not self.write_paused:
            client.resume_reading(Hold.FLOW)

    def data_received(self, data: bytes) -> None:
        """Send the client what upstream sent."""
        client = self._client
        if client is not None:
            client.send(data)
            if client.write_paused:
                self.pause_reading(Hold.FLOW)

    def eof_received(self) -> bool:
        """Pass upstream's FIN to the client. True keeps the other direction open."""
        self.half_closed = True
        if self._state is State.RELAYING and self._client is not None:
            self._state = State.UPSTREAM_EOF
            self._client.write_eof()
            return True
        self.close()  # the client follows when all that is buffered is gone
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """End the client's connection as this leg has ended."""
        state, self._state, self._transport = self._state, State.CLOSED, None
        if self._closed is not None:
            self._closed.set()
        client, self._client = self._client, None
        if client is None:
            return
        client.set_write_timeout(WRITE_TIMEOUT_S)
        if isinstance(error, _RESETS):
            client.reset(by="upstream")
        elif isinstance(error, ConnectionAbortedError):
            client.reset("killed", by="upstream")
        elif error is not None:
            client.reset("error", error=f"upstream: {reason_of(error)}", by="upstream")
        elif state in {State.CLIENT_EOF, State.CLOSING}:
            client.write_eof()
        else:
            client.close("local_closed", by="upstream")

    def pause_writing(self) -> None:
        """Read no more from the client: more is buffered for upstream than should be."""
        self.write_paused = True
        if self._client is not None:
            self._client.pause_reading(Hold.FLOW)

    def resume_writing(self) -> None:
        """Read from the client again: upstream has taken what was buffered."""
        self.write_paused = False
        if self._client is not None:
            self._client.resume_reading(Hold.FLOW)

    # Called by the behaviour.

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait in this process for upstream to take them."""
        return super().buffered_bytes if self._transport is not None else self._queued_bytes

    def is_active(self) -> bool:
        """Whether upstream has taken something since this was last asked."""
        before, self._last_outstanding = self._last_outstanding, self.outstanding_bytes
        return before != self._last_outstanding

    def peer_vanished(self) -> None:
        """Reset the client, and this leg after it: upstream acknowledges nothing any more."""
        if self._client is not None:
            self._client.reset("error", error="upstream: it has vanished", by="upstream")
        else:
            self.abort()

    def dial_failed(self, error: str) -> None:
        """Reset the client, as the target would have refused it."""
        self._state = State.CLOSED
        client, self._client = self._client, None
        if client is not None:
            client.reset("error", error=error, by="upstream")

    def send(self, data: bytes) -> None:
        """Send the client's bytes upstream; while dialing they are queued, and soon the client is not read."""
        if self._transport is not None:
            self._transport.write(data)
        elif self._state is not State.CLOSED:
            self._queued.append(data)
            self._queued_bytes += len(data)
            if self._queued_bytes >= MAX_QUEUED_BYTES and self._client is not None:
                self._client.pause_reading(Hold.FLOW)

    def write_eof(self) -> None:
        """Pass the client's FIN upstream; the second FIN closes the leg."""
        if self._state is State.DIALING:
            self._state = State.DIALING_EOF
        elif self._state is State.RELAYING and self._transport is not None:
            self._state = State.CLIENT_EOF
            self.eof_sent = True
            self._transport.write_eof()
        elif self._state is State.UPSTREAM_EOF and self._client is not None:
            self._client.set_close_reason("local_closed", by="upstream")
            self.close()

    def client_closed(self, *, reset: bool, flush: bool) -> None:
        """End the leg after its client: with RST, or in order, or at once where ``flush`` is false."""
        self._client = None
        self._queued, self._queued_bytes = [], 0
        if self._transport is None:
            self._state = State.CLOSED
        elif reset:
            self._state = State.CLOSING
            self.abort_with_rst()
        elif flush:
            self.close()
        else:
            self._state = State.CLOSING
            self._transport.abort()

    def close(self) -> None:
        """Close in order: what is buffered goes out first, as long as upstream takes some of it now and then."""
        if self._transport is not None:
            self._state = State.CLOSING
            self._transport.close()
            self._abort_if_stalled(-1)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the leg is gone."""
        if self._state is not State.CLOSED:
            self._closed = asyncio.Event()
            await self._closed.wait()

    def _abort_if_stalled(self, before: int) -> None:
        """Abort a leg that closes and of which upstream took nothing since ``before`` bytes were outstanding."""
        outstanding = self.outstanding_bytes
        if self._transport is None or not self.buffered_bytes:
            return
        if outstanding == before:
            self._transport.abort()
        else:
            asyncio.get_running_loop().call_later(WRITE_TIMEOUT_S, self._abort_if_stalled, outstanding)
