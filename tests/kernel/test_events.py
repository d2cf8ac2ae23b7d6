"""``watch --events`` with a real kernel, each test in a network of its own, so that counts are exact.

The stories below run inside ``unshare -Urn``: python -m kernel.test_events NAME
"""

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Program, wait_until

from portside.kernel.announcements import Announcements

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
    with socket.create_server(("127.0.0.1", 0)) as listener, watching() as program:
        connections(listener, 500)
        said = end(program)
        assert "seen 1000 of 1000 ends" in said
        assert "500 opened from here, 500 accepted here" in said
        counts = Counter(line.split()[1] for line in lines(program))
        assert counts == {"opened": 1000, "closed": 1000}


def each_closed_once_in_json() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, watching("--json", text=False) as program:
        name = "{}:{}".format(*listener.getsockname())
        wait_until(lambda: connections(listener, 1) and program.out, "the first event")
        expected = connections(listener, 300)
        end(program, signal.SIGINT)
        found: dict[int, list[str]] = {}
        ends: set[str] = set()
        for line in program.out.splitlines():
            event = json.loads(line)
            assert event["seen"] in ("poll", "destroy")
            assert event["at"].endswith("Z")
            found.setdefault(event["socket"]["info"]["cookie"], []).append(event["event"])
            if event["event"] == "closed" and event["socket"]["remote"] == name:
                ends.add(event["socket"]["local"])
                assert event["socket"]["info"]["bytes_sent"] == 6
                assert event["socket"]["info"]["rtt_us"] > 0
                assert 0 <= event["duration"] < 10
        assert expected <= ends
        for events in found.values():
            assert (events[0], events[-1]) == ("opened", "closed")
            assert events.count("opened") == events.count("closed") == 1


def one_that_lives() -> None:
    """Seen by looks: its program, its states, and its bytes at the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener, watching("--interval", "20ms") as program:
        with socket.create_connection(listener.getsockname()) as client:
            accepted = listener.accept()[0]
            here = "{}:{}".format(*accepted.getpeername())
            program.wait_for(f"opened  {here} .* ESTABLISHED .* {os.getpid()}/python")
            client.sendall(b"x" * 1000)
            client.shutdown(socket.SHUT_WR)
            program.wait_for(f"changed .* {here} .*ESTABLISHED -> CLOSE_WAIT .* {os.getpid()}/python")
            accepted.close()
        (line,) = program.wait_for(rf"closed  {here} .*-> CLOSE .* 1000 .*s .*ms .*{os.getpid()}/python.*$")
        assert re.search(r" \d+\.\d{3}s ", line)
        assert "seen 2 of 2 ends" in end(program)
        assert sum(line.split()[1] == "closed" for line in lines(program)) == 2


def reset_while_held() -> None:
    """A connection that was reset is closed, though its program holds the descriptor; and not closed again."""
    with socket.create_server(("127.0.0.1", 0)) as listener, watching("--interval", "20ms") as program:
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
        event = json.loads(program.out.splitlines()[-1])
        assert event["event"] == "closed"
        assert event["socket"]["remote"] is None
        assert event["socket"]["gaps"]["remote"].startswith("the port of 127.0.0.1: ")
        assert event["socket"]["gaps"]["info"] == "the kernel did not tell it"


def filters_on_short_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
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
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with watching("--source", "proc", "--interval", "20ms") as program:
            with socket.create_connection(listener.getsockname()), listener.accept()[0]:
                program.wait_for("opened  .* ESTABLISHED", count=2)
            program.wait_for("closed  ")
            said = end(program)
        assert "only polling: connections shorter than 0.02 s may be missed (the source is proc)" in said


def a_reader_that_goes_away() -> None:
    receiving, sending = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener, watching(text=False, stdout=sending) as program:
        os.close(sending)
        assert os.read(receiving, 5) == b"Time "
        connections(listener, 1)
        os.close(receiving)
        assert program.wait() == 0
        assert program.err == b""


def a_reader_that_does_not_read() -> None:
    receiving, sending = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener, watching(text=False, stdout=sending) as program:
        os.close(sending)
        assert os.read(receiving, 5) == b"Time "
        connections(listener, 1000)
        end(program)
        os.close(receiving)


def an_overrun_is_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        announcements = Announcements(buffer_bytes=1)
        try:
            with announcements._lock:  # the thread that receives has to wait
                connections(listener, 300)
                wait_until(announcements._count_drops, "an overrun")
            assert announcements.take().lost > 0
            assert announcements.take().lost == 0
        finally:
            announcements.close()


STORIES: dict[str, Callable[[], None]] = {
    story.__name__: story
    for story in (
        short_connections,
        each_closed_once_in_json,
        one_that_lives,
        reset_while_held,
        refused,
        filters_on_short_connections,
        both_families,
        only_polling,
        a_reader_that_goes_away,
        a_reader_that_does_not_read,
        an_overrun_is_counted,
    )
}


@pytest.mark.parametrize("name", STORIES)
def test_in_a_network_of_its_own(name: str) -> None:
    words = ["unshare", "-Urn", sys.executable, "-m", "kernel.test_events", name]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    STORIES[sys.argv[1]]()
