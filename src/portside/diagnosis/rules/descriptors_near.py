"""``descriptors-near``: a program has nearly as many descriptors open as it may.

At the limit (RLIMIT_NOFILE, getrlimit(2)) accept(2) and socket(2) fail with EMFILE.

Thresholds: 80 and 95 % of the soft limit are proposed here.
"""

from collections.abc import Iterator

from portside.diagnosis.findings import Subject
from portside.diagnosis.observation import DescriptorUse
from portside.diagnosis.rule import MachineRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import percent


def look(view: View, limits: Thresholds) -> Iterator[Verdict]:
    """The programs that are near their limits: each is a subject of its own."""
    for each in view.limits.descriptors or ():
        if each.limit <= 0 or taken(each) < limits["share"]:
            continue
        yield Verdict(
            severity="critical" if taken(each) >= limits["critical"] else "warning",
            summary=f"{each.program or 'The program'} has {each.used} of {each.limit} descriptors open "
            f"({percent(taken(each))}).",
            evidence={"open": each.used, "limit": each.limit, "share": round(taken(each), 3)},
            why="Each connection takes a descriptor. Without one left, accept() fails with EMFILE: clients connect and "
            "wait, and many programs spin.",
            remedy=f"look for a leak (`portside watch --all 'pid = {each.pid}'`, by state); raise the limit "
            "(`ulimit -n`, LimitNOFILE= of systemd), up to the hard one.",
            affected=each.used,
            subject=Subject("program", each.pid, each.program),
        )


def taken(use: DescriptorUse) -> float:
    """The share of its limit that a process has open."""
    return use.used / use.limit


RULE = MachineRule(
    code="descriptors-near",
    sentence="A program has nearly all the descriptors open that it may.",
    thresholds=(
        Threshold("share", 0.8, "share", "of the soft limit: a warning"),
        Threshold("critical", 0.95, "share", "of it that is critical"),
    ),
    look=look,
    filtered=True,
    blind=lambda view: (
        None if view.limits.descriptors is not None else "the descriptors of processes could not be read"
    ),
)
