"""Plays scripts to the clients of a server: a behaviour, all of it on the thread of the loop.

A connection's turn (``_advance``) goes on until nothing is left to do or something has to be waited for: more bytes, a
delay, or a client that does not take what was sent. What does not match ends the script of its connection, closes it,
and is kept for the report. A client's bytes are bounded everywhere: what cannot match any more is not kept.
"""

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from portside.events import CloseReason
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection
from portside.server.leg import Hold
from portside.testing.incoming import LONGEST_BYTES, Incoming
from portside.testing.script import Action, Expectation, Script, Scripts, as_bytes
from portside.wire.faults.model import FaultSpec
from portside.wire.framing import Cut

MOST_CONNECTIONS = 1000  # whose progress is kept
QUIET_S = 1.0  # after which bytes that no expression matches will not be matched by more
_HEAD_BYTES = 4096  # of what came unexpectedly, for the report
_BATCH_BYTES = 64 * 1024  # of replies, which are sent together
_WAITING_BYTES = 1 << 20  # that wait while a reply is delayed, before the client is held back


class Problem(NamedTuple):
    """Something that happened and was not to happen, with what was expected at that moment."""

    kind: Literal["bytes", "connection", "reply"]
    number: int  # of the connection
    peer: str
    at: int  # nanoseconds since 1970
    expected: tuple[Expectation[Any], ...] = ()
    got: bytes = b""  # the first bytes that matched nothing, or the message
    size: int = 0  # how many bytes waited
    offset: int = 0  # bytes of the client that had matched before
    error: str = ""  # what a reply's function raised


class Play:
    """How far the script of one connection has come."""

    def __init__(self, connection: Connection, script: Script) -> None:
        self.connection = connection
        self.number = connection.number
        self.peer = connection.peer
        self.script = script
        self.incoming = Incoming()
        self.came: dict[Expectation[Any], int] = {}
        self.problem: Problem | None = None
        self.actions: deque[tuple[Action, Any]] = deque()
        self.group = 0
        self.has_fin = False
        self.is_over = False  # nothing is expected or sent any more
        self.is_closing = False  # the script has closed the connection
        self.delay_s = 0.0  # of the step that is waited for
        self.timer: asyncio.Handle | None = None  # a delay, or a fault that is being put on
        self.quiet: asyncio.TimerHandle | None = None
        self.out: list[bytes] = []  # replies of this turn
        self.out_bytes = 0

    def pending(self) -> list[Expectation[Any]]:
        """The expectations that may be met next."""
        groups, came = self.script.groups, self.came
        while self.group < len(groups):
            expectations = groups[self.group].expectations
            if found := [each for each in expectations if came.get(each, 0) < each.times]:
                return found
            if self.group == len(groups) - 1:
                break  # a group may still grow
            self.group += 1
        return []

    def missing(self) -> list[Expectation[Any]]:
        """All that has not come, or not as often as it should."""
        return [
            each for group in self.script.groups for each in group.expectations if self.came.get(each, 0) < each.times
        ]


