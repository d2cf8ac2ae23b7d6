"""``--rules`` and ``--reply``: answers to the messages of a client, chosen by rules.

Answers keep their order: while one waits, for its delay or for a client that does not read, the server reads nothing
more from that client. So the memory of a conversation is bounded by one read and the answers of one rule.
"""

import asyncio
import logging
import math
import time
from collections import deque
from random import Random

from portside.behaviours.deadline_heap import DeadlineHeap
from portside.events import CloseReason, RuleApplied
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection, Publish
from portside.server.leg import Hold
from portside.wire.frame import Frame
from portside.wire.rules.message_reader import MessageReader
from portside.wire.rules.session import Action, Client, CompiledRules, Session

MESSAGES_PER_TURN = 64  # of one client, so that the others are served in between
_EOF = None  # in a queue: the client's FIN

_log = logging.getLogger("portside.behaviours.rules")


class _Conversation:
    """One client: its session with the rules, its queued messages, and the action whose answers are being sent."""

    __slots__ = (
        "action",
        "connection",
        "delay_is_over",
        "delayed_until",
        "entry_at",
        "eof_answered",
        "eof_sent",
        "next_answer",
        "queue",
        "reader",
        "session",
    )

    def __init__(self, connection: Connection, session: Session, reader: MessageReader) -> None:
        self.connection = connection
        self.session = session
        self.reader = reader
        self.queue: deque[bytes | None] = deque()  # messages that no rule has seen yet
        self.action: Action | None = None  # whose answers are being sent
        self.next_answer = 0  # index of the answer of the action that is next
        self.delay_is_over = False  # of the next answer
        self.delayed_until = math.inf  # the end of that delay; infinite where there is none
        self.eof_sent = False
        self.eof_answered = False  # the client has sent FIN, and everything before it is answered
        self.entry_at = math.inf  # see DeadlineHeap


