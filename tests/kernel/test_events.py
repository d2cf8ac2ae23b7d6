"""``watch --events`` with a real kernel, each test in a network of its own, so that counts are exact.

The scenarios below run in a network namespace of their own (``netns``): python -m kernel.test_events SCENARIO
"""

import contextlib
import json
import os
import re
import signal
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from netns import other_netns, rename_loopback, run_in_netns
from support import Program, free_port, wait_until

from portside.kernel.destroy_monitor import DestroyMonitor
from portside.kernel.netns import Namespace

RESET = struct.pack("ii", 1, 0)


@contextlib.contextmanager
def watching(*arguments: str, text: bool = True, **options: Any) -> Iterator[Program]:
    """``portside watch --events``, ready; with ``text`` it says so by its header."""
    program = Program("watch", "--events", *arguments, **options)
    try:
        if text:
            program.wait_for("^Time ")
        yield program
    finally:
        program.kill()


def end(program: Program, number: int = signal.SIGTERM) -> str:
    """End it in order; what it said."""
    program.signal(number)
    assert program.wait() == 0
    return program.err.decode()


def connections(listener: socket.socket, count: int, payload: bytes = b"hello\n") -> set[str]:
    """Make short connections one after the other; the addresses they came from."""
    came_from = set()
    for _ in range(count):
        with socket.create_connection(listener.getsockname()[:2]) as client, listener.accept()[0] as accepted:
            client.sendall(payload)
            assert accepted.recv(100) == payload
            came_from.add("{}:{}".format(*client.getsockname()[:2]))
    return came_from


def lines(program: Program) -> list[str]:
    return program.out.decode().splitlines()[1:]


def short_connections() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener, watching() as program:
        for batch in range(1, 11):  # a batch fits into what an unprivileged reader has for announcements
            connections(listener, 50)
            program.wait_for("closed  ", count=100 * batch)
        said = end(program)
        assert "seen 1000 of 1000 ends" in said
        assert "500 opened from here, 500 accepted here" in said
        counts = Counter(line.split()[1] for line in lines(program))
        assert counts == {"opened": 1000, "closed": 1000}


def each_closed_once_in_json() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener, watching("--json", text=False) as program:
        name = "{}:{}".format(*listener.getsockname())
        told_closed = re.compile('"event":"closed".*?"local":"([^"]+)"')
        wait_until(lambda: connections(listener, 1) and program.out, "the first event")
        expected = set[str]()
        for _ in range(6):
            expected.update(connections(listener, 50))
            wait_until(lambda: expected <= set(told_closed.findall(program.out.decode())), "a batch")
        end(program, signal.SIGINT)
        found: dict[int, list[str]] = {}
        ends: set[str] = set()
        for line in program.out.splitlines():
            event = json.loads(line)
            assert event["seen"] in ("poll", "destroy")
            assert event["at"].endswith("Z")
            if not expected & {event["socket"]["local"], event["socket"]["remote"]}:
                continue  # one of those that were there before the first look
            found.setdefault(event["socket"]["info"]["cookie"], []).append(event["event"])
            if event["event"] == "closed" and event["socket"]["remote"] == name:
                ends.add(event["socket"]["local"])
                assert event["socket"]["info"]["bytes_sent"] == 6
                assert event["socket"]["info"]["rtt_us"] > 0
                assert 0 <= event["duration"] < 60
        assert expected <= ends
        for events in found.values():
            assert (events[0], events[-1]) == ("opened", "closed")
            assert events.count("opened") == events.count("closed") == 1


def one_that_lives() -> None:
    """Detection by looks: its program, its states, and its bytes at the end."""
    with socket.create_server(("127.0.0.1", free_port())) as listener, watching("--interval", "20ms") as program:
        with socket.create_connection(listener.getsockname()) as client:
            accepted = listener.accept()[0]
            here = "{}:{}".format(*accepted.getpeername())
            program.wait_for(f"{here} .*ESTABLISHED", count=2)  # a look may see one in SYN_SENT first
            program.wait_for(f"{here} .*ESTABLISHED .* {os.getpid()}/python")
            client.sendall(b"x" * 1000)
            client.shutdown(socket.SHUT_WR)
            program.wait_for(f"changed .* {here} .*ESTABLISHED -> CLOSE_WAIT .* {os.getpid()}/python")
            accepted.close()
        program.wait_for("closed  ", count=2)
        (line,) = program.wait_for(rf"closed  {here} .*-> CLOSE .* 1000 .*s .*ms .*{os.getpid()}/python.*$")
        assert re.search(r" \d+\.\d{3}s ", line)
        assert "seen 2 of 2 ends" in end(program)
        assert sum(line.split()[1] == "closed" for line in lines(program)) == 2


