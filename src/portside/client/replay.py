"""A recorded conversation played again on a connection.

One thread, one poll: whatever it waits for, it goes on receiving, so the other side can always send and a deadlock
has no place. What arrives is compared at once with answers that are read from the script on their own, so memory
stays at one piece of each, however far the other side is ahead of the steps.

1. Our bytes are sent after as many bytes of the other side as came before them in the recording, and after its FIN
   where that came before them. What it sends in excess counts, because nobody can say which bytes are the excess.
2. That is waited for while anything moves that was recorded, what our kernel still has to bring there included. After
   ``timeout`` of quiet, and the recorded time of the answer divided by the speed, the wait is given up: the play goes
   on, and what is owed is not waited for again. Once something has differed, an answer that has begun is taken to be
   at its end after QUIET_S: most differ in length only.
3. Our bytes are sent no earlier than recorded, counted from the beginning and divided by the speed. Where the other
   side was late, all that follows is later by as much; where we were, we catch up.
4. An ending that was recorded of nobody (see ``client.script``) is not waited for, but the silence before it is, for
   QUIET_S at most; what comes after our own FIN is then not compared, for no recording could hold it.
5. Before a reset of ours the other side has acknowledged everything: the reset would take it away.
"""

import select
import socket
import time
from collections.abc import Callable

from portside.client.replay_result import LateAnswer, ReplayResult
from portside.client.response_checker import ResponseChecker
from portside.client.script import ConnectionEnd, Ending, Expect, HalfClose, MissingData, Script, Send, Step
from portside.client.tcp_progress import StallTimer, acked_and_received, unacknowledged
from portside.errors import PortsideError
from portside.sockopts import set_abortive_close

QUIET_S = 1.0
_LOOK_S = 0.05  # between looks at what the kernel announces to nobody: acknowledgements


class _Over(Exception):
    """The other side takes nothing more."""


