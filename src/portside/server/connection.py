"""One accepted connection: a callback protocol, without a task or a timer of its own.

How a connection ends is decided in one place, ``connection_lost``:

    a cause was set before (idle, write timeout, shutdown …)     that cause: the first counts
    the kernel was asked to destroy the socket                   killed
    the peer reset, or our write met its reset                   peer_reset
    the peer answers no more                                     peer_vanished
    the network reported another error                           error, with its text
    the peer sent FIN                                            peer_closed
    none of these                                                local_closed
"""

import asyncio
import math
from time import time_ns
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import msgspec

from portside.errors import reason_of
from portside.events import Closed, ClosedBy, CloseReason, Event, HalfClosed, Opened, Proxy, Received, Sent, Tls
from portside.server.leg import Hold, Leg
from portside.sockopts import has_vanished
from portside.tls.first_bytes import CLIENT_HELLO_BYTES, TLS_HANDSHAKE

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.server.hello_watch import HelloWatch
    from portside.server.poller import SocketPoller

STALL_CHECK_S = 1.0
WRITE_TIMEOUT_S = 10.0  # a peer that takes no byte of what is buffered for it for this long is closed
_FLOW = Hold.FLOW.value
_OPERATOR = Hold.OPERATOR.value


class ConnectionInfo(msgspec.Struct, frozen=True, gc=False):
    """Facts about a connection that are known when it opens. Addresses are as shown to users."""

    peer: str
    local: str
    ip: str | None  # of the peer; None on a unix socket
    tls: Tls | None = None
    proxy: Proxy | None = None  # the header that named the peer
    listener: str = ""  # the name of the listener that accepted it


class CloseCause(NamedTuple):
    """Why a connection is closed; ``error`` in words, ``by`` where somebody else asked for the close."""

    reason: CloseReason
    error: str | None = None
    by: ClosedBy | None = None


class Publish(Protocol):
    """Takes an event and the size of its payload in bytes."""

    def __call__(self, event: Event, size: int = 0, /) -> None: ...


class ConnectionBehaviour(Protocol):
    """The methods of a behaviour that a connection calls; see ``server.behaviour``."""

    def received(self, connection: "Connection", data: bytes) -> None: ...
    def half_closed(self, connection: "Connection") -> bool: ...
    def is_active(self, connection: "Connection") -> bool: ...


