"""``--rules`` and ``--reply``: a client's messages are answered as rules say.

A conversation is in order: while an answer waits (for its delay, or for a client that does not read), nothing more is
taken from that client. So what is kept of it is bounded by one read and what its last answer holds.
"""

import asyncio
import math
import time
from collections import deque
from random import Random

from portside.behaviours.deadline_heap import DeadlineHeap
from portside.events import CloseReason
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection
from portside.server.leg import Hold
from portside.wire.frame import Frame
from portside.wire.rules.message_reader import MessageReader
from portside.wire.rules.session import Action, Client, CompiledRules, Session

MESSAGES_PER_TURN = 64  # of one client, so that the others are served between them
_END = None  # in a queue: the client's FIN


class _RulesConnection:
    """What is kept of a client."""

    __slots__ = (
        "action",
        "connection",
        "deadline",
        "finished",
        "half_closed",
        "queue",
        "reader",
        "session",
        "step",
        "waited",
        "wake_at",
    )

    def __init__(self, connection: Connection, session: Session, reader: MessageReader) -> None:
        self.connection = connection
        self.session = session
        self.reader = reader
        self.queue: deque[bytes | None] = deque()  # messages that no rule has seen yet
        self.action: Action | None = None  # what is being said,
        self.step = 0  # the answer of it that is next,
        self.waited = False  # and whether its delay is over
        self.wake_at = math.inf  # when it is
        self.finished = False  # we sent FIN
        self.half_closed = False  # the client did, and everything before that is answered
        self.deadline = math.inf


