"""A relay between the load and a C sink: bytes in a second through it."""

from collections.abc import Iterator
from functools import partial

from bench import machine, peers
from bench.report import Bar, Result
from bench.rows import Plan
from bench.rows.blocks import BLOCK_BYTES
from bench.server import Server, Work

TOXIPROXY = "toxiproxy's README says of itself: about 1 GB/s on a MacBook Pro, up to 2.4 GB/s on a desktop"


def forward(plan: Plan) -> Iterator[Result]:
    relays = {"portside": peers.forward_portside, "socat fork": peers.forward_socat}
    for clients in (1, 50):
        each = plan.some(10_000) // clients
        works = plan.by_turns({name: partial(_once, relay, clients, each) for name, relay in relays.items()})
        mine, theirs = ([clients * each * BLOCK_BYTES / 1e9 / work.seconds for work in of] for of in works.values())
        row = f"{clients} stream{'s' * (clients > 1)} of 256 kB blocks, --forward to a C sink, raw to /dev/null"
        yield Result(row, "GB/s", mine, "socat fork", theirs, Bar(3 if clients > 1 else 0.8), NOTE, (*works.values(),))


def _once(relay: peers.Relay, clients: int, each: int) -> Work:
    with Server(peers.reference("sink", output="null"), core=machine.LOAD_CORE) as sink:
        before = machine.cpu_s(sink.pid)
        peer = relay(sink.port)
        with Server(peer) as server:
            start = machine.written_bytes(server.pid)
            work = server.work("blocks", clients, each)
            written = machine.written_bytes(server.pid) - start
            # To the sink and to /dev/null. (What socat's ended children wrote, nobody counts.)
            if peer.name == "portside" and written < 2 * clients * each * BLOCK_BYTES:
                raise RuntimeError(f"portside wrote {written} bytes, twice {clients * each * BLOCK_BYTES} are due")
        if machine.cpu_s(sink.pid) == before:
            raise RuntimeError("nothing came to the sink")
        return work


NOTE = (
    "The relay has the server's core, the load and the sink share the other. The load waits until the relay has passed "
    f"on the sink's end, so that all bytes have arrived. {TOXIPROXY} (not measured here: it is no Debian package)."
)
