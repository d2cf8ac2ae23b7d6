"""What the control socket costs a server: at its start, and its clients when the first console comes."""

import http.client
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench import machine, peers
from bench.report import Bar, Result
from bench.rows import Plan
from bench.server import Server

LIMIT_S = 10
CLIENTS = 50  # each with a line under way at all times: the server's core is busy
BEFORE_S = 1.0


def control(plan: Plan) -> Iterator[Result]:
    turns: dict[str, Callable[[], tuple[float, float]]] = {"with": _start, "without": partial(_start, "--no-control")}
    starts = plan.by_turns(turns, plan.runs * 4)
    for row, unit, at, most in (
        ("started until it listens, with its control socket", "ms", 0, 3),
        ("memory of its own then", "KiB", 1, 100),
    ):
        mine, theirs = ([turn[at] for turn in starts[name]] for name in turns)
        yield Result(row, unit, mine, "--no-control", theirs, Bar(most, at_most=True, beyond=True), NOTE)
    waits = plan.by_turns({"loaded": _first_console})["loaded"]
    during, before = zip(*waits, strict=True)
    row = "longest wait of a client while the control API is loaded"
    yield Result(row, "ms", during, "the second before", before, Bar(50, at_most=True, beyond=True), NOTE_LOADED)


def _start(*options: str) -> tuple[float, float]:
    """Milliseconds until the first line of the output, and the process's private memory then."""
    command = peers.portside("--no-stdin", *options).command(machine.free_port())
    with tempfile.TemporaryDirectory() as folder, machine.on_core(machine.SERVER_CORE):
        start = time.perf_counter()
        environment = {**peers.ENVIRONMENT, "XDG_RUNTIME_DIR": folder}
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment, bufsize=0
        ) as process:
            assert process.stdout
            process.stdout.readline()
            elapsed = time.perf_counter() - start
            rows = Path(f"/proc/{process.pid}/smaps_rollup").read_text("ascii").splitlines()
            private = sum(int(row.split()[1]) for row in rows if row.startswith("Private_"))
            process.send_signal(signal.SIGINT)
            process.wait(LIMIT_S)
    return elapsed * 1e3, private


def _first_console() -> tuple[float, float]:
    """The longest waits for an echo, in milliseconds: while the first request is answered, and before."""
    with Server(peers.ECHO) as server, machine.on_core(machine.LOAD_CORE):
        load = _Load(server.port)
        try:
            load.run(BEFORE_S / 5)  # each client has had its first answers
            before = load.run(BEFORE_S)
            console = _Console(server.pid)
            during = load.run(LIMIT_S, until=console.is_answered)
            console.close()
        finally:
            load.close()
    return during * 1e3, before * 1e3


class _Load:
    """Clients of an echo server; each sends its next line when it has the answer to the last."""

    def __init__(self, port: int) -> None:
        self._clients: dict[int, socket.socket] = {}
        self._sent_at: dict[int, float] = {}
        self._poll = select.epoll()
        for _ in range(CLIENTS):
            client = socket.create_connection(("127.0.0.1", port), LIMIT_S)
            client.setblocking(False)
            self._clients[client.fileno()] = client
            self._poll.register(client, select.EPOLLIN)
            self._send(client.fileno())

    def _send(self, fd: int) -> None:
        self._sent_at[fd] = time.perf_counter()
        os.write(fd, peers.LINE)

    def run(self, most_s: float, until: Callable[[], bool] = lambda: False) -> float:
        """Go on until a condition is true, for so long at most; the longest wait, in seconds."""
        longest, end = 0.0, time.perf_counter() + most_s
        while time.perf_counter() < end and not until():
            for fd, _ in self._poll.poll(0.01):
                os.read(fd, 4096)
                longest = max(longest, time.perf_counter() - self._sent_at[fd])
                self._send(fd)
        return longest

    def close(self) -> None:
        self._poll.close()
        for client in self._clients.values():
            client.close()


class _Console:
    """The first client of a server's control API, which does not wait for its answer."""

    def __init__(self, pid: int) -> None:
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        folder = f"{runtime}/portside" if runtime else f"/tmp/portside-{os.geteuid()}"
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.connect(f"{folder}/{pid}.sock")
        self._sock.sendall(b"GET /api/v1/server HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    def is_answered(self) -> bool:
        return bool(select.select([self._sock], [], [], 0)[0])

    def close(self) -> None:
        response = http.client.HTTPResponse(self._sock)
        response.begin()
        if response.status != 200:
            raise RuntimeError(f"the control API answers {response.status}")
        self._sock.close()


NOTE = (
    "From before the process is made to the first line of its output. The socket is bound before the server says that "
    "it listens, and nothing is imported for it."
)
NOTE_LOADED = (
    f"{CLIENTS} clients of an echo server, each with a line under way at all times; then somebody asks the control API "
    "for the first time, whose libraries are imported on a thread until the answer is there."
)
