"""The kernel's dump made a table, beside the receiving alone."""

from collections.abc import Iterator
from functools import partial
from statistics import median

from bench.crowd import CONNECTIONS, Crowd
from bench.report import Bar, Result
from bench.rows import Plan
from bench.rows.command import probe

DUMPS = 15


def decode(plan: Plan) -> Iterator[Result]:
    kinds = {"plain": ("as the table needs it", 1.25), "details": ("with all details", 1.3)}
    with Crowd(plan.some(CONNECTIONS)) as crowd:
        measured = plan.by_turns(
            {kind: partial(probe, "decode", kind, str(DUMPS), sockets=crowd.sockets) for kind in kinds}
        )
    for kind, (words, most) in kinds.items():
        table, raw = ([median(each[name]) for each in measured[kind]] for name in ("table", "raw"))
        row = f"dump and decode, {words}: {crowd.sockets:,} sockets"
        yield Result(row, "ms", table, "recv() alone", raw, Bar(most, at_most=True), NOTE)


NOTE = (
    f"In a process of its own, by turns: the dump received and made a table, and the same dump received into one "
    f"buffer and dropped; each run's value is the median of {DUMPS}."
)
