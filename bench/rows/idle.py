"""What a connection costs that is there and says nothing."""

import time
from collections.abc import Iterator
from functools import partial

from bench import machine, peers
from bench.report import Bar, Result
from bench.rows import Plan
from bench.server import IdleLoad, Server

WAIT_LIMIT_S = 60
# A thread each; and with its listen(5), a client that comes while a thread is made waits for a second.
THREADS, THREAD_PAUSE_US = 1_000, 1_000


def idle(plan: Plan) -> Iterator[Result]:
    count = plan.some(15_000)
    kib = plan.by_turns(
        {
            "portside": partial(_once, peers.TEXT, count),
            "C log": partial(_once, peers.C_LOG, count),
            "tutorial": partial(_once, peers.TUTORIAL, min(count, THREADS), THREAD_PAUSE_US),
        },
        # It scatters by a hundredth, and 15,000 connections take a while.
        min(plan.runs, 3),
    )
    row = f"{count:,} idle connections in one process"
    bar = Bar(4, at_most=True, absolute=True)
    yield Result(row, "KiB each", kib["portside"], "C log", kib["C log"], bar, NOTE)
    yield Result(row, "KiB each", kib["portside"], f"tutorial, {THREADS:,} of them", kib["tutorial"], note=NOTE)


def _once(peer: peers.Peer, count: int, pause_us: int = 0) -> float:
    """KiB of process memory that each of `count` connections adds."""
    with Server(peer) as server:
        files, before = machine.open_files(server.pid), machine.memory_bytes(server.pid)
        with IdleLoad(server, count, pause_us):
            deadline = time.monotonic() + WAIT_LIMIT_S
            while machine.open_files(server.pid) < files + count:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{peer.name} has not accepted {count} connections")
                time.sleep(0.05)
            server.wait_until_quiet()
            return (machine.memory_bytes(server.pid) - before) / count / 1024


NOTE = (
    "Process memory (Pss) with the connections less that before the first, divided by their number; the "
    "kernel's own (sockets, thread stacks in the kernel) is not in it. The bar is for Portside's figure "
    "itself."
)
