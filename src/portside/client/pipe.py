"""The two directions of a connection, and how they end.

A thread sends what the source yields (``client.sender``); the caller's thread receives. Each runs a loop of two
blocking calls on one buffer, so neither direction waits for the other, and both run at the speed of the kernel.

1. The end of the source half-closes our side. Receiving continues until the peer's FIN.
2. After the peer's FIN, sending continues to the end of the source. If that is a terminal, the run ends once the peer
   has taken the bytes that we hold. A program as the source sees the FIN as the end of its input; once the program has
   ended, and the peer has its output, the run ends: no reader is left.
3. Where one direction has ended, the other goes on for the half-close timeout at most. It is a failure where the peer
   does not take what the source has yielded within that time.
4. The run waits until what was sent is acknowledged, as long as that makes progress: a peer that closed without having
   read it answers with a reset, which is the only way to learn of it.
5. Where the reader of our output goes away, the run ends once the source yields nothing more.
6. A reset is a failure, unless it answers a keepalive probe after the peer's FIN: then the peer has closed altogether,
   and has all that we sent. A failure, too: a connection on which nothing moved for the idle timeout, and a peer that
   has vanished.
"""

import errno
import os
import select
import socket
import time
from typing import TYPE_CHECKING

from portside.client.sender import BUFFER_SIZE, Observer, Sender, SenderState
from portside.client.stdio import OutputClosed, Stdio
from portside.client.tcp_progress import (
    KILLED,
    StallTimer,
    VanishWatch,
    acked_and_received,
    backoff,
    is_killed,
    is_reset,
    pending_error,
    set_receive_timeout,
    unacknowledged,
)
from portside.descriptors import may_lose_reader
from portside.errors import PortsideError
from portside.sockopts import has_vanished, was_probed

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.events import CloseReason
    from portside.wire.newlines import CrLf

GRACE_S = 0.5  # as socat's -t
LOOK_S = 0.5  # at a peer that has sent FIN, while the source yields nothing
FIRST_BYTES = 16  # kept: they tell what the peer speaks
OBSERVER_WAKES_S = 0.05  # the sender's thread may set the observer's deadline while this one waits


class ConnectionFailed(PortsideError):
    """A connection that failed; ``reason`` is that of ``events.Closed``."""

    def __init__(self, peer: str, reason: "CloseReason", why: str | OSError, hint: str | None = None) -> None:
        super().__init__(f"connection to {peer}", why, hint)
        self.reason = reason


class _HalfCloseTimeoutError(Exception):
    """The peer goes on sending for longer than it may after the end of the source."""


