"""A faulty link: whatever protocol, transport and faults do, in any order, its states change only as the table says."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from itertools import product
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.server.faults.link import FaultyLink
from portside.server.faults.link_state import TRANSITIONS, LinkState, StreamState, advance
from portside.server.leg import Hold, Leg
from portside.settings.faults import parse_fault
from portside.wire.faults.plan import AssignedFault, FaultPlan

if TYPE_CHECKING:
    from portside.server.faults.stage_context import FaultReport

SPECS = [
    *("drop at 3", "corrupt 1", "latency 1ms", "rate 1/s out", "slice 1..2", "stall in for 1s", "stall out at 2"),
    *("limit 4", "half-close", "half-close at 2", "close", "close at 3", "reset", "reset at 3 in", "reset at 2 out"),
]
FINAL = {LinkState.LOST, LinkState.LOST_BY_RESET, StreamState.DISCARDED}


@pytest.mark.parametrize("states", [LinkState, StreamState])
def test_every_state_is_reached_and_only_the_last_ones_are_not_left(states: Any) -> None:
    pairs = [pair for pair in TRANSITIONS if isinstance(pair[0], states)]
    assert {to for _, to in pairs} == set(states) - {next(iter(states))}
    assert set(states) - {state for state, _ in pairs} == FINAL & set(states)


@pytest.mark.parametrize("states", [LinkState, StreamState])
def test_a_transition_that_is_not_listed_raises(states: Any) -> None:
    for pair in product(states, states):
        if TRANSITIONS.get(pair):
            assert advance(*pair) is pair[1]
        else:
            with pytest.raises(RuntimeError, match="a faulty link cannot go from"):
                advance(*pair)


class Timer:
    """A callback that a loop was asked for."""

    def __init__(self, callback: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.run: Callable[[], None] | None = lambda: callback(*args)

    def cancel(self) -> None:
        self.run = None


class FakeLoop:
    """Runs the timers that it was asked for one at a time, when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> Timer:
        self.timers.append(Timer(callback, args))
        return self.timers[-1]

    def run_next(self) -> None:
        self.now += 0.5
        if self.timers and (run := self.timers.pop(0).run) is not None:
            run()


class FakeTransport:
    """The part of asyncio.Transport that a link uses."""

    def __init__(self, sock: socket.socket, *, half_closes: bool) -> None:
        self.sock = sock
        self.half_closes = half_closes
        self.sent = b""
        self.eof = self.closed = self.is_paused = False

    def write(self, data: bytes) -> None:
        assert not self.eof
        self.sent += data

    def write_eof(self) -> None:
        assert self.half_closes
        self.eof = True

    def can_write_eof(self) -> bool:
        return self.half_closes

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: object = None) -> object:
        return {"socket": self.sock, "fd": self.sock.fileno()}.get(name, default)


class FakeProtocol(asyncio.Protocol):
    """A protocol that keeps what it gets, and writes a greeting."""

    def __init__(self, greeting: bytes, *, stays: bool) -> None:
        self.greeting = greeting
        self.stays = stays
        self.got = b""
        self.ends = 0
        self.lost: list[Exception | None] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.greeting:
            cast("asyncio.Transport", transport).write(self.greeting)

    def data_received(self, data: bytes) -> None:
        assert not self.ends
        assert not self.lost
        self.got += data

    def eof_received(self) -> bool:
        self.ends += 1
        return self.stays

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.append(error)


class Harness:
    """A link between a transport and a protocol that a test plays."""

    def __init__(self, specs: list[str], greeting: bytes, sock: socket.socket, *, half_closes: bool) -> None:
        self.loop = FakeLoop()
        self.transport = FakeTransport(sock, half_closes=half_closes)
        self.protocol = FakeProtocol(greeting, stays=half_closes)
        self.reports: list[FaultReport] = []
        faults = FaultPlan([parse_fault(spec) for spec in specs], 1).next("::1")
        loop = cast("asyncio.AbstractEventLoop", self.loop)
        self.link = FaultyLink(loop, self.protocol, faults, self.reports.append)
        self.link.connection_made(cast("asyncio.Transport", self.transport))
        self.eof = False

    def step(self, name: str) -> None:
        """Do one thing that a transport, a protocol or the loop may do now."""
        link, open_ = self.link, not self.transport.closed
        match name:
            case "data" if open_ and not self.eof and not self.transport.is_paused:
                link.data_received(b"abc")
            case "eof" if open_ and not self.eof:
                self.eof = True
                if not link.eof_received():
                    self.transport.close()
            case "transport pauses":
                link.pause_writing()
            case "transport resumes":
                link.resume_writing()
            case "write":
                link.write(b"xyz")
            case "write_eof" | "close" | "abort" | "pause_reading" | "resume_reading" | "discard_delayed":
                getattr(link, name)()
            case "timer":
                self.loop.run_next()

    def lose(self) -> None:
        """Have the transport lose the connection."""
        self.transport.closed = True
        self.link.connection_lost(None)


