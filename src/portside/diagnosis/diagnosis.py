"""A diagnosis: the rules run over a series of observations, and each finding followed over time.

1. A finding is the same one as long as its code and its subject are; its severity, words and numbers may change.
2. A condition that comes and goes stays one finding: it is gone when it was not there for ``GONE_AFTER_S``.
3. Rules that raise an exception would end the run of all others, so they must not: they are tested with any table.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from portside.diagnosis.findings import Finding, Subject, rank
from portside.diagnosis.grouping import groups
from portside.diagnosis.observation import Mask, Observation, RowNumbers
from portside.diagnosis.registry import RULES
from portside.diagnosis.rule import MachineRule, Rule, SocketRule, Thresholds, Verdict
from portside.diagnosis.series import WINDOW_S, Series
from portside.diagnosis.view import View

GONE_AFTER_S = 5.0
_MACHINE = Subject("machine")
_MOST_FINDINGS = 2000

FindingKey = tuple[str, Subject]
"""What makes a finding the same one over time: its code and its subject."""


class Report(NamedTuple):
    """The result of an observation. ``current`` are all findings that are there, the most severe first.

    ``changed`` are those of them that are new or have another severity now, ``gone`` those that have ended.
    ``blind`` says for the codes of rules that could not look why they could not. ``rows`` are the sockets of each
    finding, as rows of the table that was observed last: none where it is about no sockets, or not there at present.
    """

    current: tuple[Finding, ...]
    changed: tuple[Finding, ...]
    gone: tuple[Finding, ...]
    blind: Mapping[str, str]
    rows: Mapping[FindingKey, RowNumbers]


class _Judged(NamedTuple):
    """The verdict of a rule on a subject: of these rows, ``size`` many; ``unseen`` is what the group could not see."""

    verdict: Verdict
    size: int = 1
    unseen: tuple[str, ...] = ()
    rows: RowNumbers | None = None


class Diagnosis:
    """Rules over a series of observations.

    ``thresholds`` are changed ones, by code and name; those that are not named keep their values.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = RULES,
        thresholds: Mapping[tuple[str, str], float] | None = None,
        window_s: float = WINDOW_S,
    ) -> None:
        self._rules = rules
        changed = thresholds or {}
        self._thresholds: dict[str, Thresholds] = {
            rule.code: {each.name: changed.get((rule.code, each.name), each.value) for each in rule.thresholds}
            for rule in rules
        }
        self._series = Series(window_s, self._thresholds)
        self._findings: dict[FindingKey, tuple[Finding, int]] = {}

    def observe(self, seen: Observation) -> Report:
        """Run all rules on one more observation."""
        view = self._series.observe(seen)
        blind: dict[str, str] = {}
        verdicts: dict[FindingKey, _Judged] = {}
        selected: list[tuple[SocketRule, RowNumbers]] = []
        for rule in self._rules:
            if (why := _why_blind(rule, view)) is not None:
                blind[rule.code] = why
            elif isinstance(rule, MachineRule):
                for verdict in rule.look(view, self._thresholds[rule.code]):
                    verdicts[rule.code, verdict.subject or _MACHINE] = _Judged(verdict)
            else:
                rows = np.flatnonzero(rule.select(view, self._thresholds[rule.code]))
                if len(rows):
                    selected.append((rule, rows))
        self._describe(view, seen, selected, verdicts)
        return self._follow(seen, verdicts, blind)

    def _describe(
        self,
        view: View,
        seen: Observation,
        selected: list[tuple[SocketRule, RowNumbers]],
        verdicts: dict[FindingKey, _Judged],
    ) -> None:
        """Group what was selected by its subjects, and have each group described."""
        if not selected:
            return
        chosen: Mask = np.zeros(len(view), bool)
        for _, rows in selected:
            chosen[rows] = True
        asked = np.flatnonzero(chosen)
        holders = seen.holders(asked)
        for rule, rows in selected:
            for group in groups(view, rule.by, rows, holders, np.searchsorted(asked, rows)):
                verdict = rule.describe(group, self._thresholds[rule.code])
                if verdict is not None:
                    if group.processes > 1:
                        verdict = verdict._replace(evidence={**verdict.evidence, "processes": group.processes})
                    rows_of = group.rows if verdict.rows is None else verdict.rows
                    judged = _Judged(verdict, len(group), group.unseen, rows_of)
                    verdicts.setdefault((rule.code, group.subject), judged)

    def _follow(
        self,
        seen: Observation,
        verdicts: Mapping[FindingKey, _Judged],
        blind: Mapping[str, str],
    ) -> Report:
        changed: list[Finding] = []
        rows: dict[FindingKey, RowNumbers] = {}
        for (code, subject), (verdict, size, unseen, rows_of) in verdicts.items():
            before, _ = self._findings.get((code, subject), (None, 0))
            if before is None and len(self._findings) >= _MOST_FINDINGS:
                continue
            finding = Finding(
                code=code,
                severity=verdict.severity,
                subject=subject,
                summary=verdict.summary,
                evidence=verdict.evidence,
                why=verdict.why,
                remedy=verdict.remedy,
                first_seen=before.first_seen if before else seen.wall,
                last_seen=seen.wall,
                count=size if verdict.affected is None else verdict.affected,
                unseen=(*verdict.unseen, *unseen),
            )
            self._findings[code, subject] = (finding, seen.at_ns)
            if rows_of is not None:
                rows[code, subject] = rows_of
            if before is None or before.severity != finding.severity:
                changed.append(finding)
        gone = [key for key, (_, at_ns) in self._findings.items() if seen.at_ns - at_ns > GONE_AFTER_S * 1e9]
        ended = tuple(self._findings.pop(key)[0] for key in gone)
        return Report(
            by_severity(finding for finding, _ in self._findings.values()), by_severity(changed), ended, blind, rows
        )


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings in order: the most severe first, then the largest, then by code."""
    return tuple(sorted(findings, key=lambda each: (-rank(each.severity), -each.count, each.code, each.first_seen)))


def _why_blind(rule: Rule, view: View) -> str | None:
    """Why a rule cannot look; None where it can."""
    if isinstance(rule, SocketRule):
        for name in rule.columns:
            if (why := view.sockets.missing(name)) is not None:
                return f"{name}: {why}"
        return None
    absent = [name for name in rule.counters if view.gauge(name) is None]
    if absent:
        return f"{', '.join(absent)}: this kernel does not count it"
    return rule.blind(view)