class Player(Behaviour):
    """Plays ``scripts``. ``put_fault`` puts a fault on a connection; ``changed`` is set after each step."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, scripts: Scripts, put_fault: Callable[[int, FaultSpec], object]
    ) -> None:
        self._loop = loop
        self._scripts = scripts
        self._put_fault = put_fault
        self.plays: dict[int, Play] = {}  # by the connection's number; also of those that are closed
        self._live: dict[Connection, Play] = {}
        self.problems: list[Problem] = []
        self.changed = asyncio.Event()

    @property
    def is_complete(self) -> bool:
        """Whether all has come that was expected, or something has come that was not."""
        if self.problems:
            return True
        for number, script in self._scripts.numbered.items():
            if number not in self.plays and not script.is_empty:
                return False
        every = self._scripts.every
        if every is not None and not every.is_empty and not any(play.script is every for play in self.plays.values()):
            return False
        return not any(play.missing() for play in self.plays.values())

    @property
    def is_open(self) -> bool:
        """Whether a client is connected from which something may still come."""
        return any(play.connection.is_open and not play.has_fin for play in self.plays.values())

    # Called by the server.

    def opened(self, connection: Connection) -> None:
        script = self._scripts.of(connection.number)
        if script is None:
            self._unexpected(Problem("connection", connection.number, connection.peer, time.time_ns()))
            connection.close("local_closed")
            return
        play = Play(connection, script)
        if len(self.plays) < MOST_CONNECTIONS:
            self.plays[connection.number] = play
        self._live[connection] = play
        play.actions.extend((action, b"") for action in script.greeting.actions)
        self._advance(play)

    def received(self, connection: Connection, data: bytes) -> None:
        play = self._live.get(connection)
        if play is None or play.is_over:
            return
        if play.is_closing:
            connection.reset()  # as the kernel answers data for a socket that is closed
            return
        play.incoming.feed(data, self._loop.time())
        self._stop_quiet(play)
        self._advance(play)
        if play.timer is not None and play.incoming.size > _WAITING_BYTES:
            connection.pause_reading(Hold.FLOW)

    def half_closed(self, connection: Connection) -> bool:
        play = self._live.get(connection)
        if play is None or play.is_over:
            return False
        play.has_fin = True
        play.incoming.finish()
        self._stop_quiet(play)
        self._advance(play)
        return not play.is_over

    def writable(self, connection: Connection) -> None:
        connection.resume_reading(Hold.FLOW)
        if play := self._live.get(connection):
            self._advance(play)

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        if play := self._live.pop(connection, None):
            play.is_over = True
            self._stop_quiet(play)
            if play.timer is not None:
                play.timer.cancel()
                play.timer = None
        self.changed.set()

    async def wait_complete(self, seconds: float, *, from_open: bool = False) -> None:
        """Wait until all has come, or something unexpected; with ``from_open`` only while a client is connected."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.is_complete and (self.is_open or not from_open):
                    self.changed.clear()
                    await self.changed.wait()

    # A connection's turn.

    def _advance(self, play: Play) -> None:
        while not play.is_over and play.timer is None:
            if play.connection.write_paused:
                play.connection.pause_reading(Hold.FLOW)
                break
            if play.actions:
                self._act(play, *play.actions.popleft())
            elif play.is_closing or not self._match(play):
                break
        self._flush(play)

    def _match(self, play: Play) -> bool:
        """Take the next message that is expected; False where there is none."""
        incoming = play.incoming
        pending = play.pending()
        if not incoming.size:
            if not play.has_fin:
                return False
            for each in pending:
                if each.pattern is None:
                    return self._hit(play, each, b"")
            self._end(play)
            return False
        may_match = needs_quiet = False
        for each in (*pending, *play.script.standing):
            got, waits = self._try(incoming, each)
            if got is not None:
                return self._hit(play, each, got)
            may_match = may_match or waits is not None
            needs_quiet = needs_quiet or waits == "quiet"
        if may_match and not play.has_fin and incoming.size <= LONGEST_BYTES + len(pending):
            self._wait_for_more(play, needs_quiet=needs_quiet)
        else:
            self._fail(play, "bytes", pending)
        return False

    def _try(self, incoming: Incoming, each: Expectation[Any]) -> tuple[Any, Literal["more", "quiet"] | None]:
        """The match, which is taken; or the reason why it has to wait, None where it never comes."""
        pattern = each.pattern
        if pattern is None:
            return None, None
        if each.frame is not None:
            message = incoming.message(each.frame, self._loop.time())
            if message is None:
                return None, "more"
            if isinstance(message, Cut):
                return None, None
            got = (message if message == pattern else None) if isinstance(pattern, bytes) else pattern.match(message)
            if got is not None:
                incoming.take_message()
            return got, None
        if isinstance(pattern, bytes):
            starts = incoming.starts_with(pattern)
            if not starts:
                return None, "more" if starts is None else None
            incoming.take(len(pattern))
            return pattern, None
        match = incoming.match(pattern)
        if match is None:
            return None, "quiet"
        incoming.take(match.end() - match.pos)
        return match, None

    def _hit(self, play: Play, each: Expectation[Any], got: Any) -> bool:
        play.came[each] = play.came.get(each, 0) + 1
        play.actions.extend([(action, got) for action in each.actions])
        self.changed.set()
        return True

    def _act(self, play: Play, action: Action, got: Any) -> None:
        if action.kind == "reply":
            data = self._render(play, action.value, got)
            play.out.append(data)
            play.out_bytes += len(data)
            if play.out_bytes > _BATCH_BYTES:
                self._flush(play)
            return
        self._flush(play)
        connection = play.connection
        match action.kind:
            case "delay":
                play.delay_s = action.value
                play.timer = self._loop.call_later(action.value, self._resume, play)
            case "fault":  # not within a call of the transport, which the fault takes over
                play.timer = self._loop.call_soon(self._add_fault, play, action.value)
            case "half_close":
                connection.write_eof()
            case "close":
                play.is_closing = True
                play.actions.clear()
                if play.incoming.size:
                    self._fail(play, "bytes", play.pending())
                else:
                    connection.write_eof()
            case "reset":
                self._end(play)
                connection.reset()

    def _render(self, play: Play, data: Any, got: Any) -> bytes:
        if not callable(data):
            return bytes(data)
        try:
            return as_bytes(data(got))
        except BaseException as error:  # noqa: BLE001 - a test's function: it must not end the thread
            lines = traceback.format_exception_only(error)
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{''.join(lines).strip()} (line {where.lineno} of {where.filename})"
            self._fail(play, "reply", [], text)
            return b""

    def _resume(self, play: Play) -> None:
        play.timer, play.delay_s = None, 0.0
        play.connection.resume_reading(Hold.FLOW)
        self._advance(play)

    def _add_fault(self, play: Play, fault: FaultSpec) -> None:
        try:
            self._put_fault(play.number, fault)
        except Exception as error:  # noqa: BLE001 - the report has it
            self._fail(play, "reply", [], str(error))
        self._resume(play)

    def _flush(self, play: Play) -> None:
        if play.out:
            data = b"".join(play.out)
            play.out.clear()
            play.out_bytes = 0
            play.connection.send(data)

    # Waiting for more, and the end.

    def _wait_for_more(self, play: Play, *, needs_quiet: bool) -> None:
        now = self._loop.time()
        at = play.incoming.deadline
        if at is None and needs_quiet:
            at = now + QUIET_S
        if at is not None and play.quiet is None:
            play.quiet = self._loop.call_at(at, self._on_quiet, play)

    def _on_quiet(self, play: Play) -> None:
        play.quiet = None
        if play.is_over or play.timer is not None:
            return
        if play.incoming.deadline is not None:
            play.incoming.expire(self._loop.time())
            self._advance(play)
        else:
            self._fail(play, "bytes", play.pending())

    def _stop_quiet(self, play: Play) -> None:
        if play.quiet is not None:
            play.quiet.cancel()
            play.quiet = None

    def _fail(
        self,
        play: Play,
        kind: Literal["bytes", "reply"],
        expected: list[Expectation[Any]],
        error: str = "",
    ) -> None:
        """Keep what came unexpectedly, and close the connection."""
        incoming = play.incoming
        size, offset = incoming.size, incoming.taken
        frame = next((each.frame for each in expected), None)
        message = incoming.message(frame, self._loop.time()) if frame is not None else None
        if message is not None:
            got, size = message[:_HEAD_BYTES], len(message)
        else:
            got = incoming.head(_HEAD_BYTES)
        play.problem = Problem(kind, play.number, play.peer, time.time_ns(), tuple(expected), got, size, offset, error)
        self._flush(play)
        play.is_over = True
        play.incoming = Incoming()
        self._unexpected(play.problem)
        play.connection.close("local_closed")

    def _unexpected(self, problem: Problem) -> None:
        if len(self.problems) < MOST_CONNECTIONS:
            self.problems.append(problem)
        self.changed.set()

    def _end(self, play: Play) -> None:
        """End the script of a client that has sent FIN: our side closes too, after what was sent."""
        self._flush(play)
        play.is_over = True
        self.changed.set()
        if not play.is_closing and play.has_fin:
            play.connection.close_gracefully()
