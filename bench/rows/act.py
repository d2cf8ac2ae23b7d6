"""An act on a busy server from the command line: how long until the client sees it, and how long ctl takes to start."""

import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from tempfile import TemporaryDirectory

from bench import machine, peers
from bench.report import Bar, Result
from bench.rows import Plan
from bench.server import IdleLoad, Server

LIMIT_S = 20
WAIT_LIMIT_S = 60
TIMES = 5  # acts on each server


def act(plan: Plan) -> Iterator[Result]:
    count = plan.some(10_000)
    measured = plan.by_turns({"close": partial(_once, count)}, min(plan.runs, 3))["close"]
    firsts, others, starts = zip(*measured, strict=True)
    row = f"`portside ctl close` until the client sees it, {count:,} connections open"
    against = "ctl's own start"
    bar = Bar(100, at_most=True, beyond=True)
    yield Result(row, "ms", _all(others), against, _all(starts), bar, NOTE)
    yield Result(f"{row}, the server's first console", "ms", firsts, against, _all(starts), note=NOTE_FIRST)


def _all(runs: tuple[list[float], ...]) -> list[float]:
    return [each for run in runs for each in run]


def _once(count: int) -> tuple[float, list[float], list[float]]:
    """Milliseconds of the first act on a server, of later ones, and of ctl alone."""
    with Server(peers.TEXT) as server:
        files = machine.open_files(server.pid)
        with IdleLoad(server, count):
            deadline = time.monotonic() + WAIT_LIMIT_S
            while machine.open_files(server.pid) < files + count:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{count} connections were not accepted")
                time.sleep(0.05)
            with machine.on_core(machine.LOAD_CORE):
                first = _close(server, count + 1)
                closes, starts = [], []
                for number in range(TIMES):
                    closes.append(_close(server, count + 2 + number))
                    starts.append(_start())
    return first, closes, starts


def _close(server: Server, number: int) -> float:
    """Milliseconds from before the process of ctl is made until its client reads the end."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        server.wait_until_quiet()
        command = [peers.PORTSIDE, "ctl", "close", str(number), "--server", str(server.pid)]
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=peers.ENVIRONMENT) as process:
            seen = select.select([client], [], [], LIMIT_S)[0]
            took = time.perf_counter() - start
            if not seen or client.recv(1) or process.wait(LIMIT_S):
                raise RuntimeError(f"ctl close {number} ended with {process.wait(LIMIT_S)}")
    return took * 1e3


def _start() -> float:
    """Milliseconds that ctl takes to find no server."""
    with TemporaryDirectory() as folder:
        environment = {**peers.ENVIRONMENT, "XDG_RUNTIME_DIR": os.fspath(folder)}
        start = time.perf_counter()
        with subprocess.Popen(
            [peers.PORTSIDE, "ctl", "servers"], stdout=subprocess.DEVNULL, env=environment
        ) as process:
            end = os.pidfd_open(process.pid)
            try:
                select.select([end], [], [], LIMIT_S)
            finally:
                os.close(end)
            return (time.perf_counter() - start) * 1e3


NOTE = (
    "From before the process is made until the client reads the end of its connection; ctl's own start is that of "
    "`portside ctl servers` where none runs, up to its end."
)
NOTE_FIRST = "The server loads the control API for it, which it does once."
