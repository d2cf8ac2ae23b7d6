"""What `diagnose` costs with many sockets, and how soon it finds what is wrong."""

import re
import subprocess
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

from bench.crowd import CONNECTIONS, Crowd
from bench.peers import ENVIRONMENT, PORTSIDE
from bench.program import LIMIT_S
from bench.report import Bar, Result
from bench.rows import Plan
from bench.rows.command import probe

LOOKS, PAUSE_S = 15, 0.5
MANY, MANY_PROCESSES = 50_000, 8  # 12,500 descriptors for each of them
RULES_MS, PEAK_MIB, FOUND_S = 150, 400, 5


def rounds(plan: Plan) -> Iterator[Result]:
    """A round of all rules beside the dump."""
    with Crowd(plan.some(CONNECTIONS)) as crowd:
        looks = plan.by_turns({"all": partial(_looks, plan.some(LOOKS), crowd.sockets)}, min(plan.runs, 3))["all"]
    row = f"diagnose, one round of all rules: {crowd.sockets:,} sockets"
    rules, read = ([median(each[name]) for each in looks] for name in ("rules", "read"))
    bar = Bar(RULES_MS, at_most=True, absolute=True)
    yield Result(row, "ms", rules, "the dump and the counters", read, bar, NOTE)
    yield Result(f"{row}, the slowest", "ms", [max(each["rules"]) for each in looks], bar=bar, note=NOTE)


def memory(plan: Plan) -> Iterator[Result]:
    """The memory that it takes for 100,000 sockets, beside that for a few."""
    with Crowd(plan.some(MANY), MANY_PROCESSES) as crowd:
        many = plan.by_turns({"many": partial(_looks, LOOKS, crowd.sockets)}, min(plan.runs, 3))["many"]
    with Crowd(10, 1) as few:
        little = plan.by_turns({"few": partial(_looks, LOOKS, few.sockets)}, min(plan.runs, 3))["few"]
    ours, theirs = ([each["peak_kib"] / 1024 for each in of] for of in (many, little))
    row = f"diagnose, the most memory: {crowd.sockets:,} sockets"
    yield Result(row, "MiB", ours, "few sockets", theirs, Bar(PEAK_MIB, at_most=True, absolute=True), NOTE)


def found(plan: Plan) -> Iterator[Result]:
    """How soon each condition is found that `lab` makes."""
    listed = subprocess.run([PORTSIDE, "lab", "--list"], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    codes = re.findall(r"^([a-z-]+): ", listed.stdout, re.MULTILINE)
    codes = codes[:: 10 if plan.quick else 1]
    after = {code: _found_after_s(code) for code in codes}
    slowest = max(after, key=lambda code: after[code])
    row = f"lab CODE --check, {len(codes)} conditions: found after, the slowest ({slowest})"
    yield Result(row, "s", [after[slowest]], bar=Bar(FOUND_S, at_most=True, absolute=True), note=FOUND)
    yield Result(f"lab CODE --check, {len(codes)} conditions: found after", "s", [*after.values()], note=FOUND)


def _looks(looks: int, sockets: int) -> dict[str, Any]:
    return probe("diagnose", str(looks), str(PAUSE_S), sockets=sockets)


def _found_after_s(code: str) -> float:
    done = subprocess.run(
        [PORTSIDE, "lab", code, "--check", "--for", "30s"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=LIMIT_S,
        check=False,
    )
    said = re.search(r"^Found after ([\d.]+)s", done.stdout, re.MULTILINE)
    if said is None:
        raise RuntimeError(f"{code} was not found: {done.stdout[-200:]} {done.stderr[-200:]}")
    return float(said[1])


NOTE = (
    f"In a process of its own, which reads the table, the counters and the announcements and then runs all rules, "
    f"{LOOKS} times after the first; each run's value is the median. The lookup of who holds "
    "what was selected is not in it. The sockets are idle connections on loopback. "
    "Memory is the most that the process has had, Python and numpy included."
)
FOUND = (
    "From the start of `diagnose`, Python's start included, beside a condition that is there, with the thresholds for "
    "ages that `lab` sets; each condition once."
)
