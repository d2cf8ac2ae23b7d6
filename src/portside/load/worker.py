"""One process of a load run: its slots, their schedule and its word on how it went.

A turn sends what is due, opens connections that may be opened, and takes what has come; all of it in one thread without
locks.

    stage        entered when                                                        next
    opening      the process is there                                                measuring, ended
    measuring    the control says so, once the slots of all workers have tried       draining
                 and a server that speaks first has had the time to
    draining     the time or the messages are over; or the control says so           ended
    ended        all that is due has been answered, or the timeout is over           none

``is_sending`` holds while messages are measured and drained: then those that are due already are still sent.
A server speaks first (SMTP, FTP) where most of the connections have got something before anything was sent.
"""

import gc
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from random import Random

from portside.load.histogram import Histogram
from portside.load.kernel_facts import KernelFacts
from portside.load.schedule import Pace
from portside.load.slot import Slot
from portside.load.slot_state import SlotState
from portside.load.timers import Timers
from portside.load.work import Work, WorkDone

_REPORT_NS = 100_000_000
_FLUSH_AT = 4096  # times in the list before they go into the histogram
_MOST_CONNECTING = 64  # at a time without --connect-rate: a listener's queue is not to be the limit
_RETRY_NS, _MOST_RETRY_NS = 50_000_000, 1_000_000_000
_SPIN_NS = 20_000  # less than this is not worth a sleep
_COARSE_NS = 2_000_000  # from here on milliseconds, which epoll takes, are exact enough
_LEAST_SILENCE_NS = 100_000_000  # of a server on connections that are open, which then does not speak first
_EVENTS = 256
_MOST_RESTS = 10_000
_MOST_WAIT_NS = 50_000_000


