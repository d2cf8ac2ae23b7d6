"""A connection that misbehaves: a box between a transport and the protocol that uses it.

To the transport the link is the protocol, to the protocol it is the transport. Neither knows of faults, a connection
without one pays nothing, and the same link serves the client's leg and the other leg of ``--forward``:

    transport ── data_received ──► pipeline in ──► data_received ── protocol
    transport ◄────── write ── pipeline out ◄──── write ─────────── protocol

1. The protocol sees only what the faults let pass: for the server, bytes that a fault drops or delays have not arrived.
2. The bytes in transit are bounded. Above ``HIGH_BYTES`` inwards, the transport is not read; outwards, the protocol
   gets ``pause_writing``; both until no more than ``LOW_BYTES`` wait. While the inward direction is stalled, nothing is
   read at all, so that the kernel's buffer fills and the peer sees a zero window.
3. FIN and ``close`` follow the bytes in transit. RST and ``abort`` do not wait, except for ``reset at``, which waits
   until the bytes before its offset are acknowledged.
4. When the connection is lost, bytes that have arrived and are not stalled go to the protocol first.

``link_state`` has the states of the link and of its directions, and who causes each transition.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from portside.server.faults.link_state import LinkState, StreamState, advance
from portside.server.faults.pipeline import FaultPipeline
from portside.server.faults.stage_context import FaultPhase, FaultReport, FaultStatus, StageContext
from portside.server.faults.stages import trigger_offset
from portside.server.leg import Hold, Leg
from portside.wire.faults.model import Direction, Ending, FaultSpec, Reset, ShutdownWrite
from portside.wire.faults.plan import AssignedFault

HIGH_BYTES = 1 << 20
LOW_BYTES = 256 << 10
ACK_PATIENCE_S = 1.0  # how long ``reset at`` waits for the peer to acknowledge what was sent
_ACK_POLL_S = 0.002
_ACTIVE = (LinkState.CONNECTING, LinkState.OPEN)
_PHASES: Final[tuple[FaultPhase, ...]] = ("active", "pending", "over")  # which of two directions tells of a fault
_LOST = (LinkState.LOST, LinkState.LOST_BY_RESET)


def _ends_in_time(fault: FaultSpec) -> bool:
    """Whether a fault ends something when a time has passed, not a number of bytes."""
    return isinstance(fault.effect, Ending) and trigger_offset(fault) is None


class FaultyLink(asyncio.Transport, asyncio.Protocol):
    """A transport to the protocol, a protocol to the transport; ``on_report`` gets each action before it takes effect.

    The class has more than 20 methods because a transport and a protocol together have 20 already.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.Protocol,
        assigned: Sequence[AssignedFault],
        on_report: Callable[[FaultReport], None],
        *,
        passed: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._on_report = on_report
        self._transport: asyncio.Transport
        self._leg = Leg()  # to the transport
        self._state = LinkState.CONNECTING
        self._timers: list[tuple[AssignedFault, asyncio.TimerHandle]] = []
        self._timed = [each for each in assigned if _ends_in_time(each.fault)]
        self._in = FaultPipeline(self._make_context("in"), assigned, self._deliver, self._deliver_end, passed=passed[0])
        self._out = FaultPipeline(self._make_context("out"), assigned, self._pass, self._pass_end, passed=passed[1])
        self._early_reports: list[FaultReport] = []  # of faults that acted while the link was connecting
        self._protocol_paused = False  # pause_writing was called on the protocol

    def _make_context(self, direction: Direction) -> StageContext:
        return StageContext(
            self._loop, direction, on_report=self._report, on_trigger=self._act, on_change=self._update_flow
        )

    @property
    def was_reset(self) -> bool:
        """Whether a fault reset the connection."""
        return self._state in (LinkState.RESET, LinkState.LOST_BY_RESET)

    @property
    def is_blocking(self) -> bool:
        """Whether a fault is the reason that nothing moves."""
        return bool(self._in.is_stalled or self._in.waiting or self._out.is_stalled or self._out.waiting)

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ready."""
        self._transport = cast("asyncio.Transport", transport)
        self._leg.attach(self._transport)
        self._in.start()
        self._out.start()
        self._protocol.connection_made(self)
        if self._state is LinkState.CONNECTING:
            self._state = advance(self._state, LinkState.OPEN)
        for report in self._early_reports:
            self._on_report(report)
        self._early_reports.clear()
        self._update_flow()
        for each in self._timed:
            self._start_timer(each)

    def take_over(self, transport: asyncio.Transport, leg: Leg) -> None:
        """Stand between a leg, which is the protocol, and its transport from now on, in the midst of the connection."""
        self._transport = transport
        if leg.read_paused:
            self._in.pause()
            self._leg.pause_reading(Hold.FLOW)
        self._leg.half_closed = leg.half_closed
        self._leg.write_paused = self._protocol_paused = leg.write_paused
        self._leg.attach(transport)
        if leg.half_closed:
            self._in.take_over_ended()
        if leg.eof_sent:
            self._out.take_over_ended()
        self._state = advance(self._state, LinkState.OPEN)
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """The peer sent bytes."""
        self._in.feed(data)
        self._update_flow()

    def eof_received(self) -> bool:
        """The peer sent FIN; the protocol gets it behind what is on its way, and what follows from it is done then."""
        self._leg.half_closed = True
        self._in.end()
        # A transport without half-close (TLS) closes now whatever is returned.
        return self._state not in _LOST and self._transport.can_write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        self._state = advance(self._state, LinkState.LOST_BY_RESET if self.was_reset else LinkState.LOST)
        for _, timer in self._timers:
            timer.cancel()
        self._out.stop()
        self._in.flush()
        self._in.stop()
        if error is None and self.was_reset:
            error = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        self._protocol.connection_lost(error)

    def pause_writing(self) -> None:
        """The transport has buffered more than its high-water mark."""
        self._leg.write_paused = True
        self._update_writing()

    def resume_writing(self) -> None:
        """The transport takes bytes again."""
        self._leg.write_paused = False
        self._update_writing()

    # Called by the protocol.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes through the faults."""
        self._out.feed(bytes(data))
        self._update_writing()

    def write_eof(self) -> None:
        """Send FIN, after what is on its way."""
        self._out.end()

    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    def close(self) -> None:
        """Close, after what is on its way out."""
        if self._state in _LOST:
            self._in.stop()
        if self._state not in _ACTIVE:
            return
        self._state = advance(self._state, LinkState.CLOSING)
        self._in.stop()
        if self._out.state in (StreamState.EOF_PASSED, StreamState.DISCARDED):
            self._transport.close()
            return
        self._update_reading()
        self._out.end()

    def discard_delayed(self) -> None:
        """Discard what faults keep back, so that ``close`` waits for nothing: the run ends."""
        self._in.stop()
        self._out.stop()
        if self._state not in (*_ACTIVE, *_LOST):
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._state in _ACTIVE:
            self._state = advance(self._state, LinkState.CLOSING)
        self._in.stop()
        self._out.stop()
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._state not in _ACTIVE or self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        """Bytes that did not go out, with those that a fault keeps back; at the end, with those that were lost too."""
        size = self._transport.get_write_buffer_size() + self._out.waiting
        return size + self._out.lost if self._state in _LOST else size

    def pause_reading(self) -> None:
        self._in.pause()
        self._leg.pause_reading(Hold.FLOW)

    def resume_reading(self) -> None:
        self._in.resume()
        self._update_reading()
        if not self._in.paused:  # the protocol may have paused again meanwhile
            self._leg.resume_reading(Hold.FLOW)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another protocol called from now on; not from within a call of the present one."""
        self._protocol = cast("asyncio.Protocol", protocol)

    # Faults that come and go while the connection is open.

    def insert(self, assigned: AssignedFault) -> None:
        """Have a fault act from now on: its times and byte counts begin here."""
        if _ends_in_time(assigned.fault):
            self._timed.append(assigned)
            self._start_timer(assigned)
            return
        self._in.insert(assigned)
        self._out.insert(assigned)
        self._update_flow()

    def remove(self, assigned: AssignedFault) -> None:
        """Take a fault out; what it keeps back passes on first, in order."""
        for each, timer in self._timers:
            if each is assigned:
                timer.cancel()
        self._timers = [each for each in self._timers if each[0] is not assigned]
        self._timed = [each for each in self._timed if each is not assigned]
        self._in.remove(assigned)
        self._out.remove(assigned)
        self._update_flow()

    def set_rate(self, before: AssignedFault, after: AssignedFault) -> None:
        """Put another fault of the kind ``rate`` in the place of one, with no burst between them."""
        self._in.set_rate(before, after)
        self._out.set_rate(before, after)
        self._update_flow()

    def status(self, assigned: AssignedFault) -> FaultStatus:
        """How far a fault has come in either direction, with the bytes that it holds in both."""
        found = [each for each in (self._in.status(assigned), self._out.status(assigned)) if each is not None]
        if not found:
            is_pending = any(each is assigned for each, _ in self._timers)
            return FaultStatus("pending" if is_pending else "over")
        furthest = min(found, key=lambda each: _PHASES.index(each.phase))
        return FaultStatus(furthest.phase, sum(each.held for each in found))

    def _start_timer(self, assigned: AssignedFault) -> None:
        delay = assigned.fault.window.after or 0.0
        self._timers.append((assigned, self._loop.call_later(delay, self._act_in_time, assigned)))

    # Out of the pipelines.

    def _deliver(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def _deliver_end(self) -> None:
        if not self._protocol.eof_received() and self._state not in _LOST:
            self.close()

    def _pass(self, data: bytes) -> None:
        self._transport.write(data)

    def _pass_end(self) -> None:
        if self._state not in _ACTIVE or not self._transport.can_write_eof():
            self._transport.close()
        else:
            self._transport.write_eof()

    # Flow control.

    def _update_flow(self) -> None:
        if self._state is not LinkState.CONNECTING and self._state not in _LOST:
            self._update_reading()
            self._update_writing()

    def _update_reading(self) -> None:
        """Hold the transport while a fault stalls the direction in, too much is on its way, or nothing is to come."""
        leg, pipeline = self._leg, self._in
        if leg.half_closed or self._transport.is_closing():
            return
        too_much = pipeline.waiting > (LOW_BYTES if leg.read_paused else HIGH_BYTES)
        if too_much or pipeline.is_stalled or self._state not in _ACTIVE:
            leg.pause_reading(Hold.FAULT)
        elif leg.read_paused:
            leg.resume_reading(Hold.FAULT)

    def _update_writing(self) -> None:
        """Have the protocol pause while the transport is paused or too much is on its way, and resume after that."""
        too_much = self._out.waiting > (LOW_BYTES if self._protocol_paused else HIGH_BYTES)
        paused = self._leg.write_paused or too_much
        if paused == self._protocol_paused or self._state in _LOST:
            return
        self._protocol_paused = paused
        if paused:
            self._protocol.pause_writing()
        else:
            self._protocol.resume_writing()

    # Faults that end something.

    def _report(self, report: FaultReport) -> None:
        if self._state is LinkState.CONNECTING:
            self._early_reports.append(report)
        elif self._state not in _LOST:
            self._on_report(report)

    def _act_in_time(self, assigned: AssignedFault) -> None:
        self._timers = [each for each in self._timers if each[0] is not assigned]
        if self._state in _ACTIVE:
            self._on_report(FaultReport(assigned.fault))
            self._act(assigned.fault, None)

    def _act(self, fault: FaultSpec, direction: Direction | None) -> None:
        """End what a fault ends; ``direction`` is that of the byte which triggered it, None where time did."""
        if self._state not in _ACTIVE:
            return
        if isinstance(fault.effect, Reset):
            if direction is None:
                self._reset()
            else:
                self._reset_after_acked()
            return
        half_close = isinstance(fault.effect, ShutdownWrite)
        if direction == "out" and self._out.state is StreamState.OPEN:
            self._out.stop()  # nothing goes out that comes after the byte at which the fault acts
            if half_close:
                self._pass_end()
                return
        if half_close:
            self.write_eof()
        else:
            self.close()

    def _reset_after_acked(self) -> None:
        self._state = advance(self._state, LinkState.RESETTING)
        self._in.stop()
        self._out.stop()
        self._update_reading()
        self._await_acks(self._loop.time() + ACK_PATIENCE_S)

    def _await_acks(self, deadline: float) -> None:
        if self._state is not LinkState.RESETTING:
            return
        if self._loop.time() < deadline and self._leg.outstanding_bytes:
            self._loop.call_later(_ACK_POLL_S, self._await_acks, deadline)
        else:
            self._reset()

    def _reset(self) -> None:
        self._state = advance(self._state, LinkState.RESET)
        self._in.stop()
        self._out.stop()
        self._leg.abort_with_rst()
