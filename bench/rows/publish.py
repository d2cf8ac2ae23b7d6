"""What an agent has made goes to JetStream: from the outbox on disk to a stream on disk."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import machine, peers
from bench.disk import folder_on_disk
from bench.program import LIMIT_S, ask
from bench.report import Bar, Result
from bench.rows import Plan

RECORDS = 200_000
LEAST = 20_000
SERVER = "nats-server"


def publish(plan: Plan) -> Iterator[Result]:
    """Records a second, bytes and CPU, into the outbox and out of it."""
    server = _server()
    if not plan.has([server]):
        return
    count = plan.some(RECORDS)
    runs = plan.by_turns({"ours": lambda: _once(server, count)}, min(plan.runs, 3))["ours"]
    row = f"{count:,} closed connections from the outbox to a local JetStream with files"
    yield Result(row, "records/s", [count / each["sent_s"] for each in runs], bar=Bar(LEAST, absolute=True), note=NOTE)
    yield Result(f"{row}: bytes", "MB/s", [each["bytes"] / 1e6 / each["sent_s"] for each in runs], note=NOTE)
    for name, values in (
        ("CPU of the agent", [1e6 * each["sent_cpu_s"] / count for each in runs]),
        ("CPU of nats-server", [1e6 * each["server_cpu_s"] / count for each in runs]),
    ):
        yield Result(f"{row}: {name}", "µs a record", values, note=NOTE)
    kept = f"{count:,} closed connections into the outbox"
    yield Result(kept, "records/s", [count / each["kept_s"] for each in runs], bar=Bar(LEAST, absolute=True), note=NOTE)
    yield Result(
        f"{kept}: CPU of the agent", "µs a record", [1e6 * each["kept_cpu_s"] / count for each in runs], note=NOTE
    )


def _once(server: str, count: int) -> dict[str, Any]:
    with folder_on_disk() as folder, _started(server, Path(folder)) as (port, pid):
        words = [os.path.join(folder, "outbox"), f"nats://127.0.0.1:{port}", str(count), _socket()]
        found = ask([sys.executable, "-m", "bench.probes.publish", *words])
        return {**found, "server_cpu_s": machine.cpu_s(pid)}


def _server() -> str:
    """The server that came with the packages for tests, or the one on the path."""
    beside = Path(sys.executable).with_name(SERVER)
    return str(beside) if beside.exists() else (shutil.which(SERVER) or SERVER)


@contextmanager
def _started(server: str, folder: Path) -> Iterator[tuple[int, int]]:
    """A nats-server with JetStream: its port and its process."""
    port = machine.free_port()
    command = [server, "-js", "-sd", str(folder / "store"), "-a", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + LIMIT_S
            while not machine.is_listening(port):
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("nats-server has not started")
                time.sleep(0.02)
            yield port, process.pid
        finally:
            process.terminate()


def _socket() -> str:
    """A connection of this machine with all that the kernel says about it, as JSON."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0],
    ):
        client.sendall(b"hello")
        words = [peers.PORTSIDE, "watch", "--once", "--json", f"sport = :{client.getsockname()[1]}"]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=LIMIT_S, env=peers.ENVIRONMENT)
        return done.stdout.splitlines()[0]


NOTE = (
    "Each record is a connection of loopback with its final tcp_info, in MessagePack; the outbox (SQLite) and the "
    "stream are on the disk of the checkout. First all go into the outbox while nobody publishes, then out of it until "
    "the last is acknowledged."
)
