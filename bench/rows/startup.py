"""From the start of the process until a client is served, as a person starts it: on a terminal."""

import os
import pty
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial

from bench import machine, peers
from bench.report import Bar, Result
from bench.rows import Plan

LIMIT_S = 10


def startup(plan: Plan) -> Iterator[Result]:
    crowd = (peers.portside("--no-stdin"), peers.TUTORIAL)
    # A start is short and its times scatter: many of them.
    times = plan.by_turns({peer.name: partial(_once, peer) for peer in crowd}, plan.runs * 4)
    mine, theirs = times.values()
    for row, at, bar in (
        ("started until it accepts", 0, Bar(3, at_most=True)),
        ("started until the first client's line is shown", 1, Bar(3.5, at_most=True)),
    ):
        yield Result(row, "ms", [t[at] for t in mine], "tutorial", [t[at] for t in theirs], bar, NOTE)


def _once(peer: peers.Peer) -> tuple[float, float]:
    """Milliseconds until a connection is made, and until what it sent is on the terminal."""
    port = machine.free_port()
    command = peer.command(port)
    screen, terminal = pty.openpty()
    with machine.on_core(machine.SERVER_CORE):
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, env=peers.ENVIRONMENT
        )
    try:
        os.close(terminal)
        with machine.on_core(machine.LOAD_CORE), _connected(port, start + LIMIT_S) as client:
            accepted = time.perf_counter()
            client.sendall(b"hello\n")
            _read_until(screen, b"hello")
            shown = time.perf_counter()
        return (accepted - start) * 1e3, (shown - start) * 1e3
    finally:
        process.terminate()
        process.wait(LIMIT_S)
        os.close(screen)


def _read_until(screen: int, sought: bytes) -> None:
    seen = b""
    while sought not in seen:
        if not select.select([screen], [], [], LIMIT_S)[0]:
            raise RuntimeError(f"the first line is not shown after {LIMIT_S} s: {seen!r}")
        try:
            seen += os.read(screen, 4096)
        except OSError:
            raise RuntimeError(f"it ended before it showed the first line: {seen!r}") from None


def _connected(port: int, deadline: float) -> socket.socket:
    while time.perf_counter() < deadline:
        client = socket.socket()
        if client.connect_ex(("127.0.0.1", port)) == 0:
            return client
        client.close()
    raise RuntimeError(f"nobody accepts after {LIMIT_S} s")


NOTE = (
    "The clock runs from before the process is made; a client tries to connect without a pause, and the kernel lets it "
    "in as soon as the port is open, before the server has seen it. Standard output is a terminal. Both are run by the "
    "same Python, in the same virtual environment."
)
