"""A recorded conversation, replayed on a connection.

One thread with one poll: a replay keeps receiving whatever else it waits for, so the other side can always send, and
no deadlock is possible. Arriving bytes are compared at once with answers that are read from the script independently of
the steps, so memory stays at one piece of each, however far the other side is ahead of the steps.

1. Our bytes are sent after as many bytes of the other side as came before them in the recording, and after its FIN
   where that came before them. Surplus bytes count, too: which ones are surplus cannot be known.
2. A replay waits as long as recorded bytes move, including those that our kernel still has to deliver. After the
   recorded time of the answer divided by the speed, and ``timeout`` without progress, the replay gives up waiting,
   continues, and does not wait for the missing bytes again. After the first difference, an answer that has begun
   counts as complete after QUIET_S: most differ in length only.
3. Our bytes are sent no earlier than recorded, counted from the beginning and divided by the speed. Where the other
   side was late, all that follows is later by as much; where we were late, we catch up.
4. If the recording attributes the end to neither side (see ``client.script``), the replay does not wait for an end, but
   for the silence before it, at most QUIET_S. Bytes after our own FIN are then not compared: no recording has them.
5. Before we send a reset, the replay waits until everything is acknowledged: a reset would discard the rest.
"""

import select
import socket
import time
from collections.abc import Callable

from portside import sockopts
from portside.client.replay_result import LateAnswer, ReplayResult
from portside.client.replay_timing import Expectation, ReplayClock
from portside.client.response_checker import ResponseChecker
from portside.client.script import ConnectionEnd, Ending, Expect, HalfClose, MissingData, Script, Send, Step
from portside.client.tcp_progress import StallTimer, acked_and_received, unacknowledged
from portside.errors import PortsideError

QUIET_S = 1.0
_POLL_S = 0.05  # between checks of acknowledgements, which the kernel does not announce


class _PeerGone(Exception):
    """Raised where the other side takes nothing more."""