class Player:
    """One conversation on a connected socket, which it closes.

    ``speed`` is a factor, None: without pauses; ``timeout`` is in seconds.
    """

    def __init__(self, sock: socket.socket, peer: str, script: Script, *, speed: float | None, timeout: float) -> None:
        self._sock = sock
        self._script = script
        self._speed = speed
        self._timeout = timeout
        self._other = ResponseChecker(sock, peer, script.answers)
        self._sent = 0
        self._end: ConnectionEnd | None = None  # once that is reached
        self._late: LateAnswer | None = None
        self._ended: Ending | None = None  # how the other side did, as far as that was judged
        self._stalled = False
        # Rule 1: what must have come before we go on.
        self._due = 0
        self._due_end = False
        self._due_at = 0  # recorded, ns
        # Rule 2.
        self._forgiven = 0
        self._own_at = script.began or 0  # recorded time of our last step, ns
        self._arrived_before = 0  # when that was done
        # Rule 3: recorded, ns, and by time.monotonic().
        self._began_at = script.began
        self._began = 0.0
        self._last_at = self._own_at  # of the last step of anybody

    def play(self) -> ReplayResult:
        """Play all of it; what came of it.

        Raises PortsideError where the network fails (a reset is no failure, but an ending), and where the recording
        does not hold what is to be sent.
        """
        with self._sock:
            self._sock.setblocking(False)
            self._began = time.monotonic()
            try:
                for step in self._script.steps:
                    if self._began_at is None:
                        self._began_at = self._own_at = step.at
                    self._do(step)
                    self._last_at = step.at
            except _Over:
                self._other.take_what_is_there()
            return self._result()

    def _do(self, step: Step) -> None:
        match step:
            case Expect(at, size):
                self._due += size
                self._due_at = at
            case HalfClose(at, ours=False):
                self._due_end = True
                self._due_at = at
            case Send(at, data):
                self._wait_for_theirs()
                self._pause(at)
                self._send(at, data)
                self._did(at)
            case HalfClose(at):
                self._wait_for_theirs()
                self._pause(at)
                self._finish()
                self._did(at)
            case MissingData(_, size):
                raise PortsideError("the replay", f"{size} B that are to be sent now are missing in the recording")
            case ConnectionEnd():
                self._end = step
                self._wait_for_theirs()
                self._end_as(step)

    def _did(self, at: int) -> None:
        """A step of ours is done."""
        self._own_at = at
        self._arrived_before = self._other.arrived

    # The other side: rules 1 and 2.

    def _wait_for_theirs(self) -> None:
        """Until all has arrived that is due."""
        if self._has_theirs():
            return
        if not self._until(self._has_theirs, self._patience):
            arrived = self._other.arrived
            self._late = self._late or LateAnswer(arrived, self._due, self._timeout)
            self._forgiven = max(0, self._due - arrived)
            self._due_end = False
        self._began += max(0.0, time.monotonic() - self._moment(self._due_at))

    def _has_theirs(self) -> bool:
        return self._has_ended() or (not self._due_end and self._other.arrived + self._forgiven >= self._due)

    def _has_ended(self) -> bool:
        return self._other.ended is not None

    def _patience(self) -> float:
        """How much quiet is too much, in seconds."""
        patience = self._timeout
        differs = self._late is not None or self._other.comparison.difference is not None
        if differs and self._other.arrived > self._arrived_before:
            patience = min(QUIET_S, patience)
        return patience + self._recorded(self._due_at)

    def _recorded(self, at: int) -> float:
        """The recorded time from our last step to ``at`` (ns) at our speed, in seconds."""
        return max(0, at - self._own_at) / 1e9 / self._speed if self._speed is not None else 0.0

    def _until(self, done: Callable[[], bool], patience: Callable[[], float], events: int = select.POLLIN) -> bool:
        """Take turns until something is done; False where nothing moved for too long."""
        quiet = StallTimer(self._moved, time.monotonic())
        while not done():
            left = patience() - quiet.seconds()
            if left <= 0:
                return False
            self._other.turn(min(left, _LOOK_S), events)
        return True

    def _moved(self) -> tuple[int, ...]:
        """Counts that go up while the other side does its part; it does not by talking on for ever."""
        acknowledged = acked_and_received(self._sock)[:1]
        return (self._sent, min(self._other.arrived, self._script.theirs), *acknowledged)

    # Our side: rules 3 to 5.

    def _moment(self, at: int) -> float:
        """When something is due that was recorded at a time (ns), by ``time.monotonic()``."""
        if self._speed is None or self._began_at is None:
            return time.monotonic()
        return self._began + (at - self._began_at) / 1e9 / self._speed

    def _pause(self, at: int) -> None:
        """Until a recorded time."""
        if self._speed is not None:
            while (left := self._moment(at) - time.monotonic()) > 0:
                self._other.turn(left)

    def _send(self, at: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                size = self._sock.send(view)
            except BlockingIOError:
                self._wait_for_room(at)
            except OSError as error:
                self._other.failed(error)
                raise _Over from None
            else:
                self._sent += size
                view = view[size:]

    def _wait_for_room(self, at: int) -> None:
        other, patience = self._other, self._timeout + self._recorded(at)
        other.writable = False
        if not self._until(lambda: other.writable, lambda: patience, select.POLLIN | select.POLLOUT):
            self._stalled = True
            raise _Over

    def _finish(self) -> None:
        """Half-close."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the connection is gone: receiving says why

    def _end_as(self, end: ConnectionEnd) -> None:
        self._wait_for_end(end)
        self._ended = self._other.ended  # before our own end makes it end, too
        if end.ours is not None:
            self._pause(end.at)
        if end.ours == "reset":
            self._until(lambda: not unacknowledged(self._sock), lambda: self._timeout)
            set_abortive_close(self._sock)
            return
        if end.theirs is None:
            self._other.stop_judging()
        self._finish()
        # To close with something unread would be a reset, which might take away what we sent last.
        self._until(self._has_ended, lambda: min(QUIET_S, self._timeout))

    def _wait_for_end(self, end: ConnectionEnd) -> None:
        """Until the other side ends, where that was recorded, and through the silence where it was not (rule 4)."""
        self._due_at = end.at
        silence = min(QUIET_S, self._timeout, max(0, end.at - self._last_at) / 1e9)
        if end.theirs is not None:
            late = self._late is not None
            self._until(self._has_ended, lambda: QUIET_S if late else self._patience())
        elif end.ours is None:
            self._until(self._has_ended, lambda: silence)

    def _result(self) -> ReplayResult:
        other = self._other
        other.stop_judging()
        return ReplayResult(
            sent=self._sent,
            to_send=self._script.ours,
            received=other.judged,
            expected=self._script.theirs,
            unknown=other.comparison.unknown,
            difference=other.comparison.difference,
            ended=self._ended if self._end is not None else other.ended,
            ended_recorded=self._end.theirs if self._end is not None else None,
            late=self._late,
            stalled_s=self._timeout if self._stalled else None,
        )
