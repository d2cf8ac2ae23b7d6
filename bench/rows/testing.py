"""The pytest plugin: what it costs a run, and a test; and how fast a scripted peer answers."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.report import Bar, Result
from bench.rows import Plan

LIMIT_S = 120
PIPELINED = 16  # requests that are under way at once
TESTS = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_one({fixture}number):
    pass
"""
CLIENT = """
import socket, sys, time
port, count, pipelined = map(int, sys.argv[1:])
with socket.create_connection(("127.0.0.1", port)) as client:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    start = time.perf_counter()
    for _ in range(count // pipelined):
        client.sendall(b"PING\\r\\n" * pipelined)
        left = 6 * pipelined
        while left:
            left -= len(client.recv(left))
    print(count / (time.perf_counter() - start))
"""


def testing(plan: Plan) -> Iterator[Result]:
    count = plan.some(1000)
    with TemporaryDirectory() as folder:
        turns = {
            "many": partial(_run, folder, "tcp_server, ", count),
            "first": partial(_run, folder, "tcp_server, ", 1),
            "bare": partial(_run, folder, "", count),
            "one": partial(_run, folder, "", 1),
            "off": partial(_run, folder, "", 1, "-p", "no:portside"),
        }
        seconds = plan.by_turns(turns)
    runs = zip(*(seconds[turn] for turn in ("many", "first", "bare", "one")), strict=True)
    each = [1e3 * ((many - first) - (bare - one)) / (count - 1) for many, first, bare, one in runs]
    bar = Bar(3, at_most=True, absolute=True)
    yield Result(f"tcp_server, each of {count:,} tests", "ms", each, bar=bar, note=NOTE)
    start = [1e3 * (on - off) for on, off in zip(seconds["one"], seconds["off"], strict=True)]
    yield Result("pytest with the plugin, not used", "ms more", start, note=NOTE)
    rates = plan.by_turns({"rate": partial(_rate, plan.some(200_000))})["rate"]
    bar = Bar(20_000, absolute=True)
    yield Result(
        f"a scripted peer, {PIPELINED} requests at once on one connection", "/s", rates, bar=bar, note=NOTE_PEER
    )


def _run(folder: str, fixture: str, count: int, *options: str) -> float:
    """Seconds of a run of pytest with so many tests that do nothing."""
    Path(folder, "test_bench.py").write_text(TESTS.format(fixture=fixture, count=count), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={folder}"]
    start = time.perf_counter()
    subprocess.run([*command, *options, folder], check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S)
    return time.perf_counter() - start


def _rate(count: int) -> float:
    """Requests a second that a scripted peer in this process answers."""
    from portside.testing import TcpServer

    with TcpServer("bench") as server:
        server.always(b"PING\r\n").reply(b"PONG\r\n")
        command = [sys.executable, "-c", CLIENT, str(server.port), str(count), str(PIPELINED)]
        return float(subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_S).stdout)


NOTE = "the difference of whole runs of pytest, those with one test taken off"
NOTE_PEER = "the client is another process, in Python"
