"""Connect, one line, half-close, read to the end, close: how many of these in a second."""

from collections.abc import Iterator
from functools import partial

from bench import peers
from bench.report import Bar, Result
from bench.rows import Plan, send_lines

# Each connection keeps its port for a minute. With more of them to one server, the kernel takes longer to find a free
# one, and the load's core becomes what is measured.
MANY, FEW = 6_000, 2_000


def short(plan: Plan) -> Iterator[Result]:
    bars = {peers.C_LOG: Bar(0.9), peers.NCAT: Bar(8), peers.SOCAT: Bar(10), peers.SOCAT_BACKLOG: None}
    yield from _at_once(plan, 50, bars, FIFTY)
    yield from _at_once(plan, 8, {peers.C_LOG: Bar(0.85), peers.NCAT: Bar(0.85), peers.SOCAT_BACKLOG: None})


def _at_once(plan: Plan, clients: int, against: dict[peers.Peer, Bar | None], note: str = "") -> Iterator[Result]:
    crowd = [peers.TEXT, *(peer for peer in against if plan.has(peer.command(0)))]
    counts = {peer.name: plan.some(FEW if peer in (peers.SOCAT, peers.SOCAT_BACKLOG) else MANY) for peer in crowd}
    bars = {peer.name: bar for peer, bar in against.items()}
    works = plan.by_turns({peer.name: partial(send_lines, peer, "short", clients, counts[peer.name]) for peer in crowd})
    rates = {name: [counts[name] / work.seconds for work in of] for name, of in works.items()}
    row = f"connect, one line, half-close, read to the end, close; {clients} at a time"
    ours = rates.pop("portside")
    for name, theirs in rates.items():
        failed = sum(work.failed for work in works[name])
        label = f"{name} (reset: {failed} of {counts[name] * len(theirs)})" if failed else name
        yield Result(row, "connections/s", ours, label, theirs, bars[name], note, (works["portside"], works[name]))


FIFTY = (
    "As people start them, ncat's backlog is 10 and socat's 5: with 50 at a time the kernel drops some of their SYNs, "
    "and a client waits a second before it asks again. That decides their rate here, and for ncat it is chance how "
    "often; 8 at a time, or socat with a backlog of 128, are without it."
)