class LoadWorker:
    """Does its share of a run. ``report`` takes each WorkDone; ``control`` becomes readable: begin, and later: stop."""

    def __init__(self, work: Work, report: Callable[[WorkDone], None], control: int) -> None:
        self.work = work
        self.clock_ns = time.monotonic_ns
        self.wall_ns = time.time_ns
        self.random = Random(work.seed)  # noqa: S311 - no secret
        self.is_open_loop = work.rate is not None
        self._pace = Pace(0, work.rate or 1.0)
        self.is_sending = False
        self.server_speaks_first = False
        self.connecting = 0
        self.outstanding = 0  # messages without an answer
        self.behind = 0  # messages of the schedule that no slot could send yet
        self.sent = self.bytes_sent = self.bytes_received = 0
        self.may_send = work.most_messages if work.most_messages is not None else 1 << 62
        self.may_be_self_connected = work.target.family != socket.AF_UNIX
        self._report = report
        self._control = control
        self._epoll = select.epoll()
        self._epoll.register(control, select.EPOLLIN)
        self._handlers: dict[int, Callable[[int], None]] = {control: self._on_control}
        self._watched: dict[int, int] = {}
        self._slots = [_slot_type(work)(self, index) for index in range(work.connections)]
        self._to_open = deque(self._slots)
        self._connect_at_ns = 0
        self.timers = Timers(self.clock_ns, work.timeout_ns)
        self._soon: list[Callable[[int], None]] = []
        self._numbers = 0
        self._stage = "opening"
        self._open = self._opened = self._replies = 0
        self._tried: set[int] = set()
        self._tried_at_ns = 0  # when all had; 0: not yet
        self._fastest_connect_ns = 0
        self._errors: dict[str, int] = {}
        self._latencies: list[int] = []
        self._connects: list[int] = []
        self._lateness: list[int] = []
        self._histograms = {name: Histogram() for name in ("latency", "connect", "lateness")}
        self._kernel = KernelFacts()
        self._next_message = 0  # of the schedule
        self._unreached = 0  # messages of the schedule that were not looked at in time
        self._end_ns = 0
        self._drain_until_ns = 0
        self._began_ns = self._cpu_began_ns = 0
        self._cpu_total_ns = self._measured_until_ns = 0
        self._report_at_ns = 0
        self._is_measured_to_the_end = False  # a number of messages: until the last answer, not until the last is sent
        self._outstanding_seen = 0

    def run(self) -> None:
        """Work until the run is over."""
        gc.collect()
        gc.freeze()
        gc.disable()  # what is made here has no cycles, and a pass would make messages late
        _exact_timers()
        self._connect_at_ns = self.clock_ns()
        while self._stage != "ended":
            self._turn()

    def _turn(self) -> None:
        now = self.clock_ns()
        if self.is_sending:
            if self._stage == "draining":
                if self._is_measured_to_the_end and self.outstanding != self._outstanding_seen:
                    self._measured_until(now)
                if now >= self._drain_until_ns or not (self.outstanding or self.behind):
                    self._finish(now)
                    return
            elif now >= self._end_ns > 0 or not self.may_send:
                self._stop_sending(now, self._end_ns or now)
            elif self.is_open_loop:
                self._send_due(now)
        self.timers.run(now)
        if self._to_open:
            self._open_some(now)
        if self._soon:
            soon, self._soon = self._soon, []
            for call in soon:
                call(now)
        if now >= self._report_at_ns:
            self._say(now)
        handlers = self._handlers
        for fd, events in self._wait(now):
            handler = handlers.get(fd)
            if handler is not None:  # the slot may have closed in this turn
                handler(events)

    def _wait(self, now: int) -> list[tuple[int, int]]:
        until = min(now + _MOST_WAIT_NS, self._report_at_ns)
        if self._soon:
            until = now
        until = self.timers.next_ns(until)
        if self._to_open and self.work.connect_rate is not None:
            until = min(until, self._connect_at_ns)
        elif self._to_open and self.connecting < _MOST_CONNECTING:
            until = now  # idle connections make no event that would end a wait
        if self._stage == "measuring":
            if self.is_open_loop:
                until = min(until, self._pace.due_ns(self._next_message))
            if self._end_ns:
                until = min(until, self._end_ns)
        elif self._stage == "draining":
            until = min(until, self._drain_until_ns) if self.outstanding or self.behind else now
        left = until - self.clock_ns()
        if left <= _SPIN_NS:
            return self._epoll.poll(0, _EVENTS)
        if left < _COARSE_NS:
            # epoll waits whole milliseconds; select takes microseconds, and an epoll descriptor is one to wait for.
            select.select([self._epoll], [], [], left / 1e9)
            return self._epoll.poll(0, _EVENTS)
        return self._epoll.poll(left / 1e9 - 0.001, _EVENTS)

    # What slots ask for.

    def watch(self, sock: socket.socket, handler: Callable[[int], None], events: int) -> None:
        """Call ``handler`` with what epoll says of a socket."""
        fd = sock.fileno()
        if fd in self._watched:
            if self._watched[fd] != events:
                self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watched[fd] = events
        self._handlers[fd] = handler

    def unwatch(self, sock: socket.socket) -> None:
        """Have no more said of a socket."""
        fd = sock.fileno()
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)
            del self._handlers[fd]

    def forget(self, sock: socket.socket) -> None:
        """Forget a socket that is closed now, which takes it out of epoll, since no other process has it."""
        fd = sock.fileno()
        if self._watched.pop(fd, None) is not None:
            del self._handlers[fd]

    def soon(self, call: Callable[[int], None]) -> None:
        """Call in the next turn."""
        self._soon.append(call)

    def next_number(self) -> int:
        """The number of the next connection, unique over all workers."""
        self._numbers += 1
        return self.work.first_number + (self._numbers - 1) * self.work.step

    def opened(self, index: int, now_ns: int) -> None:
        """A slot has its connection."""
        self._open += 1
        self._opened += 1
        self._tried.add(index)
        self._connects.append(now_ns - self._slots[index].connect_due_ns)

    def ended(self, index: int, *, was_open: bool) -> None:
        """The connection of a slot is over, or could not be made: it waits for the next."""
        slot = self._slots[index]
        self._tried.add(index)
        self._open -= was_open
        if self._stage == "draining" and not slot.behind:
            return
        if slot.failures:
            wait_ns = min(_RETRY_NS << min(slot.failures - 1, 8), _MOST_RETRY_NS)
            self.timers.after(wait_ns, lambda: self._wants_to_open(slot))
        else:
            self._wants_to_open(slot)

    def _wants_to_open(self, slot: Slot) -> None:
        slot.connect_due_ns = self.clock_ns()
        self._to_open.append(slot)

    def answered(self, latency_ns: int) -> None:
        """A message was answered, so long after it was due."""
        self._replies += 1
        self.outstanding -= 1
        self._latencies.append(latency_ns)
        if len(self._latencies) >= _FLUSH_AT:
            self._take("latency", self._latencies)

    def late(self, late_ns: int) -> None:
        """A message was sent by the schedule, so long after it was due, for which this process is the reason."""
        self._lateness.append(late_ns)
        if len(self._lateness) >= _FLUSH_AT:
            self._take("lateness", self._lateness)

    def failed(self, kind: str, count: int) -> None:
        """Count errors."""
        self._errors[kind] = self._errors.get(kind, 0) + count

    def note_kernel(self, sock: socket.socket) -> None:
        """Keep what the kernel knows of a connection that is about to be closed."""
        if self.work.target.family != socket.AF_UNIX:
            self._kernel.note(sock)

    def due_of(self, index: int, message: int) -> int:
        """When a message of a slot was due, by its number there."""
        return self._pace.due_ns(index + message * len(self._slots))

    # The schedule.

    def _send_due(self, now: int) -> None:
        pace, slots = self._pace, self._slots
        for _ in range(_EVENTS):  # then what has come is taken
            due = pace.due_ns(self._next_message)
            if due > now or not self.may_send or due >= self._end_ns > 0:
                return
            slots[self._next_message % len(slots)].on_due(due, now)
            self._next_message += 1
            self.may_send -= 1
            now = self.clock_ns()

    def _send_rest(self, now: int, end: int) -> None:
        """Take what was due before the end and was not reached; of very much that, only how late it is."""
        rest = min(self._pace.due_before(end) - self._next_message, self.may_send)
        if rest > _MOST_RESTS:
            self._unreached = rest
            return
        for _ in range(max(rest, 0)):
            slot = self._slots[self._next_message % len(self._slots)]
            slot.on_due(self._pace.due_ns(self._next_message), now)
            self._next_message += 1

    def _open_some(self, now: int) -> None:
        rate = self.work.connect_rate
        if rate is None:
            while self._to_open and self.connecting < _MOST_CONNECTING:
                slot = self._to_open.popleft()
                slot.connect_due_ns = now
                slot.open()
                now = self.clock_ns()
                if self.connecting == 0 and len(self._to_open) % 16 == 0:
                    break  # others wait
            return
        while self._to_open and self._connect_at_ns <= now:
            slot = self._to_open.popleft()
            slot.connect_due_ns = max(self._connect_at_ns, slot.connect_due_ns)
            self._connect_at_ns = slot.connect_due_ns + int(1e9 / rate)
            slot.open()

    # The stages.

    def _on_control(self, _events: int) -> None:
        word = os.read(self._control, 1)
        now = self.clock_ns()
        if word == b"b" and self._stage == "opening":
            self._begin(now)
        elif self._stage == "measuring" and word:
            self._stop_sending(now, now)
        elif self._stage != "ended":  # nothing was sent yet, or whoever started this process is gone
            self._finish(now)

    def _begin(self, now: int) -> None:
        work = self.work
        self._stage = "measuring"
        self._began_ns, self._cpu_began_ns = now, time.process_time_ns()
        self._end_ns = now + work.duration_ns if work.duration_ns is not None else 0
        self._pace = self._pace._replace(start_ns=now + work.offset_ns)
        self.is_sending = True
        slots = [slot for slot in self._slots if slot.state is SlotState.OPEN]
        greeted = sum(slot.is_greeted for slot in slots)
        self.server_speaks_first = self.work.reply.reader is not None and greeted * 2 > len(slots)
        for slot in slots:
            slot.begin(now)

    def _stop_sending(self, now: int, end: int) -> None:
        if self.is_open_loop:
            self._send_rest(now, end)
        self._say(now)  # what was answered until now is the rate of the run
        self._stage = "draining"
        self._is_measured_to_the_end = self.work.duration_ns is None and not self.may_send
        self.may_send = 0
        self._measured_until(now)
        self._drain_until_ns = now + self.work.timeout_ns

    def _measured_until(self, now: int) -> None:
        self._outstanding_seen = self.outstanding
        self._measured_until_ns = now
        self._cpu_total_ns = time.process_time_ns() - self._cpu_began_ns

    def _finish(self, now: int) -> None:
        """Close everything; what has no answer yet counts with its age, so that no percentile hides it."""
        if self._is_measured_to_the_end:
            self._say(now)
        latency, step_ns = self._histograms["latency"], 1e9 / self._pace.per_s
        for slot in self._slots:
            if slot.unanswered:
                self.failed("unanswered", len(slot.unanswered))
                latency.record([now - due for due in slot.unanswered])
            if slot.behind:
                self.failed("not_sent", slot.behind)
                last = slot.next_index + slot.behind - 1
                latency.record_evenly(now - self.due_of(slot.index, last), step_ns * len(self._slots), slot.behind)
                self.behind -= slot.behind
                slot.behind = 0
            slot.abandon()
        if self._unreached:
            self.failed("not_sent", self._unreached)
            last = self._next_message + self._unreached - 1
            latency.record_evenly(now - self._pace.due_ns(last), step_ns, self._unreached)
        self._open = 0
        self._stage = "ended"
        self._say(now)

    def _take(self, name: str, times: list[int]) -> None:
        self._histograms[name].record(times)
        times.clear()

    def _is_ready(self, now: int) -> bool:
        """Whether all slots have tried to connect, and the server has had two round trips at least to speak first."""
        if len(self._tried) < len(self._slots):
            return False
        self._tried_at_ns = self._tried_at_ns or now
        silence_ns = 0 if self.work.reply.reader is None else max(_LEAST_SILENCE_NS, 2 * self._fastest_connect_ns)
        return now - self._tried_at_ns >= silence_ns

    def _say(self, now: int) -> None:
        self._report_at_ns = now + _REPORT_NS
        if self._stage == "opening" and self._connects:
            fastest = min(self._connects)
            self._fastest_connect_ns = min(self._fastest_connect_ns or fastest, fastest)
        for name, times in (("latency", self._latencies), ("connect", self._connects), ("lateness", self._lateness)):
            self._take(name, times)
        rtt, kernel = self._kernel.take()
        stage = "ready" if self._stage == "opening" and self._is_ready(now) else self._stage
        if self._is_measured_to_the_end and stage == "draining":
            stage = "measuring"
        cpu_ns = time.process_time_ns() - self._cpu_began_ns if self._stage == "measuring" else self._cpu_total_ns
        self._report(
            WorkDone(
                stage=stage, open=self._open, opened=self._opened, sent=self.sent, replies=self._replies,
                bytes_sent=self.bytes_sent, bytes_received=self.bytes_received, errors=self._errors,
                latency=_sparse(self._histograms["latency"]), connect=_sparse(self._histograms["connect"]),
                lateness=_sparse(self._histograms["lateness"]), rtt=_sparse(rtt), kernel=kernel,
                cpu_ns=cpu_ns, wall_ns=(self._measured_until_ns or now) - self._began_ns if self._began_ns else 0,
                began_ns=self._began_ns,
            )
        )  # fmt: skip
        self._errors = {}
        self._opened = self.sent = self._replies = self.bytes_sent = self.bytes_received = 0
        for histogram in self._histograms.values():
            histogram.counts[:] = 0


def _slot_type(work: Work) -> type[Slot]:
    if work.tls is None:
        return Slot
    from portside.load.tls_slot import TlsSlot  # loads ssl

    return TlsSlot


def _sparse(histogram: Histogram) -> tuple[bytes, bytes] | None:
    return histogram.sparse() if histogram.total else None


def _exact_timers() -> None:
    """Have the kernel wake this thread on time: the slack of timers is 50 us by default (proc(5), timerslack_ns)."""
    try:
        with open("/proc/self/timerslack_ns", "w", encoding="ascii") as file:
            file.write("1")
    except OSError:
        pass  # a message is late by so much more, which is measured