class Player:
    """One conversation on a connected socket, which ``play`` closes.

    ``speed`` is a factor, None: without pauses; ``timeout`` is in seconds.
    """

    def __init__(self, sock: socket.socket, peer: str, script: Script, *, speed: float | None, timeout: float) -> None:
        self._sock = sock
        self._script = script
        self._timeout = timeout
        self._checker = ResponseChecker(sock, peer, script.answers)
        self._clock = ReplayClock(speed, script.began)
        self._expected = Expectation(script.began or 0)
        self._sent = 0
        self._late: LateAnswer | None = None
        self._stalled_s: float | None = None
        self._end: ConnectionEnd | None = None  # once that step is reached
        self._ended: Ending | None = None  # how the other side had ended when that step was done

    def play(self) -> ReplayResult:
        """Play the whole script: the result.

        Raises PortsideError where the network fails (a reset is no failure, but an end), and where the recording has
        lost bytes that are to be sent.
        """
        with self._sock:
            self._sock.setblocking(False)
            self._clock.start()
            before = self._script.began or 0  # recorded time of the step before, ns
            try:
                for step in self._script.steps:
                    if self._clock.begin_at(step.at):
                        self._expected.asked_at = step.at
                    self._do(step, before)
                    before = step.at
            except _PeerGone:
                self._checker.drain()
            return self._result()

    def _do(self, step: Step, before: int) -> None:
        match step:
            case Expect(at, size):
                self._expected.add(at, size)
            case HalfClose(at, ours=False):
                self._expected.add_eof(at)
            case Send(at, data):
                self._wait_for_expected()
                self._pause_until(at)
                self._send(at, data)
                self._expected.step_done(at, self._checker.arrived)
            case HalfClose(at):
                self._wait_for_expected()
                self._pause_until(at)
                self._half_close()
                self._expected.step_done(at, self._checker.arrived)
            case MissingData(_, size):
                raise PortsideError("the replay", f"{size} B that are to be sent now are missing in the recording")
            case ConnectionEnd():
                self._end = step
                self._wait_for_expected()
                self._finish(step, before)

    # The other side: rules 1 and 2.

    def _wait_for_expected(self) -> None:
        if self._is_expectation_met():
            return
        if not self._poll_until(self._is_expectation_met, self._patience_s):
            arrived = self._checker.arrived
            self._late = self._late or LateAnswer(arrived, self._expected.size, self._timeout)
            self._expected.give_up(arrived)
        self._clock.delay(self._expected.at)

    def _is_expectation_met(self) -> bool:
        return self._has_ended() or self._expected.is_met(self._checker.arrived)

    def _has_ended(self) -> bool:
        return self._checker.ended is not None

    def _patience_s(self) -> float:
        """Seconds without progress after which a wait is given up."""
        expected, patience = self._expected, self._timeout
        differs = self._late is not None or self._checker.comparison.difference is not None
        if differs and self._checker.arrived > expected.arrived_before:
            patience = min(QUIET_S, patience)
        return patience + self._clock.duration(expected.asked_at, expected.at)

    def _poll_until(
        self, done: Callable[[], bool], patience_s: Callable[[], float], events: int = select.POLLIN
    ) -> bool:
        """Receive until ``done``; False where nothing moved for too long."""
        stalled = StallTimer(self._moved, time.monotonic())
        while not done():
            left = patience_s() - stalled.seconds()
            if left <= 0:
                return False
            self._checker.poll(min(left, _POLL_S), events)
        return True

    def _moved(self) -> tuple[int, ...]:
        """Counts that go up while the other side does its part; sending on for ever is not part of it."""
        acknowledged = acked_and_received(self._sock)[:1]
        return (self._sent, min(self._checker.arrived, self._script.theirs), *acknowledged)

    # Our side: rules 3 to 5.

    def _pause_until(self, at: int) -> None:
        """Wait, receiving, until a step is due that was recorded at ``at``."""
        if self._clock.has_pauses:
            while (left := self._clock.seconds_until(at)) > 0:
                self._checker.poll(left)

    def _send(self, at: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                size = self._sock.send(view)
            except BlockingIOError:
                self._wait_for_room(at)
            except OSError as error:
                self._checker.failed(error)
                raise _PeerGone from None
            else:
                self._sent += size
                view = view[size:]

    def _wait_for_room(self, at: int) -> None:
        checker, patience_s = self._checker, self._timeout + self._clock.duration(self._expected.asked_at, at)
        checker.writable = False
        if not self._poll_until(lambda: checker.writable, lambda: patience_s, select.POLLIN | select.POLLOUT):
            self._stalled_s = self._timeout
            raise _PeerGone

    def _half_close(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the connection is gone: receiving will raise the reason

    def _finish(self, end: ConnectionEnd, before: int) -> None:
        """End the connection as recorded; ``before`` is the recorded time of the step before."""
        self._wait_for_end(end, before)
        self._ended = self._checker.ended  # before our own end makes the other side end, too
        if end.ours is not None:
            self._pause_until(end.at)
        if end.ours == "reset":
            self._poll_until(lambda: not unacknowledged(self._sock), lambda: self._timeout)
            sockopts.set_abortive_close(self._sock)
            return
        if end.theirs is None:
            self._checker.stop_comparing()
        self._half_close()
        # To close with unread data would be a reset, which might discard what we sent last.
        self._poll_until(self._has_ended, lambda: min(QUIET_S, self._timeout))

    def _wait_for_end(self, end: ConnectionEnd, before: int) -> None:
        """Wait until the other side ends, where that was recorded, and through the silence where not (rule 4)."""
        self._expected.at = end.at
        silence_s = min(QUIET_S, self._timeout, max(0, end.at - before) / 1e9)
        if end.theirs is not None:
            late = self._late is not None
            self._poll_until(self._has_ended, lambda: QUIET_S if late else self._patience_s())
        elif end.ours is None:
            self._poll_until(self._has_ended, lambda: silence_s)

    def _result(self) -> ReplayResult:
        checker = self._checker
        checker.stop_comparing()
        return ReplayResult(
            sent=self._sent,
            to_send=self._script.ours,
            received=checker.compared,
            expected=self._script.theirs,
            unknown=checker.comparison.unknown,
            difference=checker.comparison.difference,
            ended=self._ended if self._end is not None else checker.ended,
            ended_recorded=self._end.theirs if self._end is not None else None,
            late=self._late,
            stalled_s=self._stalled_s,
        )
