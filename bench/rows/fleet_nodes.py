"""A hundred simulated nodes that publish to one nats-server: how late a record can be read, and what is asked."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from bench import machine, peers
from bench.build import OUT
from bench.fleet_feed import NODES
from bench.peers import ENVIRONMENT
from bench.program import LIMIT_S
from bench.report import Bar, Result
from bench.rows import Plan
from portside.fleet.broker import connect
from portside.fleet.query.stream import JetStreamReader, Which
from portside.settings.broker import BrokerOptions

PROCESSES, RATE = 4, 10_000
WARM_S, MEASURED_S, ASKS, PAUSE_S = 5.0, 20.0, 7, 0.5
LAG_S, TOP_MS = 2.0, 300
NATS_SERVER = str(Path(sys.executable).with_name("nats-server"))


class Taken(NamedTuple):
    """What one run took. ``lags_s``: from the making of each record until a reader has it; CPU in µs a record."""

    rate: float
    lags_s: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    nodes_us: float
    broker_us: float
    broker_mib: float
    stream_bytes: float
    top_ms: float
    nodes_ms: float
    quiet_top_ms: float


def fleet_nodes(plan: Plan) -> Iterator[Result]:
    """Lag, answers of ``fleet top`` and ``fleet nodes``, CPU and bytes a record."""
    if not plan.has([NATS_SERVER]):
        return
    rate = plan.some(RATE)
    runs = plan.by_turns({"ours": lambda: _once(rate)}, min(plan.runs, 3))["ours"]
    row = f"{NODES} nodes, {rate:,} records/s"

    def result(what: str, unit: str, values: list[float], bar: Bar | None = None) -> Result:
        return Result(f"{row}: {what}", unit, values, bar=bar, note=NOTE)

    yield result("in the stream", "records/s", [each.rate for each in runs], Bar(0.99 * rate, absolute=True))
    for part, name in ((50, "median"), (99, "99 of 100 within")):
        yield result(f"lag, {name}", "ms", [1000 * float(np.percentile(each.lags_s, part)) for each in runs])
    most = Bar(1000 * LAG_S, at_most=True, absolute=True)
    yield result("lag, the longest", "ms", [1000 * float(each.lags_s.max()) for each in runs], most)
    top = Bar(TOP_MS, at_most=True, absolute=True)
    yield result("`fleet top` meanwhile", "ms", [each.top_ms for each in runs], top)
    yield result("`fleet top` afterwards", "ms", [each.quiet_top_ms for each in runs])
    yield result("`fleet nodes` meanwhile", "ms", [each.nodes_ms for each in runs])
    yield result("CPU of all nodes", "µs a record", [each.nodes_us for each in runs])
    yield result("CPU of nats-server", "µs a record", [each.broker_us for each in runs])
    yield result("memory of nats-server", "MiB", [each.broker_mib for each in runs])
    yield result("in the stream's files", "bytes a record", [each.stream_bytes for each in runs])


def _once(rate: int) -> Taken:
    (OUT / "tmp").mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=OUT / "tmp") as name, ExitStack() as stack:
        folder = Path(name)
        with machine.on_core(machine.SERVER_CORE):
            url, broker = stack.enter_context(nats_server(folder))
        _portside("fleet", "init", "--nats", url)
        reader = Follower(url)
        stack.callback(reader.close)
        with machine.on_core(machine.LOAD_CORE):
            feeds = stack.enter_context(simulated_nodes(url, folder, rate))
        time.sleep(WARM_S)
        reader.begin()
        start = time.monotonic()
        cpu = [sum(machine.cpu_s(each.pid) for each in feeds), machine.cpu_s(broker.pid)]
        top_ms, nodes_ms = (_time_ms("fleet", what, "--nats", url) for what in ("top", "nodes"))
        time.sleep(max(0.0, start + MEASURED_S - time.monotonic()))
        lags = reader.end()
        took_s = time.monotonic() - start
        used = [sum(machine.cpu_s(each.pid) for each in feeds) - cpu[0], machine.cpu_s(broker.pid) - cpu[1]]
        memory = machine.memory_bytes(broker.pid)
        made = 0
        for each in feeds:
            out, _ = each.communicate(b"end\n", timeout=LIMIT_S)
            said = json.loads(out)
            if said.get("dropped"):
                raise RuntimeError(f"the nodes have dropped {said['dropped']} records")
            made += said["closed"]
        reader.wait(made)
        quiet_ms = _time_ms("fleet", "top", "--nats", url)
        size = _size(folder / "store") / made
        return Taken(
            len(lags) / took_s, lags, 1e6 * used[0] / len(lags), 1e6 * used[1] / len(lags), memory / 2**20, size,
            top_ms, nodes_ms, quiet_ms,
        )  # fmt: skip


def _time_ms(*words: str) -> float:
    """How long a command takes, in milliseconds: the median of several."""
    times = []
    for _ in range(ASKS):
        time.sleep(PAUSE_S)
        begun = time.perf_counter()
        said = _portside(*words)
        times.append(1000 * (time.perf_counter() - begun))
        if not said:
            raise RuntimeError(f"{' '.join(words)} has shown nothing")
    return median(times)


def _portside(*words: str) -> bytes:
    done = subprocess.run(
        [peers.PORTSIDE, *words], env=ENVIRONMENT, capture_output=True, timeout=LIMIT_S, check=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout


@contextmanager
def nats_server(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A server with JetStream, its files under ``folder``; its URL and process."""
    port = machine.free_port()
    (folder / "nats.conf").write_text(
        f'listen: "127.0.0.1:{port}"\nlog_file: "{folder}/log"\njetstream {{ store_dir: "{folder}/store" }}\n'
    )
    process = subprocess.Popen([NATS_SERVER, "-c", str(folder / "nats.conf")], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + LIMIT_S
        while not ((log := folder / "log").exists() and "Server is ready" in log.read_text()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("nats-server has not started")
            time.sleep(0.02)
        yield f"nats://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(LIMIT_S)


@contextmanager
def simulated_nodes(url: str, folder: Path, rate: int) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """The processes of all nodes, which publish so many records a second together until their standard input ends."""
    with ExitStack() as stack:
        feeds = [stack.enter_context(_feed(url, folder, at, rate)) for at in range(PROCESSES)]
        for each in feeds:
            assert each.stdout
            if each.stdout.readline() != b"ready\n":
                raise RuntimeError("the nodes have not begun")
        yield feeds


@contextmanager
def _feed(url: str, folder: Path, at: int, rate: int) -> Iterator["subprocess.Popen[bytes]"]:
    each = NODES // PROCESSES
    words = [url, str(folder), str(at * each), str(each), str(rate / NODES)]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.fleet_feed", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(OSError):
            process.communicate(timeout=LIMIT_S)
        process.kill()
        process.wait()


class Follower:
    """Reads the closed connections as they come, on a thread of its own, and notes how late each is."""

    def __init__(self, url: str) -> None:
        self._options = BrokerOptions(nats=(url,))
        self._lags: list[float] = []
        self._is_noted = False
        self.read = 0
        self._failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._follow())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def begin(self) -> None:
        self._is_noted = True

    def end(self) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """How late the records were that came since ``begin``, in seconds."""
        self._is_noted = False
        if self._failure is not None or not self._lags:
            raise RuntimeError(f"nothing could be read: {self._failure}")
        return np.array(self._lags)

    def wait(self, count: int) -> None:
        """Wait until so many were read, and no more."""
        deadline = time.monotonic() + LIMIT_S
        while self.read < count and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.read != count:
            raise RuntimeError(f"{count} records were made, {self.read} are in the stream")

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(LIMIT_S)

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            try:
                self._loop.run_until_complete(self._task)
            except Exception as error:  # noqa: BLE001 -- told by `end`
                self._failure = error
        self._loop.close()

    async def _follow(self) -> None:
        broker = await connect(self._options, name="bench")
        try:
            async for batch in JetStreamReader(broker).history(Which(("closed",)), 1e9, follow=True):
                for message, _ in batch.messages:
                    self.read += len(message.records)
                    if self._is_noted:
                        at = time.time()
                        self._lags += [at - datetime.fromisoformat(each.at).timestamp() for each in message.records]
        finally:
            await broker.close()


def _size(folder: Path) -> int:
    """The bytes of all files in a folder."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


NOTE = (
    "Nodes in four processes on one core, each node with the journal, outbox and publisher of an agent; nats-server "
    "with files, on the other core, and with it who asks. Lag is from the making of a record until one who follows has "
    "it as a value; each record is counted once. CPU of the nodes includes making them up."
)
