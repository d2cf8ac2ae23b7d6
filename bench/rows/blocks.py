"""Blocks of 256 kB: bytes in a second, read and passed on to /dev/null."""

from collections.abc import Iterator
from functools import partial

from bench import machine, peers
from bench.report import Bar, Result
from bench.rows import Plan
from bench.server import Server, Work

BLOCK_BYTES = 256 * 1024


def blocks(plan: Plan) -> Iterator[Result]:
    crowd = (peers.portside("--format", "raw", output="null"), peers.reference("sink", output="null"))
    for clients in (1, 50):
        each = plan.some(20_000) // clients
        works = plan.by_turns({peer.name: partial(_once, peer, clients, each) for peer in crowd})
        mine, theirs = ([clients * each * BLOCK_BYTES / 1e9 / work.seconds for work in of] for of in works.values())
        row = f"{clients} client{'s' * (clients > 1)} sending 256 kB blocks, raw to /dev/null"
        yield Result(row, "GB/s", mine, "C sink", theirs, Bar(0.9 if clients > 1 else 0.8), works=(*works.values(),))


def _once(peer: peers.Peer, clients: int, each: int) -> Work:
    with Server(peer) as server:
        before = machine.written_bytes(server.pid)
        work = server.work("blocks", clients, each)
        written = machine.written_bytes(server.pid) - before
        # The C sink drops what it has read; Portside has to have written all of it.
        if peer.name == "portside" and written < clients * each * BLOCK_BYTES:
            raise RuntimeError(f"portside wrote {written} bytes of {clients * each * BLOCK_BYTES}")
        return work
