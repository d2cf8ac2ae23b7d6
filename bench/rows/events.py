"""Connections shorter than any interval: is each of them told, and once?"""

import json
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench import machine
from bench.build import OUT, compiled
from bench.peers import ENVIRONMENT, PORTSIDE
from bench.program import LIMIT_S, ask
from bench.report import Bar, Result
from bench.rows import Plan

RATE, SECONDS = 3_000, 10
SLOWER = 1.05  # so many times the time it should take, and the rate is another


class Told(NamedTuple):
    """What the load made, and of how many of them the client's end and the server's were told closed, once."""

    made: int
    clients: int
    servers: int


def events(plan: Plan) -> Iterator[Result]:
    runs = plan.by_turns({"portside": partial(_once, plan.some(RATE * SECONDS))}, min(plan.runs, 3))["portside"]
    row = f"watch --events --json: {RATE:,} connections/s for {SECONDS} s, told closed exactly once"
    made = [run.made for run in runs]
    yield Result(f"{row}, client's end", "connections", [run.clients for run in runs], "load", made, Bar(1), NOTE)
    yield Result(f"{row}, server's end", "connections", [run.servers for run in runs], "load", made, Bar(1), NOTE)


def _once(count: int) -> Told:
    (OUT / "tmp").mkdir(parents=True, exist_ok=True)
    port = machine.free_port()
    with TemporaryDirectory(dir=OUT / "tmp") as folder:
        output = Path(folder, "output")
        with open(output, "wb") as stdout, machine.on_core(machine.SERVER_CORE):
            watch = subprocess.Popen(
                [PORTSIDE, "watch", "--events", "--json"],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT,
            )
        try:
            _wait_until_it_tells(output)
            made = _load(port, count)
            watch.send_signal(signal.SIGINT)
            if watch.wait(LIMIT_S):
                raise RuntimeError(f"portside ended with {watch.returncode}")
        finally:
            watch.kill()
            watch.wait()
        clients, servers = _closed(output, f"127.0.0.1:{port}")
    return Told(made, _once_each(clients), _once_each(servers))


def _wait_until_it_tells(output: Path) -> None:
    """Connections of our own, until one is told."""
    deadline = time.monotonic() + LIMIT_S
    with socket.create_server(("127.0.0.1", 0)) as server:
        while not output.stat().st_size:
            if time.monotonic() > deadline:
                raise RuntimeError(f"portside tells of no connection after {LIMIT_S} s")
            with socket.create_connection(server.getsockname()), server.accept()[0]:
                pass
            time.sleep(0.05)


def _load(port: int, count: int) -> int:
    load = ask([compiled("paced"), str(port), str(RATE), str(count)], machine.LOAD_CORE)
    if load["seconds"] > SLOWER * count / RATE:
        raise RuntimeError(f"{count / load['seconds']:,.0f} connections/s were made, not {RATE:,}")
    made: int = load["count"]
    return made


def _closed(output: Path, server: str) -> tuple[Counter[str], Counter[str]]:
    """How often each client's address was told closed: as the local end of its own socket, and of the server's."""
    clients: Counter[str] = Counter()
    servers: Counter[str] = Counter()
    with open(output, "rb") as lines:
        for line in lines:
            told = json.loads(line)
            if told["event"] == "closed":
                local, remote = told["socket"]["local"], told["socket"]["remote"]
                if remote == server:
                    clients[local] += 1
                elif local == server and remote is not None:
                    servers[remote] += 1
    return clients, servers


def _once_each(closed: Counter[str]) -> int:
    return sum(times == 1 for times in closed.values())


NOTE = (
    "Each connection lives for well under a millisecond and has a client's address and port of its own. Counted are "
    "those whose end was told closed exactly once; the load's count is what it made."
)
