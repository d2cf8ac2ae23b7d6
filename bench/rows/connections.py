"""A console's list of many connections: how long it takes, and what it costs the server."""

import http.client
import os
import socket
import time
from collections.abc import Iterator
from statistics import median
from urllib.parse import urlencode

from bench import machine, peers
from bench.report import Bar, Result
from bench.rows import Plan
from bench.server import IdleLoad, Server

WAIT_LIMIT_S = 60
TIMES = 15  # each list
WATCHED_S = 10
QUERIES = {
    "filtered and sorted by the server's own columns": {"filter": "received >= 0 and idle > 1s", "sort": "-age"},
    "by the kernel's": {"filter": "state established and recvq = 0", "sort": "-rtt", "fields": "peer,idle,kernel"},
}


def connections(plan: Plan) -> Iterator[Result]:
    count = plan.some(19_000)  # 20,000 descriptors are the most that many machines allow
    measured = plan.by_turns({"list": lambda: _once(count)}, min(plan.runs, 3))["list"]
    for at, words in enumerate(QUERIES):
        values = [times[at] for times, _ in measured]
        row = f"a page of 100 of {count:,} connections, {words}"
        yield Result(row, "ms", values, bar=Bar(50, at_most=True, absolute=True), note=NOTE)
    shares = [share for _, share in measured]
    row = f"{count:,} idle connections, recorded and listed each second"
    yield Result(row, "% of a core", shares, bar=Bar(15, at_most=True, absolute=True), note=NOTE_IDLE)


def _once(count: int) -> tuple[list[float], float]:
    """Milliseconds of each list, and the percent of a core that a list each second takes."""
    with Server(peers.TEXT) as server:
        files = machine.open_files(server.pid)
        with IdleLoad(server, count):
            deadline = time.monotonic() + WAIT_LIMIT_S
            while machine.open_files(server.pid) < files + count:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{count} connections were not accepted")
                time.sleep(0.05)
            with machine.on_core(machine.LOAD_CORE):
                client = _Client(server.pid)
                for query in QUERIES.values():
                    client.list(query)
                times = [median(_pausing(client, query)) for query in QUERIES.values()]
                share = _watched(client, server.pid)
                client.close()
    return times, share


def _pausing(client: "_Client", query: dict[str, str]) -> Iterator[float]:
    for _ in range(TIMES):
        time.sleep(0.13)  # so that some meet the recorder at its work
        yield client.list(query)


def _watched(client: "_Client", pid: int) -> float:
    before, start = machine.cpu_s(pid), time.monotonic()
    for second in range(1, WATCHED_S + 1):
        client.list(QUERIES["by the kernel's"])
        time.sleep(max(0.0, start + second - time.monotonic()))
    return 100 * (machine.cpu_s(pid) - before) / (time.monotonic() - start)


class _Client(http.client.HTTPConnection):
    """A client of a server's control API."""

    def __init__(self, pid: int) -> None:
        super().__init__("localhost", timeout=WAIT_LIMIT_S)
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        folder = f"{runtime}/portside" if runtime else f"/tmp/portside-{os.geteuid()}"
        self._path = f"{folder}/{pid}.sock"

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(WAIT_LIMIT_S)
        self.sock.connect(self._path)

    def list(self, query: dict[str, str]) -> float:
        """Milliseconds until the whole page is here."""
        start = time.perf_counter()
        self.request("GET", f"/api/v1/connections?{urlencode(query)}")
        response = self.getresponse()
        body = response.read()
        elapsed = time.perf_counter() - start
        if response.status != 200:
            raise RuntimeError(f"the control API answers {response.status}: {body.decode()[:200]}")
        return elapsed * 1e3


NOTE = (
    "The whole request over the unix socket, on a connection that stays, the median of fifteen. The facts of the "
    "kernel are those of the flight recorder, which reads them each second."
)
NOTE_IDLE = "The server's share of a core while the flight recorder keeps a row a second and a console asks for a list."
