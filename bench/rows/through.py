"""A client as a pipe: a large file to an echo server and back."""

import os
import select
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from tempfile import NamedTemporaryFile

from bench import machine, peers
from bench.build import OUT
from bench.report import Bar, Result
from bench.rows import Plan
from bench.server import Server

LIMIT_S = 120
SLACK_BYTES = 2**20  # of small writes that wake a loop


def connect(plan: Plan) -> Iterator[Result]:
    size = plan.some(2**30)
    OUT.mkdir(exist_ok=True)
    with NamedTemporaryFile(dir=OUT) as source:
        source.truncate(size)
        with open(source.name, "rb") as fill:
            while fill.read(1 << 20):
                pass  # from here on it is read from memory
        rates = plan.by_turns(
            {
                name: partial(_once, name, source.name, size)
                for name, command in peers.CLIENTS.items()
                if plan.has(command(0))
            }
        )
    ours = rates.pop("portside")
    for name, theirs in rates.items():
        bar = None if name == "nc -N" else Bar(1)
        row = f"connect < {size / 2**30:.2g} GiB > /dev/null, echoed by C"
        yield Result(row, "MB/s", ours, name, theirs, bar, NOTE)


def _once(name: str, source: str, size: int) -> float:
    """MB/s of one client, from its start to its end, all of it echoed back."""
    with Server(peers.reference("echo", output="null"), core=machine.LOAD_CORE) as server:
        with (
            open(source, "rb") as stdin,
            open(os.devnull, "wb") as stdout,
            machine.on_core(machine.SERVER_CORE),
        ):
            start = time.perf_counter()
            client = subprocess.Popen(
                peers.CLIENTS[name](server.port), stdin=stdin, stdout=stdout, env=peers.ENVIRONMENT
            )
        end = os.pidfd_open(client.pid)
        try:
            ended = select.select([end], [], [], LIMIT_S)[0]
            seconds = time.perf_counter() - start
            # The process is over but not yet reaped, so the kernel still knows what it wrote: the size,
            # or twice that where it sends with write() too. Anything else says that bytes are missing.
            written = machine.written_bytes(client.pid)
        finally:
            os.close(end)
            client.kill()
            status = client.wait()
        if not ended or status or written < size or written % size > SLACK_BYTES:
            raise RuntimeError(f"{name} ended with {status}, and {written} bytes written of {size}")
        return size / 1e6 / seconds


NOTE = (
    "The client has the server's core and the echo server the other. From the start of the client's process "
    "to its end, Python's own start included."
)
