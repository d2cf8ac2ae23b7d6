"""What an agent costs: on a machine with many short connections, and on one with many that say nothing."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from nats.js.api import AckPolicy, ConsumerConfig, StorageType

from bench import machine
from bench.build import OUT, compiled
from bench.peers import ENVIRONMENT, PORTSIDE
from bench.program import LIMIT_S, ask
from bench.report import Bar, Result
from bench.rows import Plan
from portside.fleet.broker import BrokerConnection, connect
from portside.fleet.schema import decode
from portside.fleet.subjects import ALL, STREAM, kind_of
from portside.settings.broker import BrokerOptions

RATE, SECONDS = 3_000, 10
SLOWER = 1.05  # so many times the time it should take, and the rate is another
HELD, WARM_S, REST_S = 10_000, 20, 60
NATS_SERVER = str(Path(sys.executable).with_name("nats-server"))


class Short(NamedTuple):
    """One run with short connections; how many of both their ends came once into the stream."""

    made: int
    ends: int
    share: float  # of a core
    mib: float
    mib_each_s: float  # to the broker


class Idle(NamedTuple):
    """One run with connections that say nothing."""

    share: float
    mib: float


def agent(plan: Plan) -> Iterator[Result]:
    """All connections in the stream, CPU, memory and bytes; CPU of an agent that has nothing to do."""
    if not plan.has([NATS_SERVER]):
        return
    runs = min(plan.runs, 3)
    short = plan.by_turns({"ours": lambda: _short(plan.some(RATE * SECONDS))}, runs)["ours"]
    row = f"agent, {RATE:,} short connections/s, both ends here"
    yield Result(
        f"{row}: closed in the stream, once", "ends", [each.ends for each in short], "made",
        [2 * each.made for each in short], Bar(1), NOTE,
    )  # fmt: skip
    yield Result(f"{row}: CPU", "% of a core", [100 * each.share for each in short], bar=_most(25), note=NOTE)
    yield Result(f"{row}: memory", "MiB", [each.mib for each in short], bar=_most(60), note=NOTE)
    yield Result(f"{row}: to the broker", "MiB/s", [each.mib_each_s for each in short], note=NOTE)
    idle = plan.by_turns({"ours": lambda: _idle(plan.some(HELD), plan.some(REST_S))}, runs)["ours"]
    row = f"agent, {plan.some(HELD):,} idle connections"
    yield Result(f"{row}: CPU", "% of a core", [100 * each.share for each in idle], bar=_most(1), note=NOTE)
    yield Result(f"{row}: memory", "MiB", [each.mib for each in idle], note=NOTE)


def _most(limit: float) -> Bar:
    return Bar(limit, at_most=True, absolute=True)


def _short(count: int) -> Short:
    with _running() as (process, url):
        port = machine.free_port()
        memory = _Memory(process.pid)
        cpu, begun = machine.cpu_s(process.pid), time.monotonic()
        load = ask([compiled("paced"), str(port), str(RATE), str(count)], machine.LOAD_CORE)
        took = time.monotonic() - begun
        share = (machine.cpu_s(process.pid) - cpu) / took
        if load["seconds"] > SLOWER * count / RATE:
            raise RuntimeError(f"{count / load['seconds']:,.0f} connections/s were made, not {RATE:,}")
        mib = memory.most_mib()
        _stop(process)
        ends, size = asyncio.run(_closed(url, f"127.0.0.1:{port}"))
    return Short(load["count"], sum(times == 1 for times in ends.values()), share, mib, size / took / 2**20)


def _idle(count: int, seconds: int) -> Idle:
    with ExitStack() as stack:
        # Both ends are here, and so half as many connections are as many sockets as a server with all of them has.
        held = stack.enter_context(
            subprocess.Popen(
                [compiled("hold"), "127.0.0.1", str(machine.free_port()), str(count // 2)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        assert held.stdout is not None
        if held.stdout.readline() != b"ready\n":
            raise RuntimeError("the connections could not be opened")
        process, _ = stack.enter_context(_running())
        time.sleep(WARM_S)
        memory = _Memory(process.pid)
        cpu, begun = machine.cpu_s(process.pid), time.monotonic()
        time.sleep(seconds)
        share = (machine.cpu_s(process.pid) - cpu) / (time.monotonic() - begun)
        mib = memory.most_mib()
        _stop(process)
        held.kill()
    return Idle(share, mib)


@contextmanager
def _running() -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """An agent that has made its first look, and the URL of its broker."""
    (OUT / "tmp").mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=OUT / "tmp") as name, ExitStack() as stack:
        folder, port = Path(name), machine.free_port()
        config = folder / "nats.conf"
        config.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}/store" }}\n')
        _started(stack, [NATS_SERVER, "-c", os.fspath(config), "-l", f"{folder}/nats.log"], machine.LOAD_CORE)
        _until(lambda: machine.is_listening(port))
        url = f"nats://127.0.0.1:{port}"
        asyncio.run(_make_stream(url))
        command = [PORTSIDE, "agent", "--nats", url, "--outbox", f"{folder}/outbox", "--rate", "100k/s"]
        process = _started(stack, command, machine.SERVER_CORE)
        _until(lambda: asyncio.run(_messages(url, "open")) > 0)
        time.sleep(3)  # what is loaded after the first look
        yield process, url


def _started(stack: ExitStack, command: list[str], core: int) -> "subprocess.Popen[bytes]":
    with machine.on_core(core):
        process = subprocess.Popen(
            command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    if process.wait(LIMIT_S):
        raise RuntimeError(f"the agent ended with {process.returncode}")


class _Memory:
    """The memory that a process has in use, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._most = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def most_mib(self) -> float:
        """End it: the most that there was."""
        self._ended.set()
        self._thread.join()
        return self._most / 2**20

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            pages = int(Path(f"/proc/{self._pid}/statm").read_text("ascii").split()[1])
            self._most = max(self._most, pages * os.sysconf("SC_PAGE_SIZE"))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"broker or agent were not ready after {LIMIT_S} s")
        time.sleep(0.05)