class ConnectionFaults(Protocol):
    """The faults of one connection, for itself and for a behaviour that relays it."""

    @property
    def protocol(self) -> asyncio.Protocol:
        """The protocol for the transport to call: the faults, or the connection where none is its own."""

    @property
    def is_blocking(self) -> bool:
        """Whether a fault keeps bytes back, so that nothing moves."""

    @property
    def was_reset(self) -> bool:
        """Whether a fault has reset the connection."""

    @property
    def count(self) -> int:
        """How many faults there are, those of the upstream leg included."""

    def wrap_upstream(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        """Put the faults of the upstream leg before its protocol; the protocol that its transport calls."""

    def discard_delayed(self) -> None:
        """Discard what faults keep back, so that ``close`` waits for nothing: the run ends."""


class HalfCloseDeadlines(Protocol):
    """Closes connections of which one direction ended some time ago; see ``server.half_close``."""

    def limit(self, connection: "Connection", now: float) -> None: ...


class ConnectionHost(Protocol):
    """The part of a server that its connections use. Times are in seconds of the loop's clock."""

    loop: asyncio.AbstractEventLoop
    now: "Callable[[], float]"
    publish: Publish
    idle_timeout: float | None
    tracks_activity: bool  # whether ``active_at`` of each connection is kept, which idle timeout and consoles need
    shows_received: bool  # whether anybody wants Received events
    shows_sent: bool  # whether anybody wants Sent events
    keeps_half_open: bool  # whether a connection stays after the peer's FIN, whatever the behaviour answers
    half_close_deadlines: "HalfCloseDeadlines | None"  # None: either direction goes on until it ends
    poller: "SocketPoller"
    hello_watch: "HelloWatch | None"  # told of the first bytes of clients, as long as one has to be found

    @property
    def behaviour(self) -> ConnectionBehaviour: ...

    def opened(self, connection: "Connection") -> None: ...
    def closed(self, connection: "Connection", reason: CloseReason) -> None: ...
    def writable(self, connection: "Connection") -> None: ...
    def schedule_check(self, connection: "Connection", at: float, /) -> None: ...


class Connection(Leg, asyncio.Protocol):
    """A client while it is connected.

    More attributes than a class should have: each further object would cost an idle connection 100 bytes, and each read
    one more lookup.
    """

    __slots__ = (
        "_cause",
        "_check_due",
        "_host",
        "_outstanding",
        "_progress_at",
        "_write_timeout",
        "active_at",
        "faults",
        "info",
        "lost",
        "number",
        "opened_at",
        "peer",
        "received",
        "sent",
    )

    def __init__(
        self,
        host: ConnectionHost,
        number: int,
        info: ConnectionInfo,
        make_faults: "Callable[[Connection], ConnectionFaults] | None" = None,
    ) -> None:
        super().__init__()
        self.number = number
        self.info = info
        self.peer = info.peer  # here too: each read needs it
        self.received = 0  # bytes
        self.sent = 0  # bytes handed over; ``buffered_bytes`` of them have not left
        self.lost = 0  # bytes handed over that had not left when the connection ended
        self._host = host
        self._cause: CloseCause | None = None
        self.opened_at = host.now()  # seconds of the loop's clock
        self.active_at = self.opened_at  # when bytes last moved, where the host tracks activity
        self._check_due = math.inf  # when the host calls ``check`` next
        self._outstanding = 0  # bytes, at the last check
        self._progress_at = 0.0
        self._write_timeout = WRITE_TIMEOUT_S
        self.faults = make_faults(self) if make_faults is not None else None

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open: the transport is ready."""
        transport = cast("asyncio.Transport", transport)
        self.attach(transport)
        host = self._host
        self._publish_opened()
        if host.idle_timeout is not None:
            self._schedule_check(self.active_at + host.idle_timeout)
        if self._cause is not None:
            transport.close()  # the server ended meanwhile
            return
        host.opened(self)

    def data_received(self, data: bytes) -> None:
        """Publish bytes that the peer sent, and pass them to the behaviour."""
        size = len(data)
        before = self.received
        self.received = before + size
        host = self._host
        if before < CLIENT_HELLO_BYTES and (before or data[0] == TLS_HANDSHAKE) and host.hello_watch is not None:
            host.hello_watch.look(self, before, data)
        if host.tracks_activity:
            self.active_at = host.now()
        if host.shows_received:
            host.publish(Received(time_ns(), self.number, self.peer, data), size)
        host.behaviour.received(self, data)

    def eof_received(self) -> bool:
        """Note the peer's FIN. True keeps our direction open, unless our FIN is sent: then the connection ends."""
        self.half_closed = True
        host = self._host
        host.publish(HalfClosed(time_ns(), self.number, self.peer))
        stays = (host.behaviour.half_closed(self) or host.keeps_half_open) and not self.eof_sent
        if stays and host.half_close_deadlines is not None:
            host.half_close_deadlines.limit(self, host.now())
        return stays

    def connection_lost(self, error: Exception | None) -> None:
        """Publish the end of the connection, and why it ended."""
        host = self._host
        cause = self._cause
        if cause is None:
            if error is None:
                cause = CloseCause("peer_closed" if self.half_closed else "local_closed")
            elif isinstance(error, ConnectionAbortedError):
                cause = CloseCause("killed")
            elif self._has_closed_altogether(error):
                cause = CloseCause("peer_closed")
            elif isinstance(error, ConnectionResetError | BrokenPipeError):
                cause = CloseCause("peer_reset")
            elif has_vanished(error):
                cause = CloseCause("peer_vanished")
            else:
                cause = CloseCause("error", reason_of(error))
        self._cause = cause
        reason, text, by = cause
        if reason not in {"local_closed", "local_reset", "killed", "error"}:
            by = None
        duration = round(host.now() - self.opened_at, 6)
        sent = max(0, self.sent - self.buffered_bytes)  # what is buffered may be encrypted, which makes it more
        self._transport = None
        self.lost = self.sent - sent
        host.publish(Closed(time_ns(), self.number, self.peer, reason, self.received, sent, duration, text, by))
        host.closed(self, reason)

    def _has_closed_altogether(self, error: Exception | None) -> bool:
        """Whether a reset only says that the peer, which has sent FIN, has closed its socket since.

        It answers a keepalive probe, and nothing of ours is lost.
        """
        return (
            isinstance(error, BrokenPipeError) and self.half_closed and self.was_probed and not self.outstanding_bytes
        )

    def pause_writing(self) -> None:
        """Note that more is buffered than should be."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Note that the peer has taken what was buffered, and have the behaviour go on."""
        self.write_paused = False
        self._host.writable(self)

    # Called by the server and by those who act on it.

    def _publish_opened(self) -> None:
        info = self.info
        self._host.publish(Opened(time_ns(), self.number, self.peer, info.local, info.tls, info.proxy))

    @property
    def protocol(self) -> asyncio.Protocol:
        """The protocol for the transport to call: this one, or the faults that stand before it."""
        return self if self.faults is None else self.faults.protocol

    @property
    def fault_count(self) -> int:
        """How many faults the connection has."""
        return self.faults.count if self.faults is not None else 0

    @property
    def close_cause(self) -> CloseCause | None:
        """Why the connection is closed or is about to be; None while nothing has ended it."""
        return self._cause

    @property
    def poller(self) -> "SocketPoller":
        """The poller that serves the socket, for another leg that ends with this one."""
        return self._host.poller

    def send(self, data: bytes) -> None:
        """Send bytes to the peer: those that the kernel does not take are buffered. Dropped after ``write_eof``."""
        transport = self._transport
        if transport is None or self.eof_sent or not data or transport.is_closing():
            return
        transport.write(data)
        self.sent += len(data)
        host = self._host
        if host.tracks_activity:
            self.active_at = host.now()
        if transport.get_write_buffer_size():
            self._watch_progress()
        if host.shows_sent:
            host.publish(Sent(time_ns(), self.number, self.peer, data), len(data))

    def close_gracefully(self) -> None:
        """Close in order after the last answer: as ``peer_closed`` after the peer's FIN, else as ``local_closed``."""
        if self.half_closed:
            self.write_eof()
        else:
            self.close("local_closed")

    def write_eof(self) -> None:
        """Half-close: send FIN after what is buffered; the peer may go on sending."""
        if self._transport is None or self._transport.is_closing():
            return
        if self.half_closed:
            self._transport.close()
        elif not self.eof_sent:
            self._transport.write_eof()
            deadlines = self._host.half_close_deadlines
            if deadlines is not None:
                deadlines.limit(self, self._host.now())
        self.eof_sent = True

    def set_close_reason(self, reason: CloseReason, *, error: str | None = None, by: ClosedBy | None = None) -> None:
        """Say why the connection is about to end; the first reason counts."""
        if self._cause is None:
            self._cause = CloseCause(reason, error, by)

    def close(self, reason: CloseReason, *, error: str | None = None, by: ClosedBy | None = None) -> None:
        """Close in order, as soon as it is open: what is buffered for the peer still goes out."""
        if self._transport is None:
            self.set_close_reason(reason, error=error, by=by)
        elif not self._transport.is_closing():
            self.set_close_reason(reason, error=error, by=by)
            self._transport.close()

    def abort(self, reason: CloseReason) -> None:
        """Close at once: what is buffered is lost."""
        if self._transport is not None:
            self.set_close_reason(reason)
            self._transport.abort()

    def reset(
        self,
        reason: CloseReason = "local_reset",
        *,
        error: str | None = None,
        by: ClosedBy | None = None,
    ) -> None:
        """Send RST: what is buffered is lost on both sides."""
        if self._transport is not None:
            self.set_close_reason(reason, error=error, by=by)
            self.abort_with_rst()

    def peer_vanished(self) -> None:
        """End the connection: the peer acknowledges nothing any more."""
        self.reset("peer_vanished")

    def idle_timeout_changed(self) -> None:
        """Count idle time anew, by the host's timeout of now."""
        timeout = self._host.idle_timeout
        if timeout is not None and self._transport is not None:
            self.active_at = self._host.now()
            if self._check_due > self.active_at + timeout:
                self._schedule_check(self.active_at + timeout)

    def set_write_timeout(self, seconds: float) -> None:
        """Limit how long the peer may take nothing of what is buffered for it, from now on; ``inf`` is no limit."""
        self._write_timeout = seconds
        self._progress_at = self._host.now()

    def resume_reading(self, hold: Hold) -> None:
        """Clear a hold, and read again where it was the last one.

        Idle time counts from now, unless another hold remains for which it does not count at all.
        """
        if self._holds & hold._value_ and not self._holds & ~hold._value_ & ~_FLOW:
            self.active_at = self._host.now()
        super().resume_reading(hold)

    def check(self, now: float) -> None:
        """Close the connection where it was idle, or its peer took nothing, for too long; called by the host."""
        if self._transport is None or now < self._check_due:
            return
        self._check_due = math.inf
        host, faults, next_at = self._host, self.faults, math.inf
        blocked = faults is not None and faults.is_blocking
        if self.buffered_bytes:
            outstanding = self.outstanding_bytes
            if outstanding != self._outstanding or blocked or self._holds & _OPERATOR:
                # A peer that waits until it is read may read nothing itself.
                self._outstanding, self._progress_at = outstanding, now
                self.active_at = now
            elif now >= self._progress_at + self._write_timeout:
                self.abort("write_timeout")
                return
            next_at = now + STALL_CHECK_S
        if host.idle_timeout is not None:
            if self._holds & ~_FLOW or blocked:
                self.active_at = now  # this side does not read: that nothing comes is not the peer's fault
            if now >= self.active_at + host.idle_timeout:
                if not host.behaviour.is_active(self):
                    self.abort("idle_timeout")
                    return
                self.active_at = now
            next_at = min(next_at, self.active_at + host.idle_timeout)
        if next_at < math.inf:
            self._schedule_check(next_at)

    def _watch_progress(self) -> None:
        """Have it checked soon whether the peer takes some of what is buffered for it."""
        now = self._host.now()
        if self._check_due > now + STALL_CHECK_S:
            self._outstanding, self._progress_at = 0, now
            self._schedule_check(now + STALL_CHECK_S)

    def _schedule_check(self, at: float) -> None:
        # A check that an earlier one overtook stays scheduled, and finds nothing to do when its time comes.
        self._check_due = at
        self._host.schedule_check(self, at)
