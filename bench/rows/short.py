"""Connect, one line, half-close, read to the end, close: how many of these in a second."""

from collections.abc import Iterator
from functools import partial

from bench import peers
from bench.report import Bar, Result
from bench.rows import Plan, send_lines

# Each connection keeps its port for a minute. With more of them to one server, the kernel takes longer to
# find a free one, and the load's core becomes what is measured.
MANY, FEW = 6_000, 3_000


def short(plan: Plan) -> Iterator[Result]:
    crowd = {
        peers.TEXT: (MANY, None),
        peers.C_LOG: (MANY, Bar(0.75)),
        peers.NCAT: (FEW, Bar(4)),
        peers.SOCAT: (FEW, Bar(10)),
        peers.SOCAT_BACKLOG: (FEW, None),
    }
    yield from _at_once(plan, 50, crowd, FIFTY)
    yield from _at_once(plan, 8, {peer: (count, None) for peer, (count, _) in crowd.items()})


def _at_once(
    plan: Plan, clients: int, crowd: dict[peers.Peer, tuple[int, Bar | None]], note: str = ""
) -> Iterator[Result]:
    counts = {peer.name: plan.some(count) for peer, (count, _) in crowd.items()}
    bars = {peer.name: bar for peer, (_, bar) in crowd.items()}
    works = plan.by_turns(
        {peer.name: partial(send_lines, peer, "short", clients, counts[peer.name]) for peer in crowd},
    )
    rates = {name: [counts[name] / work.seconds for work in of] for name, of in works.items()}
    row = f"connect, one line, half-close, read to the end, close; {clients} at a time"
    ours = rates.pop("portside")
    for name, theirs in rates.items():
        failed = sum(work.failed for work in works[name])
        said = note + f" Reset were {failed} connections to {name}." * bool(failed)
        yield Result(row, "connections/s", ours, name, theirs, bars[name], said, (works["portside"], works[name]))


FIFTY = (
    "ncat's backlog is 10 and socat's 5: with 50 at a time the kernel drops some of their SYNs, and a client "
    "waits a second before it asks again; 8 at a time, or socat with a backlog of 128, are without that."
)
