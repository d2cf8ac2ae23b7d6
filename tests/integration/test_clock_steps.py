"""Somebody sets the wall clock while programs run: it says when, and the monotonic clock says how long."""

import json
import os
import re
import socket
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from api_client import ask
from conftest import Start
from support import DEADLINE_S, connect
from wall_clock import LIBRARY, WallClock

HOUR = 3600

pytestmark = pytest.mark.skipif(
    LIBRARY is None and not os.environ.get("CI"), reason="needs libfaketime (Debian: faketime)"
)


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path)


def seconds(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_recording_of_a_server(listen: Start, start: Start, tmp_path: Path, clock: WallClock, step: int) -> None:
    path, exported = str(tmp_path / "recording"), tmp_path / "all.jsonl"
    server = listen("--record", path, "--format", "json", "--echo", env=clock.environment)
    with connect(server.port) as client:
        client.sendall(b"before\n")
        assert client.recv(100) == b"before\n"
        server.wait_for('"sent"')
        clock.set(step)
        client.sendall(b"after\n")
        assert client.recv(100) == b"after\n"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    server.wait_for('"closed"')
    assert server.stop() == 0
    live = [event for event in server.events if "conn" in event]
    assert abs(seconds(live[3]) - seconds(live[0]) - step) < DEADLINE_S, "JSON has the wall clock"

    assert start("rec", "export", path, str(exported)).wait() == 0
    events = [event for event in map(json.loads, exported.read_text().splitlines()) if "conn" in event]
    assert [(event["event"], event.get("text")) for event in events] == [
        (event["event"], event.get("text")) for event in live
    ], "in the order in which it happened"
    assert all(abs(seconds(one) - seconds(other)) < DEADLINE_S for one, other in zip(events, live, strict=True))

    listed = start("rec", "list", path, "--json")
    assert listed.wait() == 0
    (found,) = map(json.loads, listed.lines)
    assert 0 <= found["duration"] < DEADLINE_S
    opened, closed = (datetime.fromisoformat(found[name]).timestamp() for name in ("opened", "closed"))
    assert abs(closed - opened - step) < DEADLINE_S

    show = start("rec", "show", path, "1")
    assert show.wait() == 0
    words = [line.split("  ", 2)[2] for line in show.lines]
    assert words[:5] == ["connected", "> before", "< before", "> after", "< after"]

    again = listen("--echo", "--once")
    began = time.monotonic()
    replay = start("rec", "replay", path, "1", f"127.0.0.1:{again.port}")
    assert replay.wait() == 0, replay.err
    assert time.monotonic() - began < DEADLINE_S


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_the_packets_of_an_export_are_as_far_apart_as_they_were(
    listen: Start, start: Start, tmp_path: Path, clock: WallClock, step: int
) -> None:
    path, exported = str(tmp_path / "recording"), tmp_path / "all.pcapng"
    server = listen("--record", path, "--format", "json", env=clock.environment)
    with connect(server.port) as client:
        client.sendall(b"before")
        server.wait_for("before")
        clock.set(step)
        client.sendall(b"after")
        server.wait_for("after")
    server.wait_for('"closed"')
    assert server.stop() == 0
    assert start("rec", "export", path, str(exported)).wait() == 0
    times = packet_times(exported.read_bytes())
    assert len(times) > 5
    assert times == sorted(times)
    assert times[-1] - times[0] < DEADLINE_S * 1e9


def packet_times(data: bytes) -> list[int]:
    """The times of the packets in a pcapng file, in ns (its blocks: type, length, interface, time, …)."""
    times, at = [], 0
    while at < len(data):
        kind, length = (int.from_bytes(data[at + skip : at + skip + 4], "little") for skip in (0, 4))
        if kind == 6:
            high, low = (int.from_bytes(data[at + skip : at + skip + 4], "little") for skip in (12, 16))
            times.append(high << 32 | low)
        at += length
    return times


def test_a_recording_of_a_client(start: Start, tmp_path: Path, clock: WallClock) -> None:
    path = str(tmp_path / "recording")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = ("--recv-only", "--format", "json", "--record", path)
        client = start("connect", f"127.0.0.1:{listener.getsockname()[1]}", *words, env=clock.environment)
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"before\n")
            client.wait_for("before")
            clock.set(-HOUR)
            peer.sendall(b"after\n")
            client.wait_for("after")
    assert client.wait() == 0
    show = start("rec", "show", path, "1", "--format", "json")
    assert show.wait() == 0
    assert [event.get("text") for event in show.events][1:3] == ["before\n", "after\n"]
    assert abs(seconds(show.events[1]) - seconds(show.events[2]) - HOUR) < DEADLINE_S
    assert 0 <= show.events[-1]["duration"] < DEADLINE_S


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_events_of_the_kernels_table(start: Start, clock: WallClock, step: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        words = ("--no-processes", "--interval", "0.05", f"dport = :{port}")
        watch = start("watch", "--events", *words, env=clock.environment)
        watch.wait_for("^Time ")
        for number in (1, 2):
            with connect(port), listener.accept()[0]:
                watch.wait_for("  opened  ", count=number)
                if number == 1:
                    clock.set(step)
            watch.wait_for("  closed  ", count=number)
        assert watch.stop() == 0
    opened, closed = ([line for line in watch.lines if f"  {word}  " in line] for word in ("opened", "closed"))
    assert [line.split()[2] for line in opened] == [line.split()[2] for line in closed]
    for line in closed:
        assert (lived := re.search(r" (\d+\.\d{3})s ", line)), line
        assert float(lived[1]) < DEADLINE_S
    assert seconds_of_day(opened[0], closed[0]) % (24 * HOUR) // 60 == step % (24 * HOUR) // 60


def seconds_of_day(first: str, second: str) -> int:
    """The seconds from the time at the beginning of one line to that of another."""
    times = [datetime.strptime(line[:8], "%H:%M:%S") for line in (first, second)]  # noqa: DTZ007
    return round((times[1] - times[0]).total_seconds())


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_the_uptime_of_a_server(listen: Start, clock: WallClock, step: int) -> None:
    """Consoles divide by what it grows."""
    server = listen(env=clock.environment)
    assert server.port
    before = ask(server, "/api/v1/server").json["uptime"]
    clock.set(step)
    assert before < ask(server, "/api/v1/server").json["uptime"] < before + DEADLINE_S