def reset_while_held() -> None:
    """A connection that was reset is closed, though its program holds the descriptor; and not closed again."""
    with socket.create_server(("127.0.0.1", free_port())) as listener, watching("--interval", "20ms") as program:
        client = socket.create_connection(listener.getsockname())
        accepted = listener.accept()[0]
        here = "{}:{}".format(*listener.getsockname())
        program.wait_for(f"opened  {here} ")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()
        program.wait_for(f"closed  {here} ")
        accepted.close()
        said = end(program)
        assert "2 reset" in said
        assert sum(line.split()[1] == "closed" for line in lines(program)) == 2


def refused() -> None:
    """The kernel forgets what a refused attempt was for, and so that is unknown."""
    with socket.socket() as unused, watching("--json", "--interval", "1h", text=False) as program:
        unused.bind(("127.0.0.1", 0))

        def attempt() -> bytearray:
            with socket.socket() as client:
                assert client.connect_ex(unused.getsockname())
            return program.out

        wait_until(attempt, "the first event")
        end(program)
        # A look that met an attempt under way knows it.
        event = next(e for e in program.events if e["event"] == "closed" and e["socket"]["remote"] is None)
        assert event["socket"]["gaps"]["remote"].startswith("the port of 127.0.0.1: ")
        assert event["socket"]["gaps"]["info"] == "the kernel did not tell it"


def filters_on_short_connections() -> None:
    with (
        socket.create_server(("127.0.0.1", free_port())) as one,
        socket.create_server(("127.0.0.1", free_port())) as other,
    ):
        port = one.getsockname()[1]
        for filter_text, expected in ((f"dport = {port}", 20), (f"{port}", 40), ("rtt > 1h", 0), ("program = nc", 0)):
            with watching(filter_text) as program:
                connections(one, 20)
                connections(other, 20)
                said = end(program)
                assert len(lines(program)) == 2 * expected
                assert "seen 80 of 80" in said


def both_families() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        for option, expected in (("-6", 40), ("-4", 0)):
            with watching(option) as program:
                connections(listener, 10)
                assert "seen 20 of 20" in end(program)
                assert len(lines(program)) == expected


def only_polling() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        with watching("--source", "proc", "--interval", "20ms") as program:
            with socket.create_connection(listener.getsockname()), listener.accept()[0]:
                program.wait_for("opened  .* ESTABLISHED|changed .* -> ESTABLISHED", count=2)
            program.wait_for("closed  ")
            said = end(program)
        assert "only polling: connections shorter than 0.02 s may be missed (the source is proc)" in said


def resets_by_the_server() -> None:
    """The queue of a connection that was aborted is not known: what the kernel tells of it is invented."""
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        with watching("sendq > 60000") as program:
            for _ in range(5):
                abort_one(listener)
            assert "seen 10 of 10 ends" in end(program)
            assert lines(program) == []
        with watching("--json", text=False) as program:
            wait_until(lambda: connections(listener, 1) and program.out, "the first event")
            for _ in range(5):
                abort_one(listener)
            end(program)
            closed = [event["socket"] for event in program.events if event["event"] == "closed"]
            aborted = [each for each in closed if each["send_q"] is None]
            assert len(aborted) == 5
            assert all(each["gaps"]["send_q"].startswith("the kernel forgets it") for each in aborted)


def abort_one(listener: socket.socket) -> None:
    """A connection that the server aborts."""
    with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        accepted.close()


def a_listener_closes() -> None:
    options = ("--json", "-a", "--interval", "20ms")
    with socket.create_server(("127.0.0.1", free_port())) as other, watching(*options, text=False) as program:
        wait_until(lambda: connections(other, 1) and program.out, "the first event")
        with socket.create_server(("127.0.0.1", free_port())) as listener:
            name = "{}:{}".format(*listener.getsockname())
            program.wait_for(f'"event":"opened".*"{name}"')
        program.wait_for(f'"event":"closed".*"{name}"')
        end(program)
        (closed,) = (e for e in program.events if (e["event"], e["socket"]["local"]) == ("closed", name))
        assert closed["was"] == "LISTEN"
        assert closed["socket"]["remote"] is None
        assert set(closed["socket"]["gaps"]) == {"info"}


def one_that_connects_to_itself() -> None:
    """Both ends open at once, and there is one socket."""
    for interval in ("1h", "20ms"):
        with watching("--interval", interval) as program:
            with socket.socket() as alone:
                alone.bind(("127.0.0.1", 0))
                alone.connect(alone.getsockname())
                if interval == "20ms":
                    program.wait_for("opened  ")
            program.wait_for("closed  ")
            said = end(program)
            told = lines(program)
            closed = told[-1]
            # A look in the middle of its end may see a change.
            assert [line.split()[1] for line in told if line.split()[1] != "changed"] == ["opened", "closed"]
            assert re.search(r" \d+\.\d{3}s ", closed), closed
            assert "seen 1 of 1 ends" in said


def an_interval_without_end() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener, watching("--interval", "100000h") as program:
        connections(listener, 1)
        program.wait_for("closed  ", count=2)
        assert "seen 2 of 2 ends" in end(program)