class Pipe:
    """A connection between a peer and our standard input and output; ``received`` and ``sent`` count bytes.

    ``output`` is the descriptor on which the peer's bytes are shown: once its reader has gone, the run ends.
    ``on_half_closed`` is called, on any thread, after the source has ended and our FIN is sent.
    """

    def __init__(
        self,
        sock: socket.socket,
        peer: str,
        stdio: Stdio,
        *,
        crlf: "CrLf | None" = None,
        half_close: bool = True,
        ends_when_sent: bool = False,
        idle_timeout: float | None = None,
        half_close_timeout: float | None = None,
        keepalive: float | None = None,
        observer: Observer | None = None,
        output: int | None = None,
        on_half_closed: "Callable[[], None] | None" = None,
    ) -> None:
        self._sock = sock  # blocking
        self._peer = peer
        self._stdio = stdio
        self._observer = observer
        self._idle_timeout = idle_timeout  # seconds
        self._half_close_timeout = half_close_timeout  # seconds
        self._vanish_watch = (
            None if keepalive is None or sock.family == socket.AF_UNIX else VanishWatch(sock, keepalive)
        )
        self._output = output if output is not None and may_lose_reader(output) else None
        self._reader_gone = False  # of the output
        self._sender: Sender | None = None
        if stdio.source is not None:
            self._sender = Sender(
                sock, stdio, observer,
                crlf=crlf, half_close=half_close, ends_run=ends_when_sent, on_half_closed=on_half_closed,
            )  # fmt: skip
        self.received = 0
        self.first_bytes = b""  # of the first read

    @property
    def sent(self) -> int:
        """Bytes that the kernel took for the peer."""
        return self._sender.sent if self._sender is not None else 0

    def run(self) -> "CloseReason":
        """Move bytes until the connection ends in order: the reason why it did.

        Raises ConnectionFailed where the connection fails and PortsideError where our side does. A thread may be left
        that still waits for the source.
        """
        self._idle = StallTimer(self._moved, time.monotonic())
        if self._sender is not None:
            self._sender.start()
        try:
            self._receive()
            return self._finish()
        except (OutputClosed, _HalfCloseTimeoutError):
            return "local_closed"

    def _receive(self) -> None:
        """Receive until the peer's FIN, or until the sender shuts the socket down."""
        buffer = memoryview(bytearray(BUFFER_SIZE))
        recv_into, write, observer = self._sock.recv_into, self._stdio.write, self._observer
        timeouts = (self._idle_timeout, self._half_close_timeout)
        wakes_up = observer is not None or self._output is not None or any(each is not None for each in timeouts)
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        if self._vanish_watch is not None:
            set_receive_timeout(self._sock, self._vanish_watch.interval_s)
        if self._output is not None:
            poll.register(self._output, 0)  # errors alone
        while True:
            if wakes_up:
                self._wait(poll)
            try:
                size = recv_into(buffer)
            except BlockingIOError:
                self._time_passed()  # or TLS: no whole record yet
                continue
            except OSError as error:
                if self._sender is not None and self._sender.state is SenderState.COMPLETE:
                    return  # the kernel's answer to what came after the sender had shut the socket down
                raise self._failed(error) from None
            if not size:
                return
            if not self.received:
                self.first_bytes = bytes(buffer[: min(size, FIRST_BYTES)])
            self.received += size
            if observer is not None:  # before the sink: what the sink has is recorded, however the run ends
                observer.received(bytes(buffer[:size]))
            write(buffer[:size])

    def _wait(self, poll: select.poll) -> None:
        """Wait until there is something to receive."""
        sock = self._sock.fileno()
        while True:
            ready = [fd for fd, _ in poll.poll(self._wake_s() * 1000)]
            if sock in ready:
                return
            if self._output in ready:
                poll.unregister(self._output)
                self._reader_gone = True
            if self._reader_gone and not self._is_sending():
                raise OutputClosed
            self._time_passed()
            sender = self._sender
            if sender is not None and sender.ended_at is not None and self._half_close_is_over(sender.ended_at):
                self._wait_for_acknowledgement()
                raise _HalfCloseTimeoutError

    def _half_close_is_over(self, since: float) -> bool:
        """Whether the half-close timeout has passed since one direction has ended (``time.monotonic()``)."""
        return self._half_close_timeout is not None and time.monotonic() >= since + self._half_close_timeout

    def _is_sending(self) -> bool:
        """Whether the source yields bytes, which go on to the peer although nobody reads its answers any more."""
        sender = self._sender
        if sender is None or not sender.is_alive():
            return False
        return sender.state is SenderState.SENDING or time.monotonic() - sender.moved_at < GRACE_S

    def _wake_s(self) -> float:
        """Seconds to wait before the clock is read again."""
        wake = OBSERVER_WAKES_S if self._observer is not None or self._reader_gone else 3600.0
        if self._vanish_watch is not None:
            wake = min(wake, self._vanish_watch.interval_s)
        for timeout in (self._idle_timeout, self._half_close_timeout):
            if timeout is not None:
                wake = min(wake, max(0.01, timeout / 8))
        return wake

    def _time_passed(self) -> None:
        observer = self._observer
        if observer is not None and observer.deadline is not None and observer.deadline <= time.monotonic():
            observer.tick()
        if self._vanish_watch is not None and self._vanish_watch.has_vanished():
            raise ConnectionFailed(self._peer, "peer_vanished", "it acknowledges nothing any more")
        if self._idle_timeout is not None and self._idle.seconds() >= self._idle_timeout:
            raise ConnectionFailed(self._peer, "idle_timeout", f"nothing moved for {self._idle_timeout:g}s")

    def _moved(self) -> tuple[int, ...]:
        return (self.received, self.sent, *acked_and_received(self._sock))

    def _finish(self) -> "CloseReason":
        """Finish after the peer's FIN, or because the sender ends the run: the reason."""
        sender = self._sender
        if sender is None:
            return "peer_closed"
        if sender.state is not SenderState.COMPLETE and sender.failure is None:
            self._wait_for_sender(sender)
        if sender.failure is not None:
            raise sender.failure
        if sender.refusal is not None:
            raise self._failed(sender.refusal)
        if sender.state is SenderState.COMPLETE:
            return "local_closed"
        self._wait_for_acknowledgement()
        return "peer_closed"

    def _wait_for_sender(self, sender: Sender) -> None:
        """Wait until the sender has sent the rest of the source (rule 2), or may send no longer (rule 3)."""
        since = time.monotonic()
        if self._observer is not None and sender.state < SenderState.SOURCE_ENDED and self._goes_on(sender):
            self._observer.half_closed()
        self._stdio.peer_closed()
        while sender.is_alive() and self._goes_on(sender):
            sender.join(min(self._wake_s(), LOOK_S))
            self._time_passed()
            if error := pending_error(self._sock):
                if is_reset(error) and was_probed(self._sock) and not unacknowledged(self._sock):
                    return  # nothing of ours is lost
                raise self._failed(error)
            if self._half_close_is_over(since):
                if sender.state is SenderState.SENDING:
                    why = f"it did not take the rest of the input within {self._half_close_timeout:g}s"
                    raise ConnectionFailed(self._peer, "write_timeout", why)
                return
            if self._reader_gone and not self._is_sending():
                raise OutputClosed

    def _goes_on(self, sender: Sender) -> bool:
        """Whether sending goes on after the peer's FIN: from a terminal only what we hold."""
        return sender.state is SenderState.SENDING or not self._stdio.interactive

    def _wait_for_acknowledgement(self) -> None:
        """Wait according to rule 4. The kernel keeps sending what it still holds after that."""
        stalled = StallTimer(lambda: unacknowledged(self._sock), time.monotonic())
        for delay in backoff():
            left = unacknowledged(self._sock)
            if error := pending_error(self._sock):
                raise self._failed(error)
            if not left or stalled.seconds() >= GRACE_S:
                return
            time.sleep(delay)

    def _failed(self, error: OSError) -> ConnectionFailed:
        if is_killed(error):
            return ConnectionFailed(self._peer, "killed", KILLED)
        if has_vanished(error):
            return ConnectionFailed(self._peer, "peer_vanished", error)
        if not is_reset(error):
            return ConnectionFailed(self._peer, "error", error)
        hint = None if error.errno == errno.ECONNRESET else "it closed before it had read everything we sent"
        return ConnectionFailed(self._peer, "peer_reset", os.strerror(errno.ECONNRESET), hint)
