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
import socket
import struct
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Literal, cast

from portside.errors import reason_of
from portside.events import Closed, CloseReason, HalfClosed, Opened, Proxy, Received, Sent, Tls
from portside.sockopts import unacknowledged

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.server.faults.link import FaultyLink
    from portside.server.hangups import Hangups
    from portside.server.server import Server

STALL_CHECK_S = 1.0
FEED, FLOW, FAULT, OPERATOR = 1, 2, 4, 8  # who may hold a connection back from being read
RESET = struct.pack("ii", 1, 0)  # SO_LINGER, on, 0 s: close(2) sends RST
WRITE_TIMEOUT_S = 10.0  # a peer that takes nothing of what waits for it for this long is closed


class Connection(asyncio.Protocol):
    """What the server keeps of a client while it is connected."""

    __slots__ = (
        "_active_at",
        "_check_due",
        "_fd",
        "_holds",
        "_left",
        "_opened_at",
        "_progress_at",
        "_reason",
        "_server",
        "_write_timeout",
        "by",
        "finished",
        "half_closed",
        "ip",
        "lagging",
        "link",
        "local",
        "number",
        "peer",
        "proxy",
        "received",
        "sent",
        "tls",
        "transport",
        "upstream",
        "words",
    )

    def __init__(self, server: "Server", number: int, peer: str, local: str, ip: str | None) -> None:
        self.number = number
        self.peer = peer
        self.local = local
        self.ip = ip
        self.received = 0  # bytes
        self.sent = 0  # bytes handed over; ``unsent`` of them have not left
        self.half_closed = False  # the peer sent FIN
        self.finished = False  # we did
        self.lagging = False  # more waits for the peer than it should
        self.transport: asyncio.Transport | None = None
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
        self._fd = -1
        self._holds = 0  # who holds it back: of FEED, FLOW, FAULT, OPERATOR
        self._left = 0  # ``waiting`` at the last check
        self._progress_at = 0.0
        self._write_timeout = WRITE_TIMEOUT_S

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ready."""
        self.transport = cast("asyncio.Transport", transport)
        self._fd = transport.get_extra_info("socket").fileno()
        server = self._server
        self.publish_opened()
        if server.idle_timeout is not None:
            self._check_at(self._active_at + server.idle_timeout)
        if self._reason is not None:
            self.transport.close()  # the server ended meanwhile
            return
        server.opened(self)
        if self._holds:  # the loop begins to read when this returns
            server.loop.call_soon(self._hold_still)

    def _hold_still(self) -> None:
        if self._holds and self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

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
        if self.finished or not stays:
            return False
        if self.transport is not None and not self.transport.is_closing():
            server.hangups.watch(self._fd, partial(self.abort, "peer_reset"))
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        server = self._server
        if self.half_closed:
            server.hangups.forget(self._fd)
        reason, words = self._reason, self.words
        if reason is None:
            if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
                reason = "peer_reset"
            elif error is not None:
                reason, words = "error", reason_of(error)
            else:
                reason = "peer_closed" if self.half_closed else "local_closed"
        duration = round(server.now() - self._opened_at, 6)
        sent = max(0, self.sent - self.unsent)  # what waits may be encrypted, which makes it more
        self.transport = None
        by = self.by if reason in ("local_closed", "local_reset", "error") else None
        server.publish(Closed(time_ns(), self.number, self.peer, reason, self.received, sent, duration, words, by))
        server.closed(self, reason)

    def pause_writing(self) -> None:
        """More waits for the peer than it should."""
        self.lagging = True

    def resume_writing(self) -> None:
        """The peer caught up."""
        self.lagging = False
        self._server.caught_up(self)

    # Called by the server and by those who act on it.

    def publish_opened(self) -> None:
        """Say that it is there."""
        self._server.publish(Opened(time_ns(), self.number, self.peer, self.local, self.tls, self.proxy))

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

    @property
    def hangups(self) -> "Hangups":
        """Who hears of resets after FIN."""
        return self._server.hangups

    def send(self, data: bytes) -> None:
        """Send bytes to the peer; what it does not take at once waits (see ``unsent``). Dropped after ``finish``."""
        if self.transport is None or self.finished or not data or self.transport.is_closing():
            return
        self.transport.write(data)
        self.sent += len(data)
        now = self._server.now()
        self._active_at = now
        if self._check_due > now + STALL_CHECK_S:
            self._left, self._progress_at = 0, now
            self._check_at(now + STALL_CHECK_S)
        if self._server.shows_sent:
            self._server.publish(Sent(time_ns(), self.number, self.peer, data), len(data))

    def complete(self) -> None:
        """All is said: close in order, as ``peer_closed`` where the peer was first and else as ``local_closed``."""
        if self.half_closed:
            self.finish()
        else:
            self.close("local_closed")

    def finish(self) -> None:
        """Half-close: send FIN after what waits; the peer may go on sending."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.half_closed:
            self.transport.close()
        elif not self.finished:
            self.transport.write_eof()
        self.finished = True

    def ends(self, reason: CloseReason) -> None:
        """Something else is about to end it, for this reason."""
        self._reason = self._reason or reason

    def close(self, reason: CloseReason) -> None:
        """Close in order: what waits for the peer still goes out."""
        if self.transport is None:
            self._reason = reason  # it is told when it is ready
        elif not self.transport.is_closing():
            self._reason = self._reason or reason
            self.transport.close()

    def abort(self, reason: CloseReason) -> None:
        """Close now, whatever waits."""
        if self.transport is not None:
            self._reason = self._reason or reason
            self.transport.abort()

    def reset(self, reason: CloseReason = "local_reset") -> None:
        """Send RST: what waits is lost on both sides."""
        if self.transport is not None:
            if not self.transport.is_closing():
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.abort(reason)

    def set_write_timeout(self, seconds: float) -> None:
        """How long the peer may take nothing of what waits for it, from now on; ``inf`` is for ever."""
        self._write_timeout = seconds
        self._progress_at = self._server.now()

    @property
    def held(self) -> int:
        """Who holds it back from being read; 0 where nobody does."""
        return self._holds

    def hold(self, who: int) -> None:
        """Take nothing from the peer: its data waits in the kernel, then on its own side."""
        before, self._holds = self._holds, self._holds | who
        if not before and self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def release(self, who: int) -> None:
        """Take its data again, where nobody else holds it back."""
        before, self._holds = self._holds, self._holds & ~who
        if before and not self._holds:
            self._active_at = self._server.now()
            # After FIN there is nothing to read but that FIN again.
            if self.transport is not None and not self.half_closed and not self.transport.is_closing():
                self.transport.resume_reading()

    def check(self, now: float) -> None:
        """A deadline may have passed (seconds, the loop's clock); called from the wheel."""
        if self.transport is None or now < self._check_due:
            return
        self._check_due = math.inf
        server, next_at = self._server, []
        if self.unsent:
            waiting = self.waiting
            if waiting != self._left or (self.link is not None and self.link.keeps_back):
                self._left, self._progress_at = waiting, now
                self._active_at = now
            elif now >= self._progress_at + self._write_timeout:
                self.abort("write_timeout")
                return
            next_at.append(now + STALL_CHECK_S)
        if server.idle_timeout is not None:
            if self._holds & ~FLOW or (self.link is not None and self.link.keeps_back):
                self._active_at = now  # we do not read: that nothing comes is not its fault
            if now >= self._active_at + server.idle_timeout:
                if not server.behaviour.moved(self):
                    self.abort("idle_timeout")
                    return
                self._active_at = now
            next_at.append(self._active_at + server.idle_timeout)
        if next_at:
            self._check_at(min(next_at))

    def _check_at(self, at: float) -> None:
        # An entry that an earlier one overtook stays in the wheel; it finds nothing to do when its time comes.
        self._check_due = at
        self._server.check_at(self, at)