async def _connected(url: str) -> BrokerConnection:
    return await connect(BrokerOptions(nats=(url,)), name="bench")


async def _make_stream(url: str) -> None:
    broker = await _connected(url)
    await broker.jetstream.add_stream(name=STREAM, subjects=[ALL], storage=StorageType.FILE)
    await broker.close()


async def _messages(url: str, kind: str) -> int:
    broker = await _connected(url)
    info = await broker.jetstream.stream_info(STREAM, subjects_filter=f"portside.*.*.{kind}")
    await broker.close()
    return sum((info.state.subjects or {}).values())


async def _closed(url: str, server: str) -> tuple[Counter[tuple[str | None, str | None]], int]:
    """How often each end of a connection with the server was told closed, and the bytes of all that was published."""
    broker = await _connected(url)
    info = await broker.jetstream.add_consumer(STREAM, ConsumerConfig(name="bench", ack_policy=AckPolicy.NONE))
    subscription = await broker.jetstream.pull_subscribe_bind("bench", stream=STREAM)
    ends: Counter[tuple[str | None, str | None]] = Counter()
    left, size = info.num_pending or 0, 0
    while left > 0:
        messages = await subscription.fetch(min(left, 100), timeout=LIMIT_S)
        left -= len(messages)
        for each in messages:
            size += len(each.data)
            if (kind := kind_of(each.subject)) == "closed":
                pairs = ((record.socket.local, record.socket.remote) for record in decode(each.data, kind).records)
                ends.update(pair for pair in pairs if server in pair and None not in pair)
    await broker.close()
    return ends, size


NOTE = (
    "The agent has one core, load and nats-server (JetStream with files) share the other. Each short connection "
    "carries one line and lives for well under a millisecond; both its ends are here, and so it is two "
    "records. Memory is the most of ten readings a second. Of idle connections both ends are here, too."
)
