"""The far leg of a relayed connection: what comes from there goes to the client, what the client sends goes there.

Each leg is read only while the other takes what it brings, so that memory is bounded: a read and a write buffer for
each direction. How an end is passed on:

    client sends FIN              FIN upstream, after what waits for it
    upstream sends FIN            FIN to the client, after what waits for it
    both have                     both close, when all that waited is gone
    either is reset               the other is reset
    upstream fails otherwise      the client is reset, with ``error`` and its words

A reset takes what waits with it, as it does in a kernel. Over TLS, close_notify is the FIN of this table.
"""

import asyncio
from typing import cast

from portside.errors import reason_of
from portside.server.connection import WRITE_TIMEOUT_S, Connection
from portside.server.leg import Hold, Leg
from portside.server.reset_monitor import ResetMonitor

MOST_EARLY_BYTES = 64 * 1024  # that a client may send before it is not read until upstream is there
_RESETS = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


class Upstream(Leg, asyncio.Protocol):
    """One upstream connection and the client that it belongs to; until it is made, it keeps what the client sends.

    What goes each way passes one place, where something may be done to it: ``send`` and ``data_received``.
    """

    __slots__ = (
        "_client",
        "_early",
        "_early_bytes",
        "_finished",
        "_first",
        "_over",
        "_reset",
        "_reset_monitor",
        "_seen",
        "gone",
    )

    def __init__(self, client: Connection, reset_monitor: ResetMonitor) -> None:
        super().__init__()
        self.gone: asyncio.Event | None = None  # set at its end, where somebody waits for that
        self._client: Connection | None = client  # None: it is gone
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._reset_monitor = reset_monitor
        self._finished = False  # the client sent FIN
        self._first = False  # upstream did so before the client
        self._reset = False  # by upstream, after its FIN
        self._over = False
        self._seen = 0  # ``outstanding_bytes`` when it was last looked at

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Upstream is there: it gets what the client sent meanwhile."""
        transport = cast("asyncio.Transport", transport)
        self.attach(transport)
        if self._client is None:
            transport.abort()
            return
        transport.write(b"".join(self._early))
        self._early, self._early_bytes = [], 0
        if self._finished:
            self._pass_fin()
        if not self.write_paused:
            self._client.resume_reading(Hold.FLOW)

    def data_received(self, data: bytes) -> None:
        """Upstream sent bytes."""
        client = self._client
        if client is not None:
            client.send(data)
            if client.write_paused:
                self.pause_reading(Hold.FLOW)

    def eof_received(self) -> bool:
        """Upstream sent FIN. True keeps the other direction open."""
        self.half_closed = True
        self._first = not self._finished
        if self._client is None or self._finished:
            self.close()  # the client follows when all that waits is gone
            return False
        self._client.write_eof()
        self._reset_monitor.watch(self._fd, self._was_reset)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Upstream is gone, and so the client goes."""
        self._over, self._transport = True, None
        self._reset_monitor.forget(self._fd)
        if self.gone is not None:
            self.gone.set()
        client, self._client = self._client, None
        if client is None:
            return
        if self._reset:
            error = ConnectionResetError()
        client.set_write_timeout(WRITE_TIMEOUT_S)
        if error is None and self._finished and not self._first:
            client.write_eof()
            return
        if error is None:
            client.close("local_closed", by="upstream")
        elif isinstance(error, _RESETS):
            client.reset(by="upstream")
        else:
            client.reset("error", error=f"upstream: {reason_of(error)}", by="upstream")

    def _was_reset(self) -> None:
        self._reset = True
        self.abort()

    def pause_writing(self) -> None:
        """More waits for upstream than should."""
        self.write_paused = True
        if self._client is not None:
            self._client.pause_reading(Hold.FLOW)

    def resume_writing(self) -> None:
        """Upstream caught up."""
        self.write_paused = False
        if self._client is not None:
            self._client.resume_reading(Hold.FLOW)

    # Called by those who made it.

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait in this process for upstream to take them."""
        return super().buffered_bytes if self._transport is not None else self._early_bytes

    def is_active(self) -> bool:
        """Whether upstream took something since this was last asked."""
        before, self._seen = self._seen, self.outstanding_bytes
        return before != self._seen

    def failed(self, words: str) -> None:
        """It could not be made: the client is reset, as it would have been refused."""
        self._over = True
        client, self._client = self._client, None
        if client is not None:
            client.reset("error", error=words, by="upstream")

    def send(self, data: bytes) -> None:
        """Send the client's bytes; before upstream is there they wait, and soon the client with them."""
        if self._transport is not None:
            self._transport.write(data)
        elif not self._over:
            self._early.append(data)
            self._early_bytes += len(data)
            if self._early_bytes >= MOST_EARLY_BYTES and self._client is not None:
                self._client.pause_reading(Hold.FLOW)

    def finish(self) -> None:
        """The client sent FIN."""
        self._finished = True
        if self._first and self._client is not None:
            self._client.set_close_reason("local_closed", by="upstream")  # now, as both have
        self._pass_fin()

    def left(self, *, reset: bool, waits: bool) -> None:
        """The client is gone; ``waits`` says whether upstream still gets what waits for it."""
        self._client = None
        self._early, self._early_bytes = [], 0
        if self._transport is None:
            return
        if reset:
            self.abort_with_rst()
        elif not waits:
            self._transport.abort()
        else:
            self.close()

    def close(self) -> None:
        """Close in order; what waits goes out first, as long as upstream takes some of it now and then."""
        if self._transport is not None:
            self._transport.close()
            self._give_up(-1)

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    def _pass_fin(self) -> None:
        if self._transport is None:
            return
        if self.half_closed:
            self.close()
        else:
            self._transport.write_eof()

    def _give_up(self, before: int) -> None:
        """It is closing: end it when it took nothing of what waits for it for too long."""
        waiting = self.outstanding_bytes
        if self._transport is None or not self.buffered_bytes:
            return
        if waiting == before:
            self._transport.abort()
        else:
            asyncio.get_running_loop().call_later(WRITE_TIMEOUT_S, self._give_up, waiting)
