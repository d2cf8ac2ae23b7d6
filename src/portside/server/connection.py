"""One accepted connection: a callback protocol, no task and no timer of its own.

How a connection ends is decided in one place, ``connection_lost``:

    set before by this side (idle, write timeout, shutdown …)   that reason
    the peer reset, or our write met its reset                  peer_reset
    the peer sent FIN                                           peer_closed
    another error of the network                                error, with its words
    none of these                                               local_closed
"""

import asyncio
import math
from time import time_ns
from typing import TYPE_CHECKING, cast

from portside.errors import reason_of
from portside.events import Closed, CloseReason, HalfClosed, Opened, Received, Sent
from portside.sockopts import unacknowledged

if TYPE_CHECKING:
    from portside.server.server import Server

STALL_CHECK_S = 1.0
WRITE_TIMEOUT_S = 10.0  # a peer that takes nothing of what waits for it for this long is closed


class Connection(asyncio.Protocol):
    """What the server keeps of a client while it is connected."""

    __slots__ = (
        "_active_at",
        "_check_due",
        "_fd",
        "_left",
        "_opened_at",
        "_progress_at",
        "_reason",
        "_server",
        "half_closed",
        "ip",
        "lagging",
        "local",
        "number",
        "peer",
        "received",
        "sent",
        "transport",
    )

    def __init__(self, server: "Server", number: int, peer: str, local: str, ip: str | None) -> None:
        self.number = number
        self.peer = peer
        self.local = local
        self.ip = ip
        self.received = 0  # bytes
        self.sent = 0  # bytes handed over; ``unsent`` of them have not left
        self.half_closed = False  # the peer sent FIN
        self.lagging = False  # more waits for the peer than it should
        self.transport: asyncio.Transport | None = None
        self._server = server
        self._reason: CloseReason | None = None
        self._opened_at = self._active_at = server.now()
        self._check_due = math.inf  # when the wheel calls ``check`` next
        self._fd = -1
        self._left = 0  # ``waiting`` at the last check
        self._progress_at = 0.0

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ready."""
        self.transport = cast("asyncio.Transport", transport)
        self._fd = transport.get_extra_info("socket").fileno()
        server = self._server
        server.publish(Opened(time_ns(), self.number, self.peer, self.local))
        if server.idle_timeout is not None:
            self._check_at(self._active_at + server.idle_timeout)
        if self._reason is not None:
            self.transport.close()  # the server ended meanwhile
            return
        server.opened(self)

    def data_received(self, data: bytes) -> None:
        """The peer sent bytes."""
        size = len(data)
        self.received += size
        server = self._server
        if server.idle_timeout is not None:
            self._active_at = server.now()
        if server.shows_received:
            server.publish(Received(time_ns(), self.number, self.peer, data), size)

    def eof_received(self) -> bool:
        """The peer sent FIN. True keeps our direction open."""
        self.half_closed = True
        self._server.publish(HalfClosed(time_ns(), self.number, self.peer))
        return self._server.keeps_half_open

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        server = self._server
        reason, words = self._reason, None
        if reason is None:
            if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
                reason = "peer_reset"
            elif error is not None:
                reason, words = "error", reason_of(error)
            else:
                reason = "peer_closed" if self.half_closed else "local_closed"
        duration = round(server.now() - self._opened_at, 6)
        sent = self.sent - self.unsent
        self.transport = None
        server.publish(Closed(time_ns(), self.number, self.peer, reason, self.received, sent, duration, words))
        server.closed(self, reason)

    def pause_writing(self) -> None:
        """More waits for the peer than it should."""
        self.lagging = True

    def resume_writing(self) -> None:
        """The peer caught up."""
        self.lagging = False
        self._server.caught_up(self)

    # Called by the server and by those who act on it.

    @property
    def unsent(self) -> int:
        """Bytes that wait on this side for the peer to take them."""
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    @property
    def waiting(self) -> int:
        """Bytes that the peer has not acknowledged, here or in the kernel: while they get fewer, it reads."""
        if self.transport is None:
            return 0
        try:
            return self.unsent + unacknowledged(self._fd)
        except OSError:
            return self.unsent  # it is being closed

    def send(self, data: bytes) -> None:
        """Send bytes to the peer; what it does not take at once waits (see ``unsent``)."""
        if self.transport is None or self.transport.is_closing():
            return
        self.transport.write(data)
        self.sent += len(data)
        now = self._server.now()
        self._active_at = now
        if self._check_due > now + STALL_CHECK_S:
            self._left, self._progress_at = 0, now
            self._check_at(now + STALL_CHECK_S)
        self._server.publish(Sent(time_ns(), self.number, self.peer, data), len(data))

    def finish(self) -> None:
        """Half-close: send FIN after what waits; the peer may go on sending."""
        if self.transport is not None and not self.transport.is_closing():
            if self.half_closed:
                self.transport.close()
            else:
                self.transport.write_eof()

    def close(self, reason: CloseReason) -> None:
        """Close in order: what waits for the peer still goes out."""
        if self.transport is None:
            self._reason = reason  # it is told when it is ready
        elif not self.transport.is_closing():
            self._reason = reason
            self.transport.close()

    def abort(self, reason: CloseReason) -> None:
        """Close now, whatever waits."""
        if self.transport is not None:
            self._reason = self._reason or reason
            self.transport.abort()

    def pause_reading(self) -> None:
        """Take nothing from the peer: its data waits in the kernel, then on its own side."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take its data again."""
        self._active_at = self._server.now()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def check(self, now: float) -> None:
        """A deadline may have passed (seconds, the loop's clock); called from the wheel."""
        if self.transport is None or now < self._check_due:
            return
        self._check_due = math.inf
        server, next_at = self._server, []
        if self.unsent:
            waiting = self.waiting
            if waiting != self._left:
                self._left, self._progress_at = waiting, now
                self._active_at = now
            elif now >= self._progress_at + WRITE_TIMEOUT_S:
                self.abort("write_timeout")
                return
            next_at.append(now + STALL_CHECK_S)
        if server.idle_timeout is not None:
            if server.paused:
                self._active_at = now  # we do not read: that nothing comes is not its fault
            if now >= self._active_at + server.idle_timeout:
                self.abort("idle_timeout")
                return
            next_at.append(self._active_at + server.idle_timeout)
        if next_at:
            self._check_at(min(next_at))

    def _check_at(self, at: float) -> None:
        # An entry that an earlier one overtook stays in the wheel; it finds nothing to do when its time comes.
        self._check_due = at
        self._server.check_at(self, at)