def what_a_source_cannot_answer() -> None:
    with watching("--source", "proc", "rtt > 0 or recvq > 0") as program:
        assert "portside: proc does not tell rtt_us: no condition on it is true\n" in end(program)


def not_our_network() -> None:
    """Events of a network are told, those of ours are not; also when the process that it was named by has ended."""
    with other_netns() as process:
        namespace = Namespace(str(process.pid))
        with namespace, watching("--netns", str(process.pid), "--interval", "20ms") as program:
            process.communicate()
            with socket.create_server(("127.0.0.1", free_port())) as ours:
                connections(ours, 5)
            with namespace.run(lambda: socket.create_server(("127.0.0.1", 0))) as theirs:
                end_of_theirs = theirs.getsockname()
                client = namespace.run(lambda: socket.create_connection(end_of_theirs))
                with client, theirs.accept()[0]:
                    program.wait_for("opened  ", count=2)
                    program.wait_for(f" {os.getpid()}/python")  # an end that waits to be accepted has no program yet
            program.wait_for("closed  ", count=2)
            assert "seen 2 of 2 ends" in end(program)
            counts = Counter(line.split()[1] for line in lines(program))
            assert (counts["opened"], counts["closed"]) == (2, 2)
            assert all(str(end_of_theirs[1]) in line for line in lines(program))


def names_of_interfaces() -> None:
    """The root of a network may give an interface any name."""
    for name, shown in ((b"\x1b[31mEV\x07", "\\x1b[31mEV\\x07"), (b"\xff\xfe0", "\\xff\\xfe0")):
        with contextlib.ExitStack() as stack:
            pid = str(stack.enter_context(other_netns()).pid)
            namespace = stack.enter_context(Namespace(pid))
            namespace.run(partial(rename_loopback, name))
            program = stack.enter_context(watching("--netns", pid, "--interval", "20ms"))
            listener = stack.enter_context(namespace.run(lambda: socket.socket(socket.AF_INET6)))
            listener.bind(("fe80::1", 0, 0, 1))
            listener.listen()
            client = stack.enter_context(namespace.run(lambda: socket.socket(socket.AF_INET6)))
            # The kernel makes the route a little after the address.
            wait_until(lambda: client.connect_ex(listener.getsockname()) == 0, "a way there")  # noqa: B023
            program.wait_for(re.escape(f"[fe80::1%{shown}]:{listener.getsockname()[1]}"))
            end(program)
            assert not set(program.out) & {0x1B, 0x07, 0xFF}


def a_reader_that_goes_away() -> None:
    receiving, sending = os.pipe()
    with socket.create_server(("127.0.0.1", free_port())) as listener, watching(text=False, stdout=sending) as program:
        os.close(sending)
        assert os.read(receiving, 5) == b"Time "
        connections(listener, 1)
        os.close(receiving)
        assert program.wait() == 0
        assert program.err == b""


def a_reader_that_does_not_read() -> None:
    receiving, sending = os.pipe()
    with socket.create_server(("127.0.0.1", free_port())) as listener, watching(text=False, stdout=sending) as program:
        os.close(sending)
        assert os.read(receiving, 5) == b"Time "
        connections(listener, 1000)
        end(program)
        os.close(receiving)


def an_overrun_is_counted() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        announcements = DestroyMonitor(buffer_bytes=1)
        try:
            with announcements._lock:  # the thread that receives has to wait
                connections(listener, 300)
                wait_until(announcements._count_drops, "an overrun")
            assert announcements.take().lost > 0
            assert announcements.take().lost == 0
        finally:
            announcements.close()


def what_nobody_takes_is_bounded() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        announcements = DestroyMonitor(buffer_bytes=1, held_bytes=1)

        def overrun() -> int:
            connections(listener, 100)
            return announcements._count_drops()

        try:
            wait_until(overrun, "what is held here to be full, and the kernel's buffer too")
            taken = announcements.take()
            assert taken.batches
            assert taken.lost > 0
        finally:
            announcements.close()


SCENARIOS: dict[str, Callable[[], None]] = {
    scenario.__name__: scenario
    for scenario in (
        short_connections,
        each_closed_once_in_json,
        one_that_lives,
        reset_while_held,
        refused,
        filters_on_short_connections,
        both_families,
        only_polling,
        resets_by_the_server,
        a_listener_closes,
        one_that_connects_to_itself,
        an_interval_without_end,
        what_a_source_cannot_answer,
        not_our_network,
        names_of_interfaces,
        a_reader_that_goes_away,
        a_reader_that_does_not_read,
        an_overrun_is_counted,
        what_nobody_takes_is_bounded,
    )
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_in_a_network_of_its_own(name: str) -> None:
    run_in_netns("kernel.test_events", name)


if __name__ == "__main__":
    SCENARIOS[sys.argv[1]]()
