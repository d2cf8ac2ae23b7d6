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
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Literal, cast

from portside.errors import reason_of
from portside.events import Closed, CloseReason, HalfClosed, Opened, Proxy, Received, Sent, Tls
from portside.server.leg import Hold, Leg

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.server.faults.link import FaultyLink
    from portside.server.reset_monitor import ResetMonitor
    from portside.server.server import Server

STALL_CHECK_S = 1.0
_FLOW = Hold.FLOW.value
WRITE_TIMEOUT_S = 10.0  # a peer that takes nothing of what waits for it for this long is closed


class Connection(Leg, asyncio.Protocol):
    """What the server keeps of a client while it is connected."""

    __slots__ = (
        "_active_at",
        "_check_due",
        "_left",
        "_opened_at",
        "_progress_at",
        "_reason",
        "_server",
        "_write_timeout",
        "by",
        "eof_sent",
        "ip",
        "link",
        "local",
        "number",
        "peer",
        "proxy",
        "received",
        "sent",
        "tls",
        "upstream",
        "words",
    )

    def __init__(self, server: "Server", number: int, peer: str, local: str, ip: str | None) -> None:
        super().__init__()
        self.number = number
        self.peer = peer
        self.local = local
        self.ip = ip
        self.received = 0  # bytes
        self.sent = 0  # bytes handed over; ``buffered_bytes`` of them have not left
        self.eof_sent = False  # we sent FIN
        self.tls: Tls | None = None
        self.proxy: Proxy | None = None  # whose header named the peer
        self.link: FaultyLink | None = None  # the faults that stand before it
        self.upstream: Callable[[asyncio.Protocol], asyncio.Protocol] | None = None  # puts faults before another leg
        self.words: str | None = None  # why, where this side closes it with ``error``
        self.by: Literal["upstream"] | None = None  # who ended it, where this side only passes that on
        self._server = server
        self._reason: CloseReason | None = None
        self._opened_at = self._active_at = server.now()
        self._check_due = math.inf  # when the wheel calls ``check`` next
        self._left = 0  # ``outstanding_bytes`` at the last check
        self._progress_at = 0.0
        self._write_timeout = WRITE_TIMEOUT_S

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ready."""
        transport = cast("asyncio.Transport", transport)
        self.attach(transport)
        server = self._server
        self.publish_opened()
        if server.idle_timeout is not None:
            self._schedule_check(self._active_at + server.idle_timeout)
        if self._reason is not None:
            transport.close()  # the server ended meanwhile
            return
        server.opened(self)
        if self._holds:  # the loop begins to read when this returns
            server.loop.call_soon(self.apply_pauses)

    def data_received(self, data: bytes) -> None:
        """The peer sent bytes."""
        size = len(data)
        self.received += size
        server = self._server
        if server.idle_timeout is not None:
            self._active_at = server.now()
        if server.shows_received:
            server.publish(Received(time_ns(), self.number, self.peer, data), size)
        server.behaviour.received(self, data)

    def eof_received(self) -> bool:
        """The peer sent FIN. True keeps our direction open, unless we sent ours: then the connection ends."""
        self.half_closed = True
        server = self._server
        server.publish(HalfClosed(time_ns(), self.number, self.peer))
        stays = server.behaviour.half_closed(self) or server.keeps_half_open
        if self.eof_sent or not stays:
            return False
        if self._transport is not None and not self._transport.is_closing():
            server.reset_monitor.watch(self._fd, partial(self.abort, "peer_reset"))
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        server = self._server
        if self.half_closed:
            server.reset_monitor.forget(self._fd)
        reason, words = self._reason, self.words
        if reason is None:
            if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
                reason = "peer_reset"
            elif error is not None:
                reason, words = "error", reason_of(error)
            else:
                reason = "peer_closed" if self.half_closed else "local_closed"
        duration = round(server.now() - self._opened_at, 6)
        sent = max(0, self.sent - self.buffered_bytes)  # what waits may be encrypted, which makes it more
        self._transport = None
        by = self.by if reason in ("local_closed", "local_reset", "error") else None
        server.publish(Closed(time_ns(), self.number, self.peer, reason, self.received, sent, duration, words, by))
        server.closed(self, reason)

    def pause_writing(self) -> None:
        """More waits for the peer than it should."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """The peer caught up."""
        self.write_paused = False
        self._server.writable(self)

    # Called by the server and by those who act on it.

    def publish_opened(self) -> None:
        """Say that it is there."""
        self._server.publish(Opened(time_ns(), self.number, self.peer, self.local, self.tls, self.proxy))

    @property
    def reset_monitor(self) -> "ResetMonitor":
        """Who hears of resets after FIN."""
        return self._server.reset_monitor

    def send(self, data: bytes) -> None:
        """Send bytes to the peer: those that the kernel does not take are buffered. Dropped after ``write_eof``."""
        if self._transport is None or self.eof_sent or not data or self._transport.is_closing():
            return
        self._transport.write(data)
        self.sent += len(data)
        now = self._server.now()
        self._active_at = now
        if self._check_due > now + STALL_CHECK_S:
            self._left, self._progress_at = 0, now
            self._schedule_check(now + STALL_CHECK_S)
        if self._server.shows_sent:
            self._server.publish(Sent(time_ns(), self.number, self.peer, data), len(data))

    def close_gracefully(self) -> None:
        """All is said: close in order, as ``peer_closed`` where the peer was first and else as ``local_closed``."""
        if self.half_closed:
            self.write_eof()
        else:
            self.close("local_closed")

    def write_eof(self) -> None:
        """Half-close: send FIN after what waits; the peer may go on sending."""
        if self._transport is None or self._transport.is_closing():
            return
        if self.half_closed:
            self._transport.close()
        elif not self.eof_sent:
            self._transport.write_eof()
        self.eof_sent = True

    def set_close_reason(self, reason: CloseReason) -> None:
        """Something else is about to end it, for this reason."""
        self._reason = self._reason or reason

    def close(self, reason: CloseReason) -> None:
        """Close in order: what waits for the peer still goes out."""
        if self._transport is None:
            self._reason = reason  # it is told when it is ready
        elif not self._transport.is_closing():
            self._reason = self._reason or reason
            self._transport.close()

    def abort(self, reason: CloseReason) -> None:
        """Close now, whatever waits."""
        if self._transport is not None:
            self._reason = self._reason or reason
            self._transport.abort()

    def reset(self, reason: CloseReason = "local_reset") -> None:
        """Send RST: what waits is lost on both sides."""
        if self._transport is not None:
            self._reason = self._reason or reason
            self.abort_with_rst()

    def set_write_timeout(self, seconds: float) -> None:
        """How long the peer may take nothing of what waits for it, from now on; ``inf`` is for ever."""
        self._write_timeout = seconds
        self._progress_at = self._server.now()

    def resume_reading(self, hold: Hold) -> None:
        """Clear a hold, and read again where it was the last one: idle time counts from now."""
        if self._holds and not self._holds & ~hold._value_:
            self._active_at = self._server.now()
        super().resume_reading(hold)

    def check(self, now: float) -> None:
        """A deadline may have passed (seconds, the loop's clock); called from the wheel."""
        if self._transport is None or now < self._check_due:
            return
        self._check_due = math.inf
        server, next_at = self._server, []
        if self.buffered_bytes:
            outstanding = self.outstanding_bytes
            if outstanding != self._left or (self.link is not None and self.link.keeps_back):
                self._left, self._progress_at = outstanding, now
                self._active_at = now
            elif now >= self._progress_at + self._write_timeout:
                self.abort("write_timeout")
                return
            next_at.append(now + STALL_CHECK_S)
        if server.idle_timeout is not None:
            if self._holds & ~_FLOW or (self.link is not None and self.link.keeps_back):
                self._active_at = now  # we do not read: that nothing comes is not its fault
            if now >= self._active_at + server.idle_timeout:
                if not server.behaviour.is_active(self):
                    self.abort("idle_timeout")
                    return
                self._active_at = now
            next_at.append(self._active_at + server.idle_timeout)
        if next_at:
            self._schedule_check(min(next_at))

    def _schedule_check(self, at: float) -> None:
        # An entry that an earlier one overtook stays in the wheel; it finds nothing to do when its time comes.
        self._check_due = at
        self._server.schedule_check(self, at)
