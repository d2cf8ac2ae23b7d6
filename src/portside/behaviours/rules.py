"""``--rules`` and ``--reply``: a client's messages are answered as rules say.

A conversation is in order: while an answer waits (for its delay, or for a client that does not read), nothing more is
taken from that client. So what is kept of it is bounded by one read and what its last answer holds.
"""

import asyncio
import math
import time
from collections import deque
from random import Random

from portside.behaviours.alarms import Alarms
from portside.events import CloseReason
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection
from portside.server.leg import Hold
from portside.wire.frame import Frame
from portside.wire.rules.dialogue import Client, Dialogue, Play, Turn
from portside.wire.rules.hearing import Hearing

MESSAGES_PER_TURN = 64  # of one client, so that the others are served between them
_END = None  # in a queue: the client's FIN


class _Session:
    """What is kept of a client."""

    __slots__ = (
        "alarm",
        "connection",
        "dialogue",
        "finished",
        "half_closed",
        "hearing",
        "queue",
        "step",
        "turn",
        "waited",
        "wake_at",
    )

    def __init__(self, connection: Connection, dialogue: Dialogue, hearing: Hearing) -> None:
        self.connection = connection
        self.dialogue = dialogue
        self.hearing = hearing
        self.queue: deque[bytes | None] = deque()  # messages that no rule has seen yet
        self.turn: Turn | None = None  # what is being said,
        self.step = 0  # the answer of it that is next,
        self.waited = False  # and whether its delay is over
        self.wake_at = math.inf  # when it is
        self.finished = False  # we sent FIN
        self.half_closed = False  # the client did, and everything before that is answered
        self.alarm = math.inf


