"""Findings of many machines put together."""

import pytest
from fleet_records import T0, finding, findings, iso, message

from portside.diagnosis.findings import Subject
from portside.fleet.query import conditions as module
from portside.fleet.query.conditions import EndedFindings, FindingNode, group
from portside.fleet.query.state import FleetState


def test_the_same_condition_on_many_machines_is_one() -> None:
    state = FleetState()
    for number in range(40):
        told = finding(count=number, summary=f"{number} connections", last_seen=T0 + number)
        state.apply(message("findings", findings(told), node=f"node{number:02}"), T0)
    (joined,) = group(state.findings())
    assert (joined.code, joined.kind, joined.severity) == ("close-wait-leak", "program", "critical")
    assert (len(joined.nodes), joined.subjects, joined.count) == (40, 40, sum(range(40)))
    assert (joined.example_node, joined.example.summary) == ("node39", "39 connections")
    assert joined.last_seen == iso(T0 + 39)
    assert not joined.ended


def test_another_kind_of_subject_is_another_condition_and_the_worst_come_first() -> None:
    state = FleetState()
    machine = finding("orphans", "warning", Subject(kind="machine"))
    state.apply(message("findings", findings(finding("peer-slow", "info"), machine, finding())), T0)
    state.apply(message("findings", findings(finding("orphans", "critical", Subject(kind="peer"))), node="b"), T0)
    assert [(each.code, each.kind, each.severity) for each in group(state.findings())] == [
        ("close-wait-leak", "program", "critical"),
        ("orphans", "peer", "critical"),
        ("orphans", "machine", "warning"),
        ("peer-slow", "program", "info"),
    ]


def test_the_worst_of_a_condition_speaks_for_it() -> None:
    state = FleetState()
    state.apply(message("findings", findings(finding(severity="info", count=900)), node="a"), T0)
    state.apply(message("findings", findings(finding(), finding(count=5)), node="b"), T0)
    (joined,) = group(state.findings())
    assert (joined.severity, joined.example_node) == ("critical", "b")
    assert joined.nodes == (FindingNode("paris", "b", 2), FindingNode("paris", "a", 1))


def test_what_has_ended() -> None:
    state, history = FleetState(), EndedFindings()
    for seq, told in enumerate((findings(finding(), finding("orphans")), findings(finding())), 1):
        each = message("findings", told, seq=seq)
        state.apply(each, T0 + seq)
        history.apply(each, T0 + seq)
    current = list(state.findings())
    ended = history.ended(current, T0)
    assert [(each.code, each.ended) for each in group(current, ended)] == [
        ("close-wait-leak", False),
        ("orphans", True),
    ]
    assert history.ended(current, T0 + 2) == []


def test_history_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    history = EndedFindings()
    history.apply(message("node"), T0)
    for number in range(9):
        history.apply(message("findings", findings(finding(f"code{number}"))), T0)
    assert [each.finding.code for each in history.ended([], 0)] == ["code6", "code7", "code8"]
