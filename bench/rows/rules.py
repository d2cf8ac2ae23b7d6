"""A hundred rules, of which the last one answers."""

import os
from collections.abc import Iterator
from functools import partial

from bench import peers
from bench.disk import folder_on_disk
from bench.report import Bar, Result
from bench.rows import Plan
from bench.server import Server

CLIENTS, TRIPS, RULES = 50, 300_000, 100
ANSWERS = {
    "an equal text": f"equals = '{'Q' * 63}'\nanswer = '${{message}}\\n'",
    "a regex with a capture": "regex = '^(Q+)$'\nanswer = '${1}\\n'",
}


def rules(plan: Plan) -> Iterator[Result]:
    """Round trips of 64 bytes, beside our own echo."""
    with folder_on_disk() as folder:
        crowd = {"echo": peers.ECHO}
        for number, (words, answer) in enumerate(ANSWERS.items()):
            path = os.path.join(folder, f"{number}.toml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(_file(answer))
            crowd[words] = peers.portside("--rules", path, "--format", "raw", output="null")
        rates = plan.by_turns({words: partial(_trips, plan, peer) for words, peer in crowd.items()})
    theirs = rates.pop("echo")
    for words, ours in rates.items():
        row = f"{CLIENTS} clients, 64-byte messages, {RULES} rules, the last answers: {words}"
        yield Result(row, "trips/s", ours, "our --echo", theirs, Bar(0.5), NOTE)


def _file(answer: str) -> str:
    conditions = ("equals = 'status %d'", "contains = 'part %d of'", "regex = '^set (\\w+) to %d$'")
    others = (f"[[rule]]\n{conditions[number % 3] % number}\nanswer = 'no\\n'\n" for number in range(RULES - 1))
    return f"{''.join(others)}[[rule]]\n{answer}\n"


def _trips(plan: Plan, peer: peers.Peer) -> float:
    each = plan.some(TRIPS) // CLIENTS
    with Server(peer) as server:
        return CLIENTS * each / server.work("trips", CLIENTS, each).seconds


NOTE = "The other 99 are a third each equal texts, contained texts and expressions, and none of them applies."
