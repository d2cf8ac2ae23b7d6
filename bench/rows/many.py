"""A hundred thousand connections on one machine: six processes that share a port, and what it takes to look at them."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urlencode

from bench import machine, peers
from bench.build import OUT
from bench.peers import ENVIRONMENT
from bench.program import LIMIT_S
from bench.report import Bar, Result
from bench.rows import Plan

CONNECTIONS, PROCESSES = 100_000, 6  # where a process may have 20,000 descriptors
SOURCES = [f"127.0.0.{2 + at}" for at in range(PROCESSES)]  # each has ports for 28,000
OPEN_LIMIT_S = 180
REST_S, ASKS = 10, 7
FIELDS = "conn,state,holds,reason,peer,received,sent,idle,kernel.recv_q,kernel.send_q,kernel.rtt_us"
ASKED: Mapping[str, Mapping[str, str | int]] = {
    "its first rows": {},
    "rows in the middle, by bytes received": {"sort": "-received", "offset": CONNECTIONS // 2},
    "a filter, `received > 0 and idle > 2s`": {"filter": "received > 0 and idle > 2s"},
    "one, by its address": {"filter": "peer = {peer}"},
}


class Taken(NamedTuple):
    """What one run took; times of answers in milliseconds, by what was asked."""

    open_s: float
    kib_each: float
    rest: float  # of a core, all servers
    looked_at: float
    answers_ms: Mapping[str, float]
    watch_ms: float


def many(plan: Plan) -> Iterator[Result]:
    """Time to open, memory and CPU of the servers, answers of the page over all of them."""
    count = plan.some(CONNECTIONS)
    runs = plan.by_turns({"ours": lambda: _once(count)}, min(plan.runs, 3))["ours"]
    row = f"{count:,} connections, {PROCESSES} processes on one port, recording"

    def result(what: str, unit: str, values: list[float], most: float | None = None) -> Result:
        bar = Bar(most, at_most=True, absolute=True) if most is not None else None
        return Result(f"{row}: {what}", unit, values, bar=bar, note=NOTE)

    yield result("all are open", "s", [each.open_s for each in runs], 60)
    yield result("process memory of the servers", "KiB each", [each.kib_each for each in runs], 2.5)
    yield result("all servers, nobody looks", "% of a core", [100 * each.rest for each in runs])
    yield result("all servers, a page is shown", "% of a core", [100 * each.looked_at for each in runs])
    for what in ASKED:
        yield result(f"the page of all, {what}", "ms", [each.answers_ms[what] for each in runs], 200)
    yield result("`watch --once` finds one by its address", "ms", [each.watch_ms for each in runs])


def _once(count: int) -> Taken:
    (OUT / "tmp").mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=OUT / "tmp") as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "run").mkdir(mode=0o700)
        env = {**ENVIRONMENT, "XDG_RUNTIME_DIR": str(folder / "run")}
        port = machine.free_port()
        servers = [
            stack.enter_context(
                _started(
                    folder, env, "listen", f"127.0.0.1:{port}", "--reuse-port", "--echo",
                    "--record", f"{folder}/recording-{at}", "--record-max", "64M",
                )
            )
            for at in range(PROCESSES)
        ]  # fmt: skip
        _until(lambda: all(machine.open_files(each.pid) > 8 for each in servers) and machine.is_listening(port))
        time.sleep(1)  # what is loaded beside them
        before = sum(machine.memory_bytes(each.pid) for each in servers)
        begun = time.monotonic()
        sources = [word for source in SOURCES for word in ("-s", source)]
        stack.enter_context(
            _started(
                folder, env, "load", f"127.0.0.1:{port}", "-c", str(count), "--workers", str(PROCESSES), *sources,
                "--rate", "100/s", "-d", "1h", "-w", "60s",
            )
        )  # fmt: skip
        _until(lambda: sum(machine.open_files(each.pid) for each in servers) > count)
        open_s = time.monotonic() - begun
        time.sleep(REST_S)
        kib_each = (sum(machine.memory_bytes(each.pid) for each in servers) - before) / count / 1024
        rest = _share(servers)
        stack.enter_context(_started(folder, env, "console", "--all", "--web"))
        _until(lambda: b"/#" in (folder / "console.err").read_bytes())
        link = (folder / "console.err").read_text().split("http://")[1].strip()
        address, _, token = link.partition("/#")
        peer = _rows(address, token, {"offset": count // 3})[0]["peer"]
        answers, looked_at = _looked_at(address, token, servers, peer, count)
        return Taken(open_s, kib_each, rest, looked_at, answers, _watch_ms(env, peer))


def _looked_at(
    address: str, token: str, servers: list["subprocess.Popen[bytes]"], peer: str, count: int
) -> tuple[dict[str, float], float]:
    """The times of answers (ms), and the share of a core that the servers take while the list is asked for."""
    answers = {}
    cpu, start = sum(machine.cpu_s(each.pid) for each in servers), time.monotonic()
    for what, query in ASKED.items():
        asked = {name: value.format(peer=peer) if isinstance(value, str) else value for name, value in query.items()}
        if "offset" in asked:
            asked["offset"] = count // 2
        times = []
        for _ in range(ASKS):
            begun = time.perf_counter()
            found = _rows(address, token, asked)
            times.append(1000 * (time.perf_counter() - begun))
            if not found:
                raise RuntimeError(f"no connection was found: {what}")
            time.sleep(1 - min(1.0, time.perf_counter() - begun))  # as a page asks
        answers[what] = median(times)
    return answers, (sum(machine.cpu_s(each.pid) for each in servers) - cpu) / (time.monotonic() - start)


def _rows(address: str, token: str, query: Mapping[str, str | int]) -> list[dict[str, str]]:
    connection = HTTPConnection(address, timeout=LIMIT_S)
    try:
        words = urlencode({"limit": 40, "fields": FIELDS, **query})
        connection.request("GET", f"/api/v1/connections?{words}", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the page answers {answer.status}: {body[:200]!r}")
        rows: list[dict[str, str]] = json.loads(body)["items"]
        return rows
    finally:
        connection.close()


def _watch_ms(env: Mapping[str, str], peer: str) -> float:
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        done = subprocess.run(
            [peers.PORTSIDE, "watch", "--once", f"src = {peer}"],
            env=env,
            capture_output=True,
            timeout=LIMIT_S,
            check=True,
        )
        times.append(1000 * (time.perf_counter() - begun))
        if peer.encode() not in done.stdout:
            raise RuntimeError(f"watch has not found {peer}")
    return median(times)


def _share(servers: list["subprocess.Popen[bytes]"]) -> float:
    cpu, start = sum(machine.cpu_s(each.pid) for each in servers), time.monotonic()
    time.sleep(REST_S)
    return (sum(machine.cpu_s(each.pid) for each in servers) - cpu) / (time.monotonic() - start)


@contextmanager
def _started(folder: Path, env: Mapping[str, str], *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    with open(folder / f"{words[0]}.err", "ab") as err:
        command = [peers.PORTSIDE, *words]
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + OPEN_LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"after {OPEN_LIMIT_S} s not all connections were open")
        time.sleep(0.05)


NOTE = (
    "`portside load` holds the connections, from six addresses, and sends 100 messages a second; all of it, the "
    "clients too, is on one machine. Process memory as above, before anybody looks. The page is that of "
    "`console --all --web`, asked once a second."
)
