"""Lines of 64 bytes from 50 clients, into a file with time and peer."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from bench import peers
from bench.report import Bar, Result
from bench.rows import Plan, send_lines

CLIENTS = 50


@dataclass(frozen=True)
class Sending:
    """How the lines leave the clients: a mode of the load client, and lines a send()."""

    words: str
    mode: str
    pack: int
    each: int
    note: str = ""


PLAIN = Sending(
    "a line a send()",
    "lines",
    1,
    10_000,
    "The clients' sockets are as nc has them: while the server is busy, Nagle's algorithm glues lines together. "
    "So a slower server gets fewer and larger segments, which cost less a line, and times scatter.",
)
ALONE = Sending(
    "a line a segment",
    "alone",
    1,
    10_000,
    "With TCP_NODELAY each line is a segment of its own. The kernel's share of it dominates, on both cores.",
)
PACKED = Sending(
    "16 lines a send()",
    "lines",
    16,
    40_000,
    "Here the load and the wake-ups cost little, so this is what the server itself does with lines.",
)


def text(plan: Plan) -> Iterator[Result]:
    bars = (Bar(0.85), Bar(1.6, at_most=True))
    yield from _beside_c(plan, "text", peers.TEXT, PLAIN, bars)
    yield from _beside_c(plan, "text", peers.TEXT, ALONE, bars)
    yield from _beside_c(plan, "text", peers.TEXT, PACKED, (Bar(0.4), None))


def json(plan: Plan) -> Iterator[Result]:
    yield from _beside_c(plan, "json", peers.JSON, PLAIN, (Bar(0.8), None))
    yield from _beside_c(plan, "json", peers.JSON, ALONE, (Bar(0.8), None))
    yield from _beside_c(plan, "json", peers.JSON, PACKED)
    yield from _beside_c(plan, "json --frame lines", peers.JSON_LINES, PACKED, (Bar(0.3), None))


def others(plan: Plan) -> Iterator[Result]:
    """What people use today, for information."""
    count = plan.some(10_000)
    yield from _beside_others(plan, (peers.TUTORIAL, peers.NCAT, peers.SOCAT_BACKLOG), CLIENTS, count)
    yield from _beside_others(plan, (peers.NC,), 1, CLIENTS * count)


def _beside_c(
    plan: Plan,
    name: str,
    ours: peers.Peer,
    sending: Sending,
    bars: tuple[Bar | None, Bar | None] = (None, None),
) -> Iterator[Result]:
    each = plan.some(sending.each)
    works = plan.by_turns(
        {
            peer.name: partial(send_lines, peer, sending.mode, CLIENTS, each, sending.pack)
            for peer in (ours, peers.C_LOG)
        },
    )
    total = CLIENTS * each
    row = f"{CLIENTS} clients, 64-byte lines to a file, {name}, {sending.words}"
    mine, theirs = ([total / work.seconds for work in of] for of in works.values())
    yield Result(row, "lines/s", mine, "C log", theirs, bars[0], sending.note, (*works.values(),))
    mine, theirs = ([work.server_cpu_s / total * 1e6 for work in of] for of in works.values())
    yield Result(row, "CPU µs/line", mine, "C log", theirs, bars[1], sending.note)


def _beside_others(plan: Plan, against: tuple[peers.Peer, ...], clients: int, count: int) -> Iterator[Result]:
    crowd = [peers.TEXT, *(peer for peer in against if plan.has(peer.command(0)))]
    works = plan.by_turns({peer.name: partial(send_lines, peer, PLAIN.mode, clients, count) for peer in crowd})
    rates = {name: [clients * count / work.seconds for work in of] for name, of in works.items()}
    ours = rates.pop("portside")
    for name, theirs in rates.items():
        row = f"{clients} client{'s' * (clients > 1)}, 64-byte lines to a file, text, {PLAIN.words}"
        missing = max(work.missing for work in works[name])
        label = f"{name} (up to {missing:.1%} of the lines lost)" if missing else name
        yield Result(row, "lines/s", ours, label, theirs, note=OTHERS, works=(works["portside"], works[name]))


OTHERS = (
    "The tutorial prints what each recv() brings, with its peer but without the time, from threads that share a "
    "buffer; ncat, nc and socat write the bytes alone, not whose they are. nc serves one client at a time, so it has "
    "one."
)