class Rules(Behaviour):
    """All clients, each somewhere in its own conversation."""

    def __init__(self, play: Play, frame: Frame, max_frame: int) -> None:
        self._frame = frame
        self._max_frame = max_frame
        self._random = Random()  # noqa: S311 - what it draws is shown to clients anyway
        self._loop = asyncio.get_running_loop()
        self._alarms: Alarms[_Session] = Alarms(self._loop, self._ring)
        self._sessions: dict[int, _Session] = {}
        self._play = play
        self._timed = self._is_timed(play)

    def replace(self, play: Play, frame: Frame) -> None:
        """Go on by other rules; clients keep their state where it is still there. ``frame`` is for new clients."""
        self._play = play
        self._frame = frame
        self._timed = self._timed or self._is_timed(play)
        now = self._loop.time()
        for session in self._sessions.values():
            session.dialogue.take_over(play, now)
            self._set_alarm(session)

    def _is_timed(self, play: Play) -> bool:
        return self._frame.kind == "idle" or any(stage.silences for stage in play.stages.values())

    # Called by the server.

    def opened(self, connection: Connection) -> None:
        now = self._loop.time()
        client = Client(connection.peer, connection.info.local, connection.number)
        dialogue = Dialogue(self._play, client, self._random, now)
        session = _Session(connection, dialogue, Hearing(self._frame, self._max_frame))
        self._sessions[connection.number] = session
        session.turn = dialogue.connected(now)
        self._work(session, now)

    def received(self, connection: Connection, data: bytes) -> None:
        session = self._sessions.get(connection.number)
        if session is None:
            return
        now = self._loop.time()
        session.dialogue.heard(now)
        messages = session.hearing.feed(data, now)
        if len(messages) == 1 and session.turn is None and not session.queue and not self._timed:
            self._answer_one(session, messages[0], now)
            return
        session.queue += messages
        if session.queue and session.turn is None:
            self._work(session, now)
        elif self._timed:
            self._set_alarm(session)

    def _answer_one(self, session: _Session, message: bytes, now: float) -> None:
        """What most reads bring: one message, and one answer to it at once."""
        turn = session.dialogue.message(message, now)
        if turn is None:
            return
        if not self._say_at_once(session, turn):
            session.turn = turn
            self._work(session, now)
        elif session.connection.write_paused:
            session.connection.pause_reading(Hold.FLOW)

    def half_closed(self, connection: Connection) -> bool:
        session = self._sessions.get(connection.number)
        if session is None:
            return False
        session.queue += session.hearing.finish()
        session.queue.append(_END)
        if session.turn is None:
            self._work(session, self._loop.time(), finish=False)
        return not session.half_closed and connection.number in self._sessions

    def writable(self, connection: Connection) -> None:
        session = self._sessions.get(connection.number)
        if session is not None and session.wake_at == math.inf:
            self._work(session, self._loop.time())

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        self._forget(connection)

    async def end(self) -> None:
        self._alarms.stop()

    # The conversation.

    def _work(self, session: _Session, now: float, *, finish: bool = True) -> None:
        """Go on until nothing is left to do, or something has to be waited for."""
        connection, queue, dialogue = session.connection, session.queue, session.dialogue
        left = MESSAGES_PER_TURN
        while True:
            if session.turn is not None and not self._say(session, session.turn, now):
                return
            if connection.write_paused and (queue or session.turn is not None):
                connection.pause_reading(Hold.FLOW)
                return
            if not queue:
                break
            if not left:
                connection.pause_reading(Hold.FLOW)
                self._loop.call_soon(self._go_on, session)
                return
            left -= 1
            message = queue.popleft()
            if message is _END:
                session.half_closed = True
                session.turn = dialogue.half_closed(now)
            else:
                turn = dialogue.message(message, now)
                if turn is not None and not self._say_at_once(session, turn):
                    session.turn = turn
        if session.half_closed:
            self._forget(connection)
            if finish:
                connection.write_eof()
            return
        if connection.write_paused:
            connection.pause_reading(Hold.FLOW)
        elif connection.read_paused:
            connection.resume_reading(Hold.FLOW)
        if self._timed:
            self._set_alarm(session)

    def _go_on(self, session: _Session) -> None:
        if session.wake_at == math.inf:
            self._work(session, self._loop.time())

    def _say_at_once(self, session: _Session, turn: Turn) -> bool:
        """Send the answer of a turn that has one at most and asks for nothing else; False where there is more to it."""
        if not turn.rule.is_simple or session.finished:
            return False
        for answer in turn.rule.answers:
            if data := turn.render(answer, time.time_ns()):
                session.connection.send(data)
        return True

    def _say(self, session: _Session, turn: Turn, now: float) -> bool:
        """Send the answers of a turn; False where one has to wait, or where the conversation is over."""
        connection = session.connection
        answers = turn.rule.answers
        while session.step < len(answers):
            answer = answers[session.step]
            if answer.delay and not session.waited:
                session.wake_at = now + answer.delay
                connection.pause_reading(Hold.FLOW)
                self._set_alarm(session)
                return False
            if connection.write_paused:
                connection.pause_reading(Hold.FLOW)
                return False
            data = turn.render(answer, time.time_ns())
            if data and not session.finished:
                connection.send(data)
            session.step += 1
            session.waited = False
        session.turn = None
        session.step = 0
        match turn.rule.end:
            case "close":
                self._forget(connection)
                connection.close("local_closed")
                return False
            case "reset":
                self._forget(connection)
                connection.reset()
                return False
            case "half-close" if not session.finished:
                session.finished = True
                connection.write_eof()
        return True

    # Time.

    def _set_alarm(self, session: _Session) -> None:
        at = session.wake_at
        if session.turn is None:  # while something is being said, nothing is heard, and silence is ours
            at = session.dialogue.due
            framed = session.hearing.due
            if framed is not None and framed < at:
                at = framed
        self._alarms.set(session, at)

    def _ring(self, session: _Session, now: float) -> None:
        if session.wake_at <= now:
            session.wake_at = math.inf
            session.waited = True
            self._work(session, now)
        elif session.turn is None and not session.queue:
            session.queue += session.hearing.expire(now)
            if not session.queue:
                session.turn = session.dialogue.silent(now)
            self._work(session, now)
        elif session.wake_at < math.inf:
            self._set_alarm(session)

    def _forget(self, connection: Connection) -> None:
        session = self._sessions.pop(connection.number, None)
        if session is not None:
            session.queue.clear()
            session.turn = None
            self._alarms.drop(session)
