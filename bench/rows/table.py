"""One look at a large socket table, beside the programs people look with today."""

from collections.abc import Iterator
from functools import partial

from bench.crowd import CONNECTIONS, PROGRAM, Crowd
from bench.peers import tables
from bench.report import Bar, Result
from bench.rows import Plan
from bench.rows.command import to_a_file

BARS = {"ss -tanp": 0.7, "netstat -natp": 0.5, "psutil script": 0.5, "lsof -nP -iTCP": 0.4}
MATCHES, START_MS, PLAIN_START_MS = 100, 150, 90


def table(plan: Plan) -> Iterator[Result]:
    """The whole of it, with owners."""
    commands = {name: command for name, command in tables.WHOLE.items() if plan.has(command)}
    with Crowd(plan.some(CONNECTIONS)) as crowd:
        times = plan.by_turns(
            {name: partial(to_a_file, command, PROGRAM.encode(), crowd.sockets) for name, command in commands.items()}
        )
    ours = times.pop("portside")
    row = f"watch --once --all > file: {crowd.sockets:,} sockets with owners"
    for name, theirs in times.items():
        yield Result(row, "ms", ours, name, theirs, Bar(BARS[name], at_most=True), NOTE)


def of_port(plan: Plan) -> Iterator[Result]:
    """A few sockets out of many, by their port."""
    with Crowd(plan.some(CONNECTIONS)) as crowd, Crowd(MATCHES, 1) as few:
        port = few.ports[0]
        commands = {name: command for name, command in tables.of_port(port).items() if plan.has(command)}
        times = plan.by_turns(
            {name: partial(to_a_file, command, f":{port} ".encode(), MATCHES) for name, command in commands.items()}
        )
    row = f"{MATCHES} of {crowd.sockets:,} sockets"
    limit, plain = (Bar(most, at_most=True, beyond=True) for most in (START_MS, PLAIN_START_MS))
    for ours, words, theirs, bar in (
        ("portside", "watch --once 'sport = :PORT'", "ss -tanp", limit),
        ("portside -p", "watch --once --no-processes 'sport = :PORT'", "ss -tan", plain),
        # For information: it looks for no programs.
        ("portside", "watch --once 'sport = :PORT'", "ss -tan", None),
    ):
        if theirs in times:
            yield Result(f"{words} > file: {row}", "ms", times[ours], theirs, times[theirs], bar, NOTE)


NOTE = (
    "From the start of the process to its end. The connections are on loopback, both ends held by four processes, and "
    "every socket has to be in the output, with its program where that is asked for. The psutil script is psutil's own "
    "scripts/netstat.py, for TCP alone."
)
