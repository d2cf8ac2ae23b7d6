"""What the live display of a large table costs while nobody touches it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from functools import partial

from bench import machine
from bench.crowd import Crowd
from bench.peers import ENVIRONMENT, PORTSIDE
from bench.report import Bar, Result
from bench.rows import Plan

CONNECTIONS, LINES, COLUMNS = 20_000, 50, 200
START_LIMIT_S, SETTLE_S, SECONDS = 30, 5, 20
_COUNT = re.compile(rb"([\d,]+) sockets")


def live(plan: Plan) -> Iterator[Result]:
    with Crowd(plan.some(CONNECTIONS)) as crowd:
        shares = plan.by_turns(
            {"portside": partial(_once, crowd.sockets, plan.some(SECONDS))},
            min(plan.runs, 3),  # each is long
        )["portside"]
    row = f"watch, live, every second: CPU with {crowd.sockets // 2:,} connections ({crowd.sockets:,} sockets)"
    yield Result(row, "% of a core", shares, bar=Bar(25, at_most=True, absolute=True), note=NOTE)


def _once(sockets: int, seconds: float) -> float:
    """Per cent of a core, of a display that has settled."""
    screen, terminal = pty.openpty()
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        process = subprocess.Popen(
            [PORTSIDE, "watch", "--interval", "1s"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=ENVIRONMENT | {"TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(terminal)
        try:
            _wait_until_shown(screen, sockets)
            _drop(screen, SETTLE_S)
            before, start = machine.cpu_s(process.pid), time.monotonic()
            _drop(screen, seconds)
            return (machine.cpu_s(process.pid) - before) / (time.monotonic() - start) * 100
        finally:
            _end(process, screen)
    finally:
        os.close(screen)


def _wait_until_shown(screen: int, sockets: int) -> None:
    """Until the first line of the display has counted all sockets."""
    seen, deadline = b"", time.monotonic() + START_LIMIT_S
    while not any(int(count.replace(b",", b"")) >= sockets for count in _COUNT.findall(seen)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the display does not show {sockets} sockets: {seen[-300:]!r}")
        seen += _drop(screen, 0.1)


def _drop(screen: int, seconds: float) -> bytes:
    """Read what is shown for some time, as a terminal does."""
    seen, deadline = b"", time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([screen], [], [], left)[0]:
            try:
                seen += os.read(screen, 1 << 16)
            except OSError:
                raise RuntimeError(f"the display ended by itself: {seen[-300:]!r}") from None
    return seen


def _end(process: subprocess.Popen[bytes], screen: int) -> None:
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            _drop(screen, 0.05)
        except RuntimeError:
            break
    process.kill()
    process.wait()


NOTE = (
    f"On a terminal of {COLUMNS} by {LINES}, for {SECONDS} s, {SETTLE_S} s after all sockets were shown first; the CPU "
    f"time is the process's own, of all its threads. The bar is for this figure itself."
)
