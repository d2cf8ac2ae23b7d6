"""Outboxes of processes that are killed, have their wall clock set, run out of disk, or are two."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_stream import Station, make_stream, numbers_in_stream
from nats_server import NatsServer
from support import DEADLINE_S, free_port
from wall_clock import LIBRARY, WallClock

SENDER = str(Path(__file__).parents[2] / "fleet_sender.py")
EIGHT_DAYS_S = 8 * 86400
KILLS = 100


class Sender:
    """A station in a process of its own."""

    def __init__(self, folder: Path, url: str, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, SENDER, "station", str(folder), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            text=True,
        )

    def ask(self, line: str) -> dict[str, Any]:
        """Tell it something: its status afterwards."""
        assert self.process.stdin
        print(line, file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def wait_sent(self) -> dict[str, Any]:
        """Ask until nothing waits: its status."""
        while (status := self.ask("status"))["records"]:
            pass
        return status

    def end(self) -> int:
        """End it in order: its exit status."""
        self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


StartSender = Callable[..., Sender]


@pytest.fixture
def sender() -> Iterator[StartSender]:
    started: list[Sender] = []

    def start(*given: Any) -> Sender:
        started.append(Sender(*given))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def test_killed_a_hundred_times(nats: NatsServer, tmp_path: Path) -> None:
    make_stream(nats.url)
    log = tmp_path / "log"
    words = [sys.executable, SENDER, "kills", str(tmp_path), nats.url, str(KILLS), str(log)]
    done = subprocess.run(words, timeout=280, check=False)
    assert done.returncode == 0
    kept = set(map(int, log.read_text().split()))
    found = numbers_in_stream(nats.url)
    assert len(kept) > 5 * KILLS
    assert len(found) == len(set(found)), "nothing twice"
    assert kept <= set(found), "nothing lost"


@pytest.mark.skipif(LIBRARY is None and not os.environ.get("CI"), reason="needs libfaketime (Debian: faketime)")
def test_steps_of_the_wall_clock(nats: NatsServer, tmp_path: Path, sender: StartSender) -> None:
    """What is in the outbox gets no older by them, though it keeps nothing for eight days."""
    make_stream(nats.url)
    nats.stop()
    clock = WallClock(tmp_path)
    one = sender(tmp_path, nats.url, clock.environment)
    one.ask("make 100")
    for step in (EIGHT_DAYS_S, -EIGHT_DAYS_S, 0):
        clock.set(step)
        status = one.ask("make 100")
        assert status["dropped"] == 0
        assert 0 <= status["oldest_s"] < 300
    assert status["records"] == 400
    clock.set(EIGHT_DAYS_S)
    assert one.end() == 0
    another = sender(tmp_path, nats.url, clock.environment)
    assert another.ask("status")["records"] == 400
    nats.start()
    assert another.wait_sent()["dropped"] == 0
    assert another.end() == 0
    assert sorted(numbers_in_stream(nats.url)) == sorted([*range(400)])


def test_two_agents_with_one_outbox(tmp_path: Path, sender: StartSender) -> None:
    url = f"nats://127.0.0.1:{free_port()}"
    one = sender(tmp_path, url)
    one.ask("make 10")
    another = sender(tmp_path, url)
    answer = another.answer()
    assert "another agent uses it" in answer["error"]
    assert "--outbox" in answer["hint"]
    assert another.end() == 1
    assert one.ask("status")["records"] == 10


def test_a_full_disk(nats: NatsServer, small_disk: Path) -> None:
    """What it has no room for waits in memory, and is in the stream as soon as there is a broker."""
    make_stream(nats.url)
    nats.stop()
    one = Station(small_disk, nats.url)
    try:
        for _ in range(8):
            one.make(500, "x" * 1000)
        one.wait_said("cannot write the outbox")
        nats.start()
        one.wait_sent()
        one.wait_said("can be written again")
        assert sorted(numbers_in_stream(nats.url)) == list(range(4000))
        assert sum("cannot write" in words for words, _ in one.said) == 1
    finally:
        one.close()
