"""The acts of an operator on a server in this process, with real sockets as clients."""

import asyncio
import fcntl
import socket
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise

import pytest

from portside.behaviours.echo import Echo
from portside.errors import InvalidValue
from portside.events import Act, Closed, Event, Fault
from portside.server.admission import Admission
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection
from portside.server.leg import Hold
from portside.server.limits import LIMITS
from portside.server.listener import Listener
from portside.server.operator import MOST_FAULTS, ActRefused, Operator
from portside.server.pre_connect import PreConnect
from portside.server.server import Server
from portside.settings.ctl import LIMIT_NAMES

BY = "unix uid 0"
DEADLINE_S = 20


class Bench:
    """A server, its operator, and the events so far."""

    def __init__(self, behaviour: Behaviour | None = None, **options: float | None) -> None:
        self.events: list[Event] = []
        self.admission = Admission()
        self.server = Server(
            asyncio.get_running_loop(),
            lambda event, _size=0: self.events.append(event),
            admission=self.admission,
            pre_connect=PreConnect(),
            behaviour=behaviour,
            **options,  # type: ignore[arg-type]
        )
        self.operator = Operator(self.server, self.admission, seed=1)
        self._sock = socket.create_server(("127.0.0.1", 0))
        self._sock.setblocking(False)
        self.server.acceptor.start([Listener(self._sock, socket.AF_INET, "the test's")])

    async def client(self) -> tuple[Connection, asyncio.StreamReader, asyncio.StreamWriter]:
        """A client, with its connection."""
        number = self.server.acceptor.last_number + 1
        reader, writer = await asyncio.open_connection(*self._sock.getsockname())
        await self.until(lambda: number in self.server.connections)
        return self.server.connections[number], reader, writer

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the loop turn until something is so."""
        while not condition():  # noqa: ASYNC110 -- of states that nobody announces
            await asyncio.sleep(0.001)

    def acts(self) -> list[tuple[object, ...]]:
        """The acts so far, without the time and who asked."""
        found = [event for event in self.events if isinstance(event, Act)]
        assert all(act.by == BY for act in found)
        return [(act.act, act.conn, act.detail) for act in found]


@asynccontextmanager
async def serving(behaviour: Behaviour | None = None, **options: float | None) -> AsyncIterator[Bench]:
    bench = Bench(behaviour, **options)
    try:
        yield bench
    finally:
        await bench.server.shut_down(patience=1)
        bench.server.poller.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await test()

    asyncio.run(bounded())


def is_closed(connection: Connection) -> bool:
    return not connection.is_open


def unread(connection: Connection) -> int:
    """Bytes in the kernel that were not read."""
    return int.from_bytes(fcntl.ioctl(connection.fd, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_a_pause_is_one_of_several_holds_and_ends_by_itself_alone() -> None:
    async def test() -> None:
        async with serving(Echo()) as bench:
            connection, reader, writer = await bench.client()
            assert bench.operator.pause(1, BY)
            assert not bench.operator.pause(1, BY)
            bench.server.pause()
            bench.server.resume()
            assert connection.holds == Hold.OPERATOR
            writer.write(b"waits\n")
            await bench.until(lambda: unread(connection) == 6)
            assert connection.received == 0
            assert bench.operator.resume(1, BY)
            assert await reader.readline() == b"waits\n"
            assert not bench.operator.resume(1, BY)
            assert bench.acts() == [("pause", 1, None), ("resume", 1, None)]
            writer.close()

    run(test)


def test_no_deadline_closes_a_connection_because_it_is_paused() -> None:
    async def test() -> None:
        async with serving(Echo()) as bench:
            connection, reader, writer = await bench.client()
            writer.write(b"first\n")
            assert await reader.readline() == b"first\n"
            bench.operator.pause(1, BY)
            bench.operator.set_limits({"idle_timeout": 0.08, "half_close_timeout": 0.05}, BY)
            bench.operator.close(1, "half", BY)
            writer.write(b"unread\n")
            assert await reader.read() == b""
            for how in ("half", "idle", "half", "idle"):  # others, which are not paused, meet their deadlines meanwhile
                other, other_reader, other_writer = await bench.client()
                if how == "half":
                    bench.operator.close(other.number, "half", BY)
                    assert await other_reader.read() == b""
                await bench.until(partial(is_closed, other))
                other_writer.close()
            assert connection.is_open
            before = connection.received
            bench.operator.resume(1, BY)
            await bench.until(lambda: connection.received == before + len(b"unread\n"))
            await bench.until(lambda: not bench.server.connections)
            writer.close()

    run(test)


def test_a_client_that_waits_until_it_is_read_may_take_nothing_meanwhile() -> None:
    async def test() -> None:
        async with serving() as bench:
            connection, _reader, writer = await bench.client()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            while not connection.write_paused:
                connection.send(bytes(100_000))
            bench.operator.pause(1, BY)
            later = bench.server.now() + 1000
            for step in range(3):
                connection.check(later + 100 * step)
            assert not connection.is_closing
            bench.operator.resume(1, BY)
            connection.check(later + 1000)
            await bench.until(partial(is_closed, connection))
            assert [event.reason for event in bench.events if isinstance(event, Closed)] == ["write_timeout"]
            writer.close()

    run(test)


def test_a_connection_that_is_not_there_or_not_any_more() -> None:
    async def test() -> None:
        async with serving() as bench:
            connection, _reader, writer = await bench.client()
            acts: list[Callable[[int], object]] = [
                lambda number: bench.operator.pause(number, BY),
                lambda number: bench.operator.resume(number, BY),
                lambda number: bench.operator.send(number, b"x", BY),
                lambda number: bench.operator.close(number, "fin", BY),
                lambda number: bench.operator.close(number, "half", BY),
                lambda number: bench.operator.throttle(number, "1k/s", BY),
                lambda number: bench.operator.insert_fault(number, "drop", BY),
                lambda number: bench.operator.remove_fault(number, 1, BY),
            ]
            for act in acts:
                with pytest.raises(ActRefused, match="no connection has the number 2") as refused:
                    act(2)
                assert refused.value.code == "unknown_connection"
            bench.operator.close(1, "fin", BY)
            for act in acts:  # in the turn of the loop in which it is closed
                with pytest.raises(ActRefused) as refused:
                    act(1)
                assert refused.value.code == "connection_closing"
            await bench.until(lambda: not connection.is_open)
            for act in acts:
                with pytest.raises(ActRefused, match="connection 1 is closed") as refused:
                    act(1)
                assert refused.value.code == "connection_closed"
            assert bench.acts() == [("close", 1, "fin")]
            writer.close()

    run(test)


@pytest.mark.parametrize(("how", "reason"), [("fin", "local_closed"), ("reset", "local_reset")])
def test_a_close_says_who_it_was(how: str, reason: str) -> None:
    async def test() -> None:
        async with serving() as bench:
            connection, reader, writer = await bench.client()
            bench.operator.close(1, how, BY)  # type: ignore[arg-type]
            if how == "fin":
                assert await reader.read() == b""
            else:
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            await bench.until(lambda: not connection.is_open)
            (closed,) = [event for event in bench.events if isinstance(event, Closed)]
            assert (closed.reason, closed.by) == (reason, "operator")
            act, last = (bench.events.index(event) for event in (_act(bench), closed))
            assert act < last
            writer.close()

    run(test)


def _act(bench: Bench) -> Act:
    return next(event for event in bench.events if isinstance(event, Act))


def test_sending_ends_with_our_fin_and_is_refused_while_the_client_takes_nothing() -> None:
    async def test() -> None:
        async with serving() as bench:
            connection, reader, writer = await bench.client()
            bench.operator.send(1, b"by hand\n", BY)
            assert await reader.readline() == b"by hand\n"
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            while not connection.write_paused:
                bench.operator.send(1, bytes(100_000), BY)
            buffered, count = connection.buffered_bytes, len(bench.events)
            assert buffered < 200_000
            with pytest.raises(ActRefused, match="waiting that it does not take") as refused:
                bench.operator.send(1, b"x", BY)
            assert refused.value.code == "write_buffer_full"
            assert await bench.operator.broadcast(b"x", BY) == (0, [1], [])
            assert connection.buffered_bytes == buffered
            assert len(bench.events) == count + 1
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            while connection.buffered_bytes:
                await reader.read(1 << 20)
            assert (await bench.operator.broadcast(b"to all", BY)).sent == 1
            bench.operator.close(1, "half", BY)
            again = partial(bench.operator.send, 1, b"x", BY), partial(bench.operator.close, 1, "half", BY)
            for send in again:
                with pytest.raises(ActRefused) as refused:
                    send()
                assert refused.value.code == "sending_ended"
            assert await bench.operator.broadcast(b"x", BY) == (0, [], [1])
            while data := await reader.read(1 << 20):
                last = data
            assert last.endswith(b"to all")
            writer.close()

    run(test)


def test_faults_have_numbers_and_are_taken_out_one_by_one() -> None:
    async def test() -> None:
        async with serving(Echo()) as bench:
            _connection, reader, writer = await bench.client()
            operator = bench.operator
            assert operator.faults(1) == []
            first = operator.insert_fault(1, "latency 1h out", BY)
            second = operator.insert_fault(1, "slice 1", BY)
            assert [first.number, second.number] == [1, 2]
            throttle = operator.throttle(1, "10k/s", BY)
            assert throttle is not None
            assert operator.throttle(1, "20k/s", BY) is throttle
            assert operator.throttle(1, "20480/s", "somebody else") is throttle  # the same rate: nothing changes
            assert throttle.by == BY
            assert [(each.number, each.spec) for each in operator.faults(1)] == [
                *((1, "latency 1h out"), (2, "slice 1"), (3, "rate 20k/s"))
            ]
            writer.write(b"hello\n")
            faults = bench.server.connections[1].faults
            await bench.until(lambda: faults is not None and faults.is_blocking)
            operator.remove_fault(1, 2, BY)
            await bench.until(lambda: bench.server.connections[1].sent == 6)
            operator.remove_fault(1, 1, BY)
            assert await reader.readline() == b"hello\n"
            assert operator.throttle(1, None, BY) is None
            assert operator.throttle(1, None, BY) is None
            assert operator.faults(1) == []
            with pytest.raises(ActRefused) as refused:
                operator.remove_fault(1, 1, BY)
            assert refused.value.code == "unknown_fault"
            assert operator.insert_fault(1, "drop", BY).number == 4
            assert bench.acts() == [
                ("fault", 1, "latency 1h out put on, number 1"),
                ("fault", 1, "slice 1 put on, number 2"),
                ("throttle", 1, "10k/s"),
                ("throttle", 1, "20k/s"),
                ("fault", 1, "slice 1 taken out, number 2"),
                ("fault", 1, "latency 1h out taken out, number 1"),
                ("throttle", 1, "off"),
                ("fault", 1, "drop put on, number 4"),
            ]
            writer.close()

    run(test)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("refuse", "refuse acts when clients are accepted"),
        ("never-accept", "never-accept acts when clients are accepted"),
        ("latency 1s p=0.5", "choose among new connections"),
        ("drop net=10.0.0.0/8", "choose among new connections"),
        ("latencyy 1s", "did you mean latency"),
    ],
)
def test_faults_that_say_nothing_to_an_open_connection(spec: str, words: str) -> None:
    async def test() -> None:
        async with serving() as bench:
            _connection, _reader, writer = await bench.client()
            with pytest.raises(InvalidValue, match=words):
                bench.operator.insert_fault(1, spec, BY)
            with pytest.raises(ActRefused) as refused:
                bench.operator.insert_fault(1, "drop upstream", BY)
            assert refused.value.code == "no_upstream"
            for rate in ("10k/s out", "10k", "", "0/s"):
                with pytest.raises(InvalidValue):
                    bench.operator.throttle(1, rate, BY)
            assert bench.events == bench.events[:1]
            writer.close()

    run(test)


def test_a_fault_that_ends_the_connection_is_the_reason_and_their_number_is_bounded() -> None:
    async def test() -> None:
        async with serving() as bench:
            connection, reader, writer = await bench.client()
            writer.write(b"0123456789")
            await bench.until(lambda: connection.received == 10)
            for _ in range(MOST_FAULTS - 1):
                bench.operator.insert_fault(1, "drop after 1h", BY)
            bench.operator.insert_fault(1, "reset at 5 in", BY)
            with pytest.raises(ActRefused) as refused:
                bench.operator.insert_fault(1, "drop", BY)
            assert refused.value.code == "too_many_faults"
            writer.write(b"abcdefgh")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            await bench.until(lambda: not connection.is_open)
            (closed,) = [event for event in bench.events if isinstance(event, Closed)]
            assert (closed.reason, closed.by, closed.received) == ("fault", None, 15)
            (fault,) = [event for event in bench.events if isinstance(event, Fault)]
            assert (fault.spec, fault.offset) == ("reset at 5 in", 15)
            writer.close()

    run(test)


def test_a_thousand_acts_at_once_on_one_connection() -> None:
    async def test() -> None:
        async with serving(Echo()) as bench:
            _connection, reader, writer = await bench.client()
            writer.write(b"hello\n")
            for number in range(1, 1001):
                bench.operator.pause(1, BY)
                bench.operator.insert_fault(1, "latency 1h", BY)
                bench.operator.throttle(1, f"{number}/s", BY)
                bench.operator.resume(1, BY)
                for fault in bench.operator.faults(1):
                    bench.operator.remove_fault(1, fault.number, BY)
            assert await reader.readline() == b"hello\n"
            assert len(bench.acts()) == 6000
            times = [event.at for event in bench.events]
            assert all(before <= after for before, after in pairwise(times))
            writer.close()

    run(test)


def test_limits_take_effect_as_they_say() -> None:
    async def test() -> None:
        async with serving() as bench:
            operator = bench.operator
            none = {"max_conns": None, "max_conns_per_ip": None, "idle_timeout": None, "half_close_timeout": None}
            assert operator.limits() == none
            connection, _reader, writer = await bench.client()
            for wrong in ({"max_conns": 0}, {"max_conns": "5", "idle_timeout": "soon"}, {"half_close_timeout": -1}):
                with pytest.raises(InvalidValue):
                    operator.set_limits(wrong, BY)  # type: ignore[arg-type]
            assert operator.limits() == none
            operator.set_limits({"max_conns_per_ip": "1", "half_close_timeout": 0}, BY)
            reader, other = await asyncio.open_connection(*writer.get_extra_info("peername"))
            assert await reader.read() == b""  # the first one was counted before there was a limit
            other.close()
            operator.set_limits({"max_conns_per_ip": None, "max_conns": 1}, BY)
            reader, other = await asyncio.open_connection(*writer.get_extra_info("peername"))
            assert await reader.read() == b""
            other.close()
            operator.set_limits({"max_conns": None, "idle_timeout": "50ms"}, BY)
            operator.set_limits({"idle_timeout": "50ms"}, BY)  # as it is: no event
            await bench.until(lambda: not connection.is_open)
            reasons = [event.reason for event in bench.events if isinstance(event, Closed)]
            assert reasons == ["idle_timeout"]
            assert [detail for _, _, detail in bench.acts()] == [
                *("max_conns_per_ip=1", "half_close_timeout=0", "max_conns_per_ip=off", "max_conns=1"),
                *("max_conns=off", "idle_timeout=50ms"),
            ]
            writer.close()

    run(test)


def test_access_lists_hold_for_those_who_come_later() -> None:
    async def test() -> None:
        async with serving() as bench:
            operator, admission = bench.operator, bench.admission
            connection, _reader, writer = await bench.client()
            operator.change_access("deny", "127.0.0.0/8", BY)
            operator.change_access("deny", "127.0.0.1/8", BY)  # the same: no event
            reader, other = await asyncio.open_connection(*writer.get_extra_info("peername"))
            assert await reader.read() == b""
            other.close()
            assert connection.is_open
            operator.change_access("deny", "127.0.0.0/8", BY, remove=True)
            operator.change_access("allow", "10.0.0.0/8", BY)
            assert admission.admit("127.0.0.1") == "denied"
            operator.change_access("allow", "::1", BY)
            operator.change_access("allow", "10.0.0.0/8", BY, remove=True)
            assert admission.admit("10.0.0.1") == "denied"
            operator.change_access("allow", "::1", BY, remove=True)
            assert (admission.allowed, admission.denied) == (None, ())
            with pytest.raises(ActRefused) as refused:
                operator.change_access("allow", "::1", BY, remove=True)
            assert refused.value.code == "unknown_network"
            for wrong in ("localhost", "", "10.1", "1.2.3.4/33"):
                with pytest.raises(InvalidValue, match="no address and no network"):
                    operator.change_access("allow", wrong, BY)
            assert [detail for _, _, detail in bench.acts()] == [
                *("deny 127.0.0.0/8", "deny 127.0.0.0/8 removed", "allow 10.0.0.0/8", "allow ::1/128"),
                *("allow 10.0.0.0/8 removed", "allow ::1/128 removed"),
            ]
            writer.close()

    run(test)


def test_ctl_knows_the_limits_by_name() -> None:
    assert tuple(LIMITS) == LIMIT_NAMES
