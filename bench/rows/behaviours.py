"""What clients get back: lines echoed, and lines told to all others."""

from collections.abc import Iterator
from functools import partial

from bench import peers
from bench.report import Bar, Result
from bench.rows import Plan
from bench.server import Server, Work

TRIPS, TRIPS_OF_PROGRAMS = 400_000, 40_000  # in all
CLIENTS = (50, 1_000)
MEMBERS, SENDERS, ROUNDS = 500, 10, 100
NCAT_MEMBERS = 500


def echo(plan: Plan) -> Iterator[Result]:
    """Round trips of 64 bytes."""
    crowd = [peers.ECHO, peers.C_ECHO, *(peer for peer in peers.ECHOES if plan.has(peer.command(0)))]
    for clients in CLIENTS:
        works = plan.by_turns({peer.name: partial(_trips, plan, peer, clients) for peer in crowd})
        rates = {name: [rate for rate, _ in of] for name, of in works.items()}
        ours = rates.pop("portside")
        row = f"{clients:,} clients, a line of 64 bytes there and back, --echo, raw to /dev/null"
        for name, theirs in rates.items():
            bar, taken = Bar(0.75 if name == "C echo" else 3), (works["portside"], works[name])
            yield Result(row, "trips/s", ours, name, theirs, bar, NOTE, tuple([w for _, w in of] for of in taken))


def chat(plan: Plan) -> Iterator[Result]:
    """Lines told to all others."""
    works = plan.by_turns({peer.name: partial(_chat, plan, peer, members) for peer, members in _rooms(plan)})
    rates = {name: [rate for rate, _ in of] for name, of in works.items()}
    ours = rates.pop("portside")
    row = f"{MEMBERS} members, {SENDERS} of them say a line at a time, --chat"
    for name, theirs in rates.items():
        taken = (works["portside"], works[name])
        yield Result(
            row, "lines told/s", ours, name, theirs, Bar(1), NOTE_CHAT, tuple([w for _, w in of] for of in taken)
        )


def _rooms(plan: Plan) -> list[tuple[peers.Peer, int]]:
    rooms = [(peers.CHAT, MEMBERS)]
    if plan.has(peers.NCAT_CHAT.command(0)):
        rooms.append((peers.NCAT_CHAT, NCAT_MEMBERS))
    return rooms


def _trips(plan: Plan, peer: peers.Peer, clients: int) -> tuple[float, Work]:
    each = plan.some(TRIPS_OF_PROGRAMS if peer in peers.ECHOES else TRIPS) // clients
    with Server(peer) as server:
        work = server.work("trips", clients, each)
        return clients * each / work.seconds, work


def _chat(plan: Plan, peer: peers.Peer, members: int) -> tuple[float, Work]:
    rounds = plan.some(ROUNDS)
    with Server(peer) as server:
        work = server.work("chat", members, rounds, SENDERS)
        return rounds * SENDERS * (members - 1) / work.seconds, work


NOTE = (
    "Each client waits for its line before it sends the next. socat and ncat run /bin/cat for each client. Clients "
    "connect before the clock starts."
)
NOTE_CHAT = (
    "Ten members say a line each, and when all others have all ten, the next ten do. Each says who said it; what is "
    "counted is the lines that came to somebody."
)
