"""A connection that misbehaves: a box between the loop's transport and the protocol that uses it.

To the transport the box is the protocol, to the protocol it is the transport, so neither knows of faults, a connection
without one pays nothing, and the same box serves the client's side and the other leg of ``--forward``:

    transport ── data_received ──► lane in ──► data_received ── protocol
    transport ◄───────── write ── lane out ◄── write ────────── protocol

1. What the protocol gets and sends is what the program sees: bytes that a fault dropped or keeps back never came.
2. What waits is bounded. Above ``HIGH_BYTES`` inwards the transport is not read, outwards the protocol is told to
   pause, until no more than ``LOW_BYTES`` wait. A stalled direction in is not read at all, so that the kernel's buffer
   fills and the peer is told a window of zero.
3. FIN and ``close`` follow what is on its way. RST and ``abort`` do not wait, but for ``reset at``, which lets what
   passed before be acknowledged.
4. When the connection is lost, what came in and was not stalled is given to the protocol first.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from portside.server.faults.lane import Lane
from portside.server.faults.reset import linger_not, when_taken
from portside.settings.faults import Direction, Fault
from portside.wire.faults import Due

HIGH_BYTES = 1 << 20
LOW_BYTES = 256 << 10


class Done(NamedTuple):
    """What a fault did. ``offset`` is how many bytes of ``direction`` came before; ``size`` how many it concerned."""

    fault: Fault
    offset: int | None = None
    direction: Direction | None = None
    size: int | None = None
    over: bool = False

    @property
    def ends(self) -> bool:
        """Whether the connection ends by it."""
        return self.fault.kind in ("reset", "close", "limit")


class FaultyLink(asyncio.Transport, asyncio.Protocol):
    """The box. ``on_done`` is told each thing a fault did, before the connection feels it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.Protocol,
        dues: Sequence[Due],
        on_done: Callable[[Done], None],
    ) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._on_done = on_done
        self._transport: asyncio.Transport
        self._timers: list[asyncio.TimerHandle] = []
        ends = [due.fault for due in dues if due.fault.kind in ("reset", "close", "half-close")]
        self._timed = [fault for fault in ends if fault.at is None]
        self._in = self._lane("in", dues, self._deliver, self._deliver_end)
        self._out = self._lane("out", dues, self._pass, self._pass_end)
        self._early: list[Done] | None = []  # what faults did before the protocol knew of the connection
        self._held = False  # the protocol does not want to be given more
        self._paused = False  # the transport is not read
        self._full = False  # the transport has too much to write
        self._told_full = False  # the protocol knows that it should not write
        self._eof = False  # the peer sent FIN
        self._ending = False  # the protocol, or a fault, wrote the last
        self._ended = False  # and that went out
        self._closing = False
        self._gone = False
        self.was_reset = False  # by a fault

    def _lane(
        self, direction: Direction, dues: Sequence[Due], out: Callable[[bytes], None], end: Callable[[], None]
    ) -> Lane:
        return Lane(
            self._loop, direction, dues, out=out, out_end=end, done=self._done, act=self._act, moved=self._moved
        )

    @property
    def keeps_back(self) -> bool:
        """Whether it is by a fault that nothing moves."""
        return bool(self._in.stalled or self._in.waiting or self._out.stalled or self._out.waiting)

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ready."""
        self._transport = cast("asyncio.Transport", transport)
        self._in.start()
        self._out.start()
        self._protocol.connection_made(self)
        early, self._early = self._early or (), None
        for done in early:
            self._on_done(done)
        # After this turn: the loop begins to read when connection_made returns.
        self._timers.append(self._loop.call_later(0, self._moved))
        for fault in self._timed:
            self._timers.append(self._loop.call_later(fault.after or 0.0, self._act_at_time, fault))

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._in.feed(data)
        self._moved()

    def eof_received(self) -> bool:
        """FIN came. It is given on behind what is on its way, and what follows from it is done then."""
        self._eof = True
        self._in.end()
        # A transport without half-close (TLS) closes now whatever is said.
        return not self._gone and self._transport.can_write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._gone = True
        for timer in self._timers:
            timer.cancel()
        self._in.flush()
        self._in.stop()
        self._out.stop()
        if error is None and self.was_reset:
            error = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        self._protocol.connection_lost(error)

    def pause_writing(self) -> None:
        """The transport has more than it should."""
        self._full = True
        self._tell_full()

    def resume_writing(self) -> None:
        """It has room."""
        self._full = False
        self._tell_full()

    # What the protocol calls.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes by way of the faults."""
        if self._ending or self._gone:
            self._out.lost += len(data)
        else:
            self._out.feed(bytes(data))
            self._tell_full()

    def write_eof(self) -> None:
        """FIN, after what is on its way."""
        if not self._ending:
            self._ending = True
            self._out.end()

    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    def close(self) -> None:
        """Close, after what is on its way."""
        if self._closing:
            return
        self._closing = True
        self._in.stop()
        if self._ended or self._out.stopped:
            self._transport.close()
            return
        self._read_or_not()
        if not self._ending:
            self._ending = True
            self._out.end()

    def give_up(self) -> None:
        """The run ends: what is on its way is lost, and ``close`` waits for nothing."""
        self._in.stop()
        self._out.stop()
        if self._closing and not self._gone:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._closing = self._ending = True
        self._in.stop()
        self._out.stop()
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        """Bytes that did not go out, those included that a fault keeps back; at the end, those too that it lost."""
        size = self._transport.get_write_buffer_size() + self._out.waiting
        return size + self._out.lost if self._gone else size

    def pause_reading(self) -> None:
        self._held = self._in.valve.shut = True
        self._read_or_not()

    def resume_reading(self) -> None:
        self._held = False
        self._in.valve.open()
        self._read_or_not()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    # What comes out of the lanes.

    def _deliver(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def _deliver_end(self) -> None:
        if not self._protocol.eof_received() and not self._gone:
            self.close()

    def _pass(self, data: bytes) -> None:
        self._transport.write(data)

    def _pass_end(self) -> None:
        self._ended = True
        if self._gone:
            return
        if self._closing or not self._transport.can_write_eof():
            self._transport.close()
        else:
            self._transport.write_eof()

    # What is full, and what is held.

    def _moved(self) -> None:
        if not self._gone and self._early is None:
            self._read_or_not()
            self._tell_full()

    def _read_or_not(self) -> None:
        lane = self._in
        full = lane.waiting > (LOW_BYTES if self._paused else HIGH_BYTES)
        pause = self._held or full or lane.stalled > 0 or self._closing
        if pause == self._paused or self._eof or self._transport.is_closing():
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _tell_full(self) -> None:
        full = self._full or self._out.waiting > (LOW_BYTES if self._told_full else HIGH_BYTES)
        if full == self._told_full or self._gone:
            return
        self._told_full = full
        if full:
            self._protocol.pause_writing()
        else:
            self._protocol.resume_writing()

    # What faults do to the connection as a whole.

    def _done(
        self, fault: Fault, offset: int, direction: Direction, *, size: int | None = None, over: bool = False
    ) -> None:
        done = Done(fault, offset, direction, size, over)
        if self._early is not None:
            self._early.append(done)
        elif not self._gone:
            self._on_done(done)

    def _act_at_time(self, fault: Fault) -> None:
        if not self._gone and not self._closing:
            self._on_done(Done(fault))
            self._act(fault, None)

    def _act(self, fault: Fault, direction: Direction | None) -> None:
        if self._gone or self._closing:
            return
        if direction == "out" and not self._ending and fault.kind != "reset":
            # Nothing goes out that comes after the byte at which it acts.
            self._ending = True
            self._out.stop()
            if fault.kind == "half-close":
                self._pass_end()
            else:
                self.close()
        elif fault.kind == "half-close":
            self.write_eof()
        elif fault.kind != "reset":
            self.close()
        elif fault.at is None:
            self._reset()
        else:
            self._closing = self._ending = True
            self._in.stop()
            self._out.stop()
            self._read_or_not()
            when_taken(self._loop, self._transport, self._reset)

    def _reset(self) -> None:
        if not self._gone:
            self.was_reset = True
            linger_not(self._transport)
            self.abort()
