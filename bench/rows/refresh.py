"""One more look of the live display, which knows the owners from the look before."""

from collections.abc import Iterator
from functools import partial
from statistics import median

from bench.crowd import CONNECTIONS, PROGRAM, Crowd
from bench.peers import tables
from bench.report import Bar, Result
from bench.rows import Plan
from bench.rows.command import probe, to_a_file

LOOKS, PAUSE_S = 15, 1.0


def refresh(plan: Plan) -> Iterator[Result]:
    looks = plan.some(LOOKS)
    with Crowd(plan.some(CONNECTIONS)) as crowd:
        times = plan.by_turns(
            {"portside": partial(_ours, looks, crowd.sockets), "ss -tanp": partial(_theirs, crowd.sockets)},
            min(plan.runs, 3),  # each is many looks already
        )
    row = f"one refresh of the live table: {crowd.sockets:,} sockets with owners"
    ours, theirs = ([median(each) for each in of] for of in times.values())
    slowest = [max(each) for each in times["portside"]]
    yield Result(row, "ms", ours, "ss -tanp", theirs, Bar(0.25, at_most=True), NOTE)
    yield Result(f"{row}, the slowest of {looks}", "ms", slowest, "ss -tanp", theirs, note=NOTE)


def _ours(looks: int, sockets: int) -> list[float]:
    times: list[float] = probe("refresh", str(looks), str(PAUSE_S), sockets=sockets)["refresh"]
    return times


def _theirs(sockets: int) -> list[float]:
    return [to_a_file(tables.SS, PROGRAM.encode(), sockets)]


NOTE = (
    f"In a process of its own: look, compare with the look before, put in order; each run's value is the median of "
    f"{LOOKS} refreshes a second apart, after the first look. Now and then one of them reads again which descriptors a "
    f"process has: the slowest tells."
)