class Rules(Behaviour):
    """All clients, each somewhere in its own conversation."""

    def __init__(self, rules: CompiledRules, frame: Frame, max_frame: int) -> None:
        self._frame = frame
        self._max_frame = max_frame
        self._random = Random()  # noqa: S311 - what it draws is shown to clients anyway
        self._loop = asyncio.get_running_loop()
        self._deadlines: DeadlineHeap[_RulesConnection] = DeadlineHeap(self._loop, self._on_deadline)
        self._clients: dict[int, _RulesConnection] = {}
        self._rules = rules
        self._timed = self._is_timed(rules)

    def replace(self, rules: CompiledRules, frame: Frame) -> None:
        """Go on by other rules; clients keep their state where it is still there. ``frame`` is for new clients."""
        self._rules = rules
        self._frame = frame
        self._timed = self._timed or self._is_timed(rules)
        now = self._loop.time()
        for client in self._clients.values():
            client.session.swap_rules(rules, now)
            self._schedule(client)

    def _is_timed(self, rules: CompiledRules) -> bool:
        return self._frame.kind == "idle" or any(state.silences for state in rules.states.values())

    # Called by the server.

    def opened(self, connection: Connection) -> None:
        now = self._loop.time()
        address = Client(connection.peer, connection.info.local, connection.number)
        session = Session(self._rules, address, self._random, now)
        client = _RulesConnection(connection, session, MessageReader(self._frame, self._max_frame))
        self._clients[connection.number] = client
        client.action = session.on_connect(now)
        self._work(client, now)

    def received(self, connection: Connection, data: bytes) -> None:
        client = self._clients.get(connection.number)
        if client is None:
            return
        now = self._loop.time()
        client.session.on_data(now)
        messages = client.reader.feed(data, now)
        if len(messages) == 1 and client.action is None and not client.queue and not self._timed:
            self._answer_one(client, messages[0], now)
            return
        client.queue += messages
        if client.queue and client.action is None:
            self._work(client, now)
        elif self._timed:
            self._schedule(client)

    def _answer_one(self, client: _RulesConnection, message: bytes, now: float) -> None:
        """What most reads bring: one message, and one answer to it at once."""
        action = client.session.on_message(message, now)
        if action is None:
            return
        if not self._say_at_once(client, action):
            client.action = action
            self._work(client, now)
        elif client.connection.write_paused:
            client.connection.pause_reading(Hold.FLOW)

    def half_closed(self, connection: Connection) -> bool:
        client = self._clients.get(connection.number)
        if client is None:
            return False
        client.queue += client.reader.finish()
        client.queue.append(_END)
        if client.action is None:
            self._work(client, self._loop.time(), finish=False)
        return not client.half_closed and connection.number in self._clients

    def writable(self, connection: Connection) -> None:
        client = self._clients.get(connection.number)
        if client is not None and client.wake_at == math.inf:
            self._work(client, self._loop.time())

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        self._forget(connection)

    async def end(self) -> None:
        self._deadlines.stop()

    # The conversation.

    def _work(self, client: _RulesConnection, now: float, *, finish: bool = True) -> None:
        """Go on until nothing is left to do, or something has to be waited for."""
        connection, queue, session = client.connection, client.queue, client.session
        left = MESSAGES_PER_TURN
        while True:
            if client.action is not None and not self._say(client, client.action, now):
                return
            if connection.write_paused and (queue or client.action is not None):
                connection.pause_reading(Hold.FLOW)
                return
            if not queue:
                break
            if not left:
                connection.pause_reading(Hold.FLOW)
                self._loop.call_soon(self._go_on, client)
                return
            left -= 1
            message = queue.popleft()
            if message is _END:
                client.half_closed = True
                client.action = session.on_half_close(now)
            else:
                action = session.on_message(message, now)
                if action is not None and not self._say_at_once(client, action):
                    client.action = action
        if client.half_closed:
            self._forget(connection)
            if finish:
                connection.write_eof()
            return
        if connection.write_paused:
            connection.pause_reading(Hold.FLOW)
        elif connection.read_paused:
            connection.resume_reading(Hold.FLOW)
        if self._timed:
            self._schedule(client)

    def _go_on(self, client: _RulesConnection) -> None:
        if client.wake_at == math.inf:
            self._work(client, self._loop.time())

    def _say_at_once(self, client: _RulesConnection, action: Action) -> bool:
        """Send the answer of an action with one answer at most and nothing else to do; False for any other."""
        if not action.rule.is_simple or client.finished:
            return False
        for answer in action.rule.answers:
            if data := action.render(answer, time.time_ns()):
                client.connection.send(data)
        return True

    def _say(self, client: _RulesConnection, action: Action, now: float) -> bool:
        """Send the answers of an action; False where one has to wait, or where the conversation is over."""
        connection = client.connection
        answers = action.rule.answers
        while client.step < len(answers):
            answer = answers[client.step]
            if answer.delay and not client.waited:
                client.wake_at = now + answer.delay
                connection.pause_reading(Hold.FLOW)
                self._schedule(client)
                return False
            if connection.write_paused:
                connection.pause_reading(Hold.FLOW)
                return False
            data = action.render(answer, time.time_ns())
            if data and not client.finished:
                connection.send(data)
            client.step += 1
            client.waited = False
        client.action = None
        client.step = 0
        match action.rule.end:
            case "close":
                self._forget(connection)
                connection.close("local_closed")
                return False
            case "reset":
                self._forget(connection)
                connection.reset()
                return False
            case "half-close" if not client.finished:
                client.finished = True
                connection.write_eof()
        return True

    # Time.

    def _schedule(self, client: _RulesConnection) -> None:
        at = client.wake_at
        if client.action is None:  # while something is being said, nothing is heard, and silence is ours
            at = client.session.silence_deadline
            framed = client.reader.deadline
            if framed is not None and framed < at:
                at = framed
        self._deadlines.set(client, at)

    def _on_deadline(self, client: _RulesConnection, now: float) -> None:
        if client.wake_at <= now:
            client.wake_at = math.inf
            client.waited = True
            self._work(client, now)
        elif client.action is None and not client.queue:
            client.queue += client.reader.expire(now)
            if not client.queue:
                client.action = client.session.on_silence(now)
            self._work(client, now)
        elif client.wake_at < math.inf:
            self._schedule(client)

    def _forget(self, connection: Connection) -> None:
        client = self._clients.pop(connection.number, None)
        if client is not None:
            client.queue.clear()
            client.action = None
            self._deadlines.drop(client)