class Rules(Behaviour):
    """Answers all clients by one set of rules, each client in a conversation of its own.

    ``publish`` takes an event for each rule that applies, and for each message without one.
    """

    def __init__(self, rules: CompiledRules, frame: Frame, max_frame: int, publish: Publish | None = None) -> None:
        self._publish = publish
        self._frame = frame
        self._max_frame = max_frame
        self._random = Random()  # noqa: S311 - its numbers are shown to clients
        self._loop = asyncio.get_running_loop()
        self._deadlines: DeadlineHeap[_Conversation] = DeadlineHeap(self._loop, self._on_deadline)
        self._conversations: dict[int, _Conversation] = {}
        self._rules = rules
        self._has_deadlines = self._needs_deadlines(rules)

    def swap_rules(self, rules: CompiledRules, frame: Frame) -> None:
        """Continue with other rules; clients keep a state that still exists. ``frame`` is for new clients."""
        self._rules = rules
        self._frame = frame
        self._has_deadlines = self._has_deadlines or self._needs_deadlines(rules)
        now = self._loop.time()
        for conversation in self._conversations.values():
            conversation.session.swap_rules(rules, now)
            self._set_deadline(conversation)
        _log.info("rules swapped: %d, for %d clients", len(rules.rule_set.rules), len(self._conversations))

    def _needs_deadlines(self, rules: CompiledRules) -> bool:
        return self._frame.kind == "idle" or any(state.silences for state in rules.states.values())

    # Called by the server.

    def opened(self, connection: Connection) -> None:
        now = self._loop.time()
        client = Client(connection.peer, connection.info.local, connection.number)
        session = Session(self._rules, client, self._random, now)
        conversation = _Conversation(connection, session, MessageReader(self._frame, self._max_frame))
        self._conversations[connection.number] = conversation
        conversation.action = session.on_connect(now)
        if conversation.action is not None:
            self._report(conversation, conversation.action)
        self._advance(conversation, now)

    def received(self, connection: Connection, data: bytes) -> None:
        conversation = self._conversations.get(connection.number)
        if conversation is None:
            return
        now = self._loop.time()
        conversation.session.on_received(now)
        messages = conversation.reader.feed(data, now)
        if len(messages) == 1 and conversation.action is None and not conversation.queue and not self._has_deadlines:
            self._answer_one(conversation, messages[0], now)
            return
        conversation.queue += messages
        if conversation.queue and conversation.action is None:
            self._advance(conversation, now)
        elif self._has_deadlines:
            self._set_deadline(conversation)

    def _answer_one(self, conversation: _Conversation, message: bytes, now: float) -> None:
        """Serve the usual read: one message, with an immediate answer."""
        action = conversation.session.on_message(message, now)
        if self._publish is not None:
            self._report(conversation, action)
        if action is None:
            return
        if not self._send_immediate(conversation, action):
            conversation.action = action
            self._advance(conversation, now)
        elif conversation.connection.write_paused:
            conversation.connection.pause_reading(Hold.FLOW)

    def half_closed(self, connection: Connection) -> bool:
        conversation = self._conversations.get(connection.number)
        if conversation is None:
            return False
        conversation.queue += conversation.reader.finish()
        conversation.queue.append(_EOF)
        if conversation.action is None:
            self._advance(conversation, self._loop.time(), write_eof=False)
        return not conversation.eof_answered and connection.number in self._conversations

    def writable(self, connection: Connection) -> None:
        conversation = self._conversations.get(connection.number)
        if conversation is not None and conversation.delayed_until == math.inf:
            self._advance(conversation, self._loop.time())

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        self._forget(connection)

    async def end(self) -> None:
        self._deadlines.stop()

    # The conversation.

    def _advance(self, conversation: _Conversation, now: float, *, write_eof: bool = True) -> None:
        """Send answers and take messages until nothing is left to do, or until the next step has to wait."""
        connection, queue, session = conversation.connection, conversation.queue, conversation.session
        left = MESSAGES_PER_TURN
        while True:
            if conversation.action is not None and not self._send_answers(conversation, conversation.action, now):
                return
            if connection.write_paused and (queue or conversation.action is not None):
                connection.pause_reading(Hold.FLOW)
                return
            if not queue:
                break
            if not left:
                connection.pause_reading(Hold.FLOW)
                self._loop.call_soon(self._continue, conversation)
                return
            left -= 1
            message = queue.popleft()
            if message is _EOF:
                conversation.eof_answered = True
                conversation.action = session.on_half_close(now)
                if conversation.action is not None:
                    self._report(conversation, conversation.action)
            else:
                action = session.on_message(message, now)
                if self._publish is not None:
                    self._report(conversation, action)
                if action is not None and not self._send_immediate(conversation, action):
                    conversation.action = action
        if conversation.eof_answered:
            self._forget(connection)
            if write_eof:
                connection.write_eof()
            return
        if connection.write_paused:
            connection.pause_reading(Hold.FLOW)
        elif connection.read_paused:
            connection.resume_reading(Hold.FLOW)
        if self._has_deadlines:
            self._set_deadline(conversation)

    def _report(self, conversation: _Conversation, action: Action | None) -> None:
        """Publish which rule applies, None for no rule."""
        if self._publish is None:
            return
        connection = conversation.connection
        rule = action.rule if action is not None else None
        state = None
        if len(self._rules.states) > 1:
            state = action.context.state if action is not None else conversation.session.state
        self._publish(
            RuleApplied(
                time.time_ns(),
                conn=connection.number,
                peer=connection.peer,
                rule=rule.number if rule is not None else None,
                name=(rule.name or None) if rule is not None else None,
                state=state,
                goto=rule.goto if rule is not None else None,
            )
        )

    def _continue(self, conversation: _Conversation) -> None:
        if conversation.delayed_until == math.inf:
            self._advance(conversation, self._loop.time())

    def _send_immediate(self, conversation: _Conversation, action: Action) -> bool:
        """Send the answer of an action with at most one answer and no other effect; False for any other action."""
        if not action.rule.is_immediate or conversation.eof_sent:
            return False
        for answer in action.rule.answers:
            if data := action.render(answer, time.time_ns()):
                conversation.connection.send(data)
        return True

    def _send_answers(self, conversation: _Conversation, action: Action, now: float) -> bool:
        """Send the answers of an action; False where one of them has to wait, or the conversation is over."""
        connection = conversation.connection
        answers = action.rule.answers
        while conversation.next_answer < len(answers):
            answer = answers[conversation.next_answer]
            if answer.delay and not conversation.delay_is_over:
                conversation.delayed_until = now + answer.delay
                connection.pause_reading(Hold.FLOW)
                self._set_deadline(conversation)
                return False
            if connection.write_paused:
                connection.pause_reading(Hold.FLOW)
                return False
            data = action.render(answer, time.time_ns())
            if data and not conversation.eof_sent:
                connection.send(data)
            conversation.next_answer += 1
            conversation.delay_is_over = False
        conversation.action = None
        conversation.next_answer = 0
        match action.rule.end:
            case "close":
                self._forget(connection)
                connection.close("local_closed")
                return False
            case "reset":
                self._forget(connection)
                connection.reset()
                return False
            case "half-close" if not conversation.eof_sent:
                conversation.eof_sent = True
                connection.write_eof()
        return True

    # Time.

    def _set_deadline(self, conversation: _Conversation) -> None:
        at = conversation.delayed_until
        if conversation.action is None:  # while answers are being sent nothing is read, and the silence is ours
            at = conversation.session.deadline
            of_frame = conversation.reader.deadline
            if of_frame is not None and of_frame < at:
                at = of_frame
        self._deadlines.set(conversation, at)

    def _on_deadline(self, conversation: _Conversation, now: float) -> None:
        if conversation.delayed_until <= now:
            conversation.delayed_until = math.inf
            conversation.delay_is_over = True
            self._advance(conversation, now)
        elif conversation.action is None and not conversation.queue:
            conversation.queue += conversation.reader.expire(now)
            if not conversation.queue:
                conversation.action = conversation.session.on_silence(now)
                if conversation.action is not None:
                    self._report(conversation, conversation.action)
            self._advance(conversation, now)
        elif conversation.delayed_until < math.inf:
            self._set_deadline(conversation)

    def _forget(self, connection: Connection) -> None:
        conversation = self._conversations.pop(connection.number, None)
        if conversation is not None:
            conversation.queue.clear()
            conversation.action = None
            self._deadlines.drop(conversation)
