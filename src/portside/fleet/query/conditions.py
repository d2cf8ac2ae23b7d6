"""Findings of many machines put together: the same condition of the same kind of subject is one. Pure, bounded."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from portside.diagnosis.findings import SEVERITIES, Finding, Subject
from portside.fleet.query.state import FindingOfNode, NodeName
from portside.fleet.schema import CurrentFindings, Envelope

MOST_KEPT: Final = 50_000


class FindingNode(msgspec.Struct, frozen=True):
    """A machine on which a condition is, and how many subjects there have it."""

    site: str
    node: str
    count: int


class FleetFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A condition on one or more machines, as ``fleet findings --json`` has it.

    ``kind`` is that of the subject. ``severity`` is the worst. ``nodes`` are those with the most subjects first.
    ``count`` is how many sockets or events have it in all. ``example`` is the finding of ``example_node`` that is the
    worst. ``ended`` is true where it is on no machine any more.
    """

    code: str
    kind: str
    severity: str
    ended: bool
    nodes: tuple[FindingNode, ...]
    subjects: int
    count: int
    first_seen: str
    last_seen: str
    example_site: str
    example_node: str
    example: Finding


class EndedFindings:
    """The findings of a time that machines have told and tell no more; as many as ``MOST_KEPT``, the latest."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[NodeName, str, Subject], FindingOfNode] = OrderedDict()

    def apply(self, message: Envelope, stored_at: float) -> None:
        """Take a message of the kind ``findings``."""
        if message.kind != "findings":
            return
        name = NodeName(message.site, message.node)
        for record in message.records:
            if not isinstance(record, CurrentFindings):
                continue
            for finding in record.findings:
                key = name, finding.code, finding.subject
                self._told[key] = FindingOfNode(name, stored_at, finding)
                self._told.move_to_end(key)
        while len(self._told) > MOST_KEPT:
            self._told.popitem(last=False)

    def ended(self, current: Iterable[FindingOfNode], since: float) -> list[FindingOfNode]:
        """Those from ``since`` on that are not among the current ones."""
        now = {(each.name, each.finding.code, each.finding.subject) for each in current}
        return [each for key, each in self._told.items() if key not in now and each.stored_at >= since]


def group(current: Iterable[FindingOfNode], ended: Iterable[FindingOfNode] = ()) -> list[FleetFinding]:
    """One finding for each code and kind of subject: those that there are, the worst first, then those that ended."""
    return [*_groups(current, ended=False), *_groups(ended, ended=True)]


def _groups(findings: Iterable[FindingOfNode], *, ended: bool) -> list[FleetFinding]:
    by_kind: dict[tuple[str, str], list[FindingOfNode]] = {}
    for each in findings:
        by_kind.setdefault((each.finding.code, each.finding.subject.kind), []).append(each)
    found = [_joined(code, kind, these, ended=ended) for (code, kind), these in by_kind.items()]
    found.sort(key=lambda each: (-SEVERITIES.index(each.example.severity), -len(each.nodes), each.code, each.kind))
    return found


def _joined(code: str, kind: str, these: list[FindingOfNode], *, ended: bool) -> FleetFinding:
    counts: dict[NodeName, int] = {}
    for each in these:
        counts[each.name] = counts.get(each.name, 0) + 1
    worst = max(these, key=lambda each: (SEVERITIES.index(each.finding.severity), each.finding.count))
    return FleetFinding(
        code=code,
        kind=kind,
        severity=worst.finding.severity,
        ended=ended,
        nodes=tuple(
            FindingNode(name.site, name.node, count)
            for name, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
        ),
        subjects=len(these),
        count=sum(max(0, each.finding.count) for each in these),
        first_seen=min(each.finding.first_seen for each in these),
        last_seen=max(each.finding.last_seen for each in these),
        example_site=worst.name.site,
        example_node=worst.name.node,
        example=worst.finding,
    )