@pytest.fixture(scope="module")
def sock() -> Iterator[socket.socket]:
    one, other = socket.socketpair()
    with one, other:
        yield one


STEPS = st.lists(
    st.sampled_from(
        [
            *("data", "data", "timer", "timer", "timer", "write", "eof", "transport pauses", "transport resumes"),
            *("write_eof", "close", "abort", "pause_reading", "resume_reading", "discard_delayed"),
        ]
    ),
    max_size=20,
)


@given(st.lists(st.sampled_from(SPECS), min_size=1, max_size=4), st.sampled_from([b"", b"hello"]), STEPS, st.booleans())
def test_no_order_of_steps_leads_to_an_illegal_transition(
    sock: socket.socket, specs: list[str], greeting: bytes, steps: list[str], half_closes: bool
) -> None:
    harness = Harness(specs, greeting, sock, half_closes=half_closes)
    link = harness.link
    for step in steps:
        harness.step(step)
        if link.is_closing() and not harness.transport.closed:
            assert link._in.state is StreamState.DISCARDED
    was_reset = link.was_reset
    harness.lose()
    assert (link._in.state, link._out.state) == (StreamState.DISCARDED, StreamState.DISCARDED)
    assert link.was_reset == was_reset
    assert [type(error) for error in harness.protocol.lost] == [ConnectionResetError if was_reset else type(None)]
    assert harness.protocol.ends <= 1
    reports = len(harness.reports)
    for _ in range(len(harness.loop.timers)):
        harness.loop.run_next()
    assert len(harness.reports) == reports


def test_a_reset_waits_for_what_was_sent_before_it(sock: socket.socket) -> None:
    harness = Harness(["reset at 2 out"], b"", sock, half_closes=True)
    harness.loop.run_next()
    harness.link.write(b"xyz")
    assert harness.transport.sent == b"xy"
    assert [report.offset for report in harness.reports] == [2]
    assert harness.link.was_reset  # nothing is unacknowledged here
    harness.lose()
    assert isinstance(harness.protocol.lost[0], ConnectionResetError)


def test_a_pause_pauses_the_transport_at_once(sock: socket.socket) -> None:
    harness = Harness(["latency 1h"], b"", sock, half_closes=True)
    harness.link.pause_reading()
    assert harness.transport.is_paused
    harness.link.resume_reading()
    assert not harness.transport.is_paused


class PatientLoop(FakeLoop):
    """A loop in which what is due in an hour does not come before everything else, but last of all."""

    def __init__(self) -> None:
        super().__init__()
        self.far: list[Timer] = []

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> Timer:
        if delay < 1000:
            return super().call_later(delay, callback, *args)
        self.far.append(Timer(callback, args))
        return self.far[-1]

    def run_all(self) -> None:
        """Run what is due, and then what would be in an hour."""
        self.timers += self.far
        for _ in range(len(self.timers)):
            self.run_next()


class FakeLeg(Leg, FakeProtocol):
    """A leg that keeps what it gets, and reads only while it has no hold."""

    def __init__(self) -> None:
        Leg.__init__(self)
        FakeProtocol.__init__(self, b"", stays=True)

    def data_received(self, data: bytes) -> None:
        assert not self.read_paused
        super().data_received(data)

    def eof_received(self) -> bool:
        self.half_closed = True
        return super().eof_received()


class LiveHarness:
    """A leg with a transport, between which a link is put in the midst of the connection, and faults come and go."""

    def __init__(self, sock: socket.socket, before: list[str]) -> None:
        self.loop = PatientLoop()
        self.transport = FakeTransport(sock, half_closes=True)
        self.leg = FakeLeg()
        self.leg.attach(cast("asyncio.Transport", self.transport))
        self.came = self.written = b""
        self.count = 0
        self.eof = False
        self.link: FaultyLink | None = None
        self.present: list[AssignedFault] = []
        for step in before:
            self.step(step)
        link = FaultyLink(cast("asyncio.AbstractEventLoop", self.loop), self.leg, (), lambda _report: None)

        def take_over(transport: asyncio.Transport) -> asyncio.Transport:
            link.take_over(transport, self.leg)
            return link

        self.leg.insert(take_over)
        self.link = link
        assert self.transport.protocol is link

    @property
    def protocol(self) -> asyncio.Protocol:
        return self.link or self.leg

    def step(self, step: str) -> None:
        """Do one thing that a peer, the leg's user, an operator or the loop may do now."""
        self.count += 1
        data, transport = b"%d " % self.count, self.leg._transport
        assert transport is not None
        match step:
            case "data" if not self.eof and not self.transport.is_paused:
                self.came += data
                self.protocol.data_received(data)
            case "eof" if not self.eof and not self.transport.is_paused:
                self.eof = True
                assert self.protocol.eof_received()
            case "write" if not self.leg.eof_sent:
                self.written += data
                transport.write(data)
            case "write_eof" if not self.leg.eof_sent:
                self.leg.eof_sent = True
                transport.write_eof()
            case "pause":
                self.leg.pause_reading(Hold.OPERATOR)
            case "resume":
                self.leg.resume_reading(Hold.OPERATOR)
            case "timer":
                self.loop.run_next()
            case "take out" if self.link is not None and self.present:
                self.link.remove(self.present.pop(self.count % len(self.present)))
            case spec if self.link is not None and spec in LIVE_SPECS:
                assigned = AssignedFault(parse_fault(spec), str(self.count))
                self.present.append(assigned)
                self.link.insert(assigned)


