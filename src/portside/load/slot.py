"""One of the connections that are open at a time: a socket, and after its end the next one.

Only an OPEN slot sends (``slot_state`` has the table of its states). In a closed loop it does so when it has fewer
messages on their way than ``pipeline``; in an open loop a message is due at a moment of the schedule, and one that is
due while the slot cannot send waits in ``behind``, as a number: its latency counts from when it was due.
"""

import socket
from collections import deque
from select import EPOLLIN, EPOLLOUT
from typing import TYPE_CHECKING, Any

from portside.load.connector import Connector
from portside.load.error_kinds import error_kind
from portside.load.messages import MessageContext
from portside.load.replies import WrongReply
from portside.load.slot_state import SlotState

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.load.replies import ReplyReader
    from portside.load.slot_owner import SlotOwner

READ_BYTES = 256 * 1024
_BATCH_BYTES, _BATCH_MESSAGES = 256 * 1024, 16  # that are written at once, at most, of a pipeline; the rest follows
_SENDS_A_TURN = 64  # of messages that need no answer: other connections wait meanwhile


class Slot(Connector):
    """A place for one connection at a time. Its owner calls ``open``, ``begin``, ``on_due`` and ``abandon``."""

    __slots__ = (
        "_constant", "_due", "_has_answered", "_left", "_most_at_once", "_on_ready", "_peer", "_pipeline", "_reader",
        "_recv", "_send", "_unsent", "_writing_due_ns", "behind", "count", "failures", "is_greeted", "next_index",
    )  # fmt: skip

    def __init__(self, worker: "SlotOwner", index: int) -> None:
        super().__init__(worker, index)
        self.failures = 0  # in a row: to connect, or to get an answer
        self._has_answered = False
        self.is_greeted = False  # the server spoke before the first message
        self.count = 0  # messages of this connection
        self.behind = 0  # messages that are due and could not be sent yet
        self.next_index = 0  # of the schedule's messages for this slot
        self._constant = worker.work.messages.constant
        self._pipeline = worker.work.pipeline
        self._most_at_once = (
            max(1, _BATCH_BYTES // len(self._constant)) if self._constant is not None else _BATCH_MESSAGES
        )
        self._on_ready: Callable[[int], None] = self._on_event
        self._recv: Callable[[int], bytes]
        self._send: Callable[[Any], int]
        self._due: deque[int] = deque()  # of messages without an answer yet: when each was due
        self._unsent: memoryview | None = None
        self._writing_due_ns = 0
        self._left = 0
        self._reader: ReplyReader | None = None
        self._peer = MessageContext(0, 0, "", "")

    # Opening.

    def _secure(self, now_ns: int) -> None:
        self._recv, self._send = self.sock.recv, self.sock.send
        self._opened(now_ns)

    def _opened(self, now_ns: int, *, is_greeted: bool = False) -> None:
        worker, sock = self._worker, self.sock
        work = worker.work
        worker.connecting -= 1
        self.state = SlotState.OPEN
        self.count = 0
        self._has_answered = False
        self.is_greeted = is_greeted
        self._left = work.per_connection or (1 << 62)
        self._reader = work.reply.reader(self._constant) if work.reply.reader is not None else None
        if self._constant is None and work.target.family != socket.AF_UNIX:
            self._peer = MessageContext(self.number, 0, _text(sock.getpeername()), _text(sock.getsockname()))
        worker.watch(sock, self._on_ready, EPOLLIN)
        worker.opened(self.index, now_ns)
        if work.lifetime_ns is not None:
            generation = self._generation
            worker.timers.after(work.lifetime_ns, lambda: self._on_lifetime(generation))
        if worker.is_sending:
            self.begin(now_ns)

    def _on_lifetime(self, generation: int) -> None:
        if generation == self._generation and self.state in (SlotState.OPEN, SlotState.GREETING):
            self._left = 0
            if not self._due and self._unsent is None:
                self._half_close()

    # Sending.

    def begin(self, now_ns: int) -> None:
        """Send what may be sent; where the server speaks first, once it has."""
        if self._worker.server_speaks_first and not self.is_greeted:
            self._await_greeting()
        elif self._worker.is_open_loop:
            self._send_behind(now_ns)
        elif self._reader is None:
            self.write_on(now_ns)
        else:
            self._fill(now_ns)

    def _await_greeting(self) -> None:
        self.state = SlotState.GREETING
        self._limit_time()

    def _on_greeting(self) -> None:
        """Bytes came before the first message: no answer, whatever they are."""
        self.is_greeted = True
        if self.state is SlotState.GREETING:
            self.state = SlotState.OPEN
            self.begin(self._worker.clock_ns())

    def on_due(self, due_ns: int, now_ns: int) -> None:
        """A message of the schedule is due."""
        if (
            self.state is SlotState.OPEN
            and not self.behind
            and self._left
            and len(self._due) < self._pipeline
            and self._unsent is None
        ):
            self._worker.late(now_ns - due_ns)
            self.next_index += 1
            self._send_one(due_ns)
        else:
            self.behind += 1
            self._worker.behind += 1

    def _send_behind(self, now_ns: int) -> None:
        """Send messages that were due while this slot could not send."""
        worker = self._worker
        while self.behind and self._left and len(self._due) < self._pipeline and self._unsent is None:
            if self.state is not SlotState.OPEN:
                return
            due_ns = worker.due_of(self.index, self.next_index)
            self.behind -= 1
            worker.behind -= 1
            self.next_index += 1
            self._send_one(due_ns)

    def _fill(self, now_ns: int) -> None:
        """In a closed loop, where OPEN: send until ``pipeline`` messages are on their way, or the socket is full."""
        worker = self._worker
        if self._pipeline == 1:
            if not self._due and self._left and worker.may_send and self._unsent is None:
                worker.may_send -= 1
                worker.sent += 1
                worker.outstanding += 1
                self._left -= 1
                self._due.append(now_ns)
                self._write(self._constant or self._next_message())
            return
        while self._unsent is None and self.state is SlotState.OPEN:
            room = min(self._pipeline - len(self._due), self._left, worker.may_send, self._most_at_once)
            if room <= 0:
                return
            worker.may_send -= room
            worker.sent += room
            worker.outstanding += room
            self._left -= room
            if room == 1:
                self._due.append(now_ns)
                self._write(self._constant or self._next_message())
            else:
                self._due.extend([now_ns] * room)
                constant = self._constant
                self._write(constant * room if constant else b"".join([self._next_message() for _ in range(room)]))

    def write_on(self, now_ns: int) -> None:
        """In a closed loop without answers: write until the socket takes no more, or others should have their turn."""
        worker = self._worker
        for _ in range(_SENDS_A_TURN):
            if self._unsent is not None or not self._left or not worker.may_send or self.state is not SlotState.OPEN:
                return
            worker.may_send -= 1
            self._send_one(worker.clock_ns())
        if self.state is SlotState.OPEN and self._unsent is None:
            worker.soon(self.write_on)

    def _send_one(self, due_ns: int) -> None:
        worker = self._worker
        worker.sent += 1
        worker.outstanding += 1
        self._left -= 1
        message = self._constant or self._next_message()
        if self._reader is None:
            self._writing_due_ns = due_ns
        else:
            self._due.append(due_ns)
        self._write(message)
        if self._reader is None and self._unsent is None and self.state is SlotState.OPEN:
            self._written()

    def _next_message(self) -> bytes:
        worker = self._worker
        self.count += 1
        message = worker.work.messages.make(self._peer._replace(messages=self.count), worker.wall_ns(), worker.random)
        if self._reader is not None:
            self._reader.expect(message)
        return message

    def _written(self) -> None:
        """A message that needs no answer has been written."""
        worker = self._worker
        self._has_answered = True
        worker.answered(worker.clock_ns() - self._writing_due_ns)
        if not self._left:
            self._half_close()

    def _write(self, data: bytes) -> None:
        if self._unsent is not None:
            self._unsent = memoryview(bytes(self._unsent) + data)
        elif not self._push(data) and self.has_socket:
            self._worker.watch(self.sock, self._on_ready, EPOLLIN | EPOLLOUT)

    def _flush(self) -> None:
        """Write what the socket did not take before."""
        if self._unsent is None or not self._push(self._unsent):
            return
        self._unsent = None
        self._worker.watch(self.sock, self._on_ready, EPOLLIN)
        if self.state is not SlotState.OPEN:
            return
        if self._reader is None:
            self._written()
        if self._worker.is_sending and self.state is SlotState.OPEN:
            self.begin(self._worker.clock_ns())

    def _push(self, data: bytes | memoryview) -> bool:
        """Whether the socket took all of this; the rest is in ``_unsent``, unless the connection has ended."""
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._end(error_kind(error))
            return False
        self._worker.bytes_sent += sent
        if sent == len(data):
            return True
        self._unsent = memoryview(data)[sent:]
        return False

    # Receiving.

    def _on_event(self, events: int) -> None:
        if events & EPOLLOUT:
            self._flush()
            if not self.has_socket:
                return
        if events != EPOLLOUT:
            self._receive()

    def _receive(self) -> None:
        worker = self._worker
        try:
            data = self._recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error_kind(error))
            return
        worker.bytes_received += len(data)
        if not data:
            self._on_eof()
            return
        if self._reader is None or self.state is SlotState.CLOSING:
            return
        due = self._due
        if not due:
            if self._has_answered:
                self._end("unexpected_data")
            else:
                self._on_greeting()
            return
        try:
            answers = self._reader.feed(data)
        except WrongReply:
            self._end("wrong_reply")
            return
        now_ns = worker.clock_ns()
        if answers:
            self._has_answered = True
        if answers == 1:
            worker.answered(now_ns - due.popleft())
        elif answers > len(due):
            self._end("unexpected_data")
            return
        else:
            for _ in range(answers):
                worker.answered(now_ns - due.popleft())
        if not due and not self._left:
            self._half_close()
        elif answers and worker.is_sending:
            if worker.is_open_loop:
                if self.behind:
                    self._send_behind(now_ns)
            elif worker.work.think_ns:
                generation = self._generation
                worker.timers.after(worker.work.think_ns, lambda: self._on_thought(generation))
            else:
                self._fill(now_ns)

    def _on_thought(self, generation: int) -> None:
        if generation == self._generation and self.state is SlotState.OPEN and self._worker.is_sending:
            self._fill(self._worker.clock_ns())

    def _on_eof(self) -> None:
        if self.state is SlotState.CLOSING:
            self._end(None)
        elif self._due or self._unsent is not None or self._reader is None or self.state is SlotState.GREETING:
            self._end("closed")  # before it has answered
        else:
            self._end(None)

    # Ending.

    @property
    def unanswered(self) -> deque[int]:
        """When the messages were due that are on their way."""
        return self._due

    def abandon(self) -> None:
        """End for good, because the run is over."""
        self._close()
        self.state = SlotState.ENDED

    def _half_close(self) -> None:
        """Send FIN and wait for the server's, so that what was sent last is not lost in a reset."""
        self.state = SlotState.CLOSING
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._end(error_kind(error))
            return
        self._limit_time()

    def _end(self, kind: str | None) -> None:
        """The connection is over; ``kind`` is the error that ended it, counted once for each message that it lost."""
        if self.state is SlotState.CONNECTING:
            self._worker.connecting -= 1
            self._worker.may_be_self_connected = True
        was_open = self.state in (SlotState.OPEN, SlotState.GREETING, SlotState.CLOSING)
        lost = len(self._due) + (self._reader is None and self._unsent is not None)
        self._worker.outstanding -= lost
        self._close()
        self.state = SlotState.WAITING
        if kind is not None:
            self._worker.failed(kind, max(lost, 1))
        # A server that closes at once what it has accepted is not asked again without a pause either.
        self.failures = 0 if was_open and self._has_answered else self.failures + 1
        self._worker.ended(self.index, was_open=was_open)

    def _close(self) -> None:
        if not self.has_socket:
            return
        sock = self.sock
        if self.state in (SlotState.OPEN, SlotState.GREETING, SlotState.CLOSING):
            self._worker.note_kernel(sock)
        self._worker.forget(sock)
        sock.close()
        self.has_socket = False
        self._unsent = None
        self._due.clear()


def _text(sockaddr: object) -> str:
    if not isinstance(sockaddr, tuple):
        return "unix"
    host, port = sockaddr[0], sockaddr[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