LIVE_SPECS = [
    *("latency 1h", "latency 1ms jitter 1ms", "rate 1/s", "slice 1..2 gap 1ms", "slice 1 out", "stall", "stall out"),
    *("stall both for 1ms", "stall at 3", "latency 1h at 4 in", "stall after 1ms out", "reset at 1k", "limit 1k"),
    *("close after 1h", "half-close after 1h"),
]
MOVES = ["data", "data", "write", "write", "timer", "timer", "pause", "resume", "eof", "write_eof"]


@given(
    st.lists(st.sampled_from(MOVES), max_size=6),
    st.lists(st.sampled_from([*MOVES, *LIVE_SPECS, "take out", "take out"]), max_size=40),
)
def test_faults_that_come_and_go_lose_nothing_and_keep_the_order(
    sock: socket.socket, before: list[str], steps: list[str]
) -> None:
    harness = LiveHarness(sock, before)
    leg, transport = harness.leg, harness.transport
    for step in steps:
        harness.step(step)
        assert harness.came.startswith(leg.got)
        assert harness.written.startswith(transport.sent)
        assert not leg.ends or leg.got == harness.came
        assert not transport.eof or transport.sent == harness.written
    for _ in range(len(harness.present)):
        harness.step("take out")
    harness.step("resume")
    assert (leg.got, leg.ends) == (harness.came, int(harness.eof))
    assert (transport.sent, transport.eof) == (harness.written, leg.eof_sent)
    assert not transport.closed
    assert harness.eof or not transport.is_paused
    for number in range(3):  # an empty link passes everything on at once
        harness.step("data")
        harness.step("write")
        assert (leg.got, transport.sent) == (harness.came, harness.written), number
    harness.loop.run_all()
    assert not transport.closed  # no fault that was taken out ends anything


def test_a_fault_counts_bytes_from_when_it_comes_and_tells_where_they_are(sock: socket.socket) -> None:
    reports: list[FaultReport] = []
    loop, leg = PatientLoop(), FakeLeg()
    transport = FakeTransport(sock, half_closes=True)
    leg.attach(cast("asyncio.Transport", transport))
    link = FaultyLink(cast("asyncio.AbstractEventLoop", loop), leg, (), reports.append, passed=(1000, 0))
    link.take_over(cast("asyncio.Transport", transport), leg)
    link.insert(AssignedFault(parse_fault("latency 1h in"), "1"))
    link.data_received(b"waits, and is behind the place of what comes later")
    link.insert(AssignedFault(parse_fault("limit 10"), "2"))
    link.data_received(b"0123456789")
    link.remove(next(each for each in [stage.assigned for stage in link._in._stages] if each is not None))
    assert leg.got == b"waits, and"
    assert transport.closed
    assert [(report.offset, report.direction) for report in reports] == [(1000, "in"), (1010, "in")]


def test_another_rate_takes_the_place_of_one_without_a_burst(sock: socket.socket) -> None:
    loop, leg = PatientLoop(), FakeLeg()
    transport = FakeTransport(sock, half_closes=True)
    leg.attach(cast("asyncio.Transport", transport))
    link = FaultyLink(cast("asyncio.AbstractEventLoop", loop), leg, (), lambda _report: None)
    link.take_over(cast("asyncio.Transport", transport), leg)
    slow, slower = (AssignedFault(parse_fault(f"rate {rate}"), rate) for rate in ("1k/s", "100/s"))
    link.insert(slow)
    link.write(b"x" * 5000)
    first = len(transport.sent)
    assert 0 < first <= 1024 // 10
    link.set_rate(slow, slower)
    assert len(transport.sent) <= first + 2 * 100 // 10
    assert link.status(slower).held == 5000 - len(transport.sent)
    link.remove(slower)
    assert transport.sent == b"x" * 5000
