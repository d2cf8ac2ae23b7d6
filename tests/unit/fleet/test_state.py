"""The state of a fleet: nodes by their signs of life, what they told last, and its bounds."""

import math
import time

import pytest
from fleet_records import T0, finding, findings, iso, message, of_nodes, opened, socket, status, summary

from portside.fleet.query.state import FleetState, NodeReport, life
from portside.fleet.schema import OutboxStatus


def signs(*given: tuple[str, float], machines: str = "mm", started: float = T0 - 3600, **other: object) -> FleetState:
    """A state after signs of life of one name, each of a boot and a time."""
    state = FleetState()
    boots = list(dict.fromkeys(boot for boot, _ in given))
    for number, (boot, at) in enumerate(given, 1):
        told = status(at, machine=machines[boots.index(boot)], started=iso(started), **other)
        state.apply(message("node", told, boot=boot, seq=number, at=at), at)
    return state


def only(state: FleetState, now: float = T0) -> NodeReport:
    (node,) = state.nodes(now)
    return node


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [(0, "alive"), (20, "alive"), (26, "alive"), (27, "late"), (100, "late"), (102, "gone"), (1e6, "gone")],
)
def test_life_by_the_age_of_the_last_sign(age_s: float, expected: str) -> None:
    assert only(signs(("a", T0)), T0 + age_s).state == expected


def test_an_agent_that_ended_in_order_is_gone_at_once() -> None:
    node = only(signs(("a", T0), last=True))
    assert (node.state, node.ended) == ("gone", True)
    state = signs(("a", T0), last=True)
    state.apply(message("node", status(T0 + 5), boot="b"), T0 + 5)
    assert only(state, T0 + 5).state == "alive"


@pytest.mark.parametrize("every_s", [0.0, -5.0, math.nan, math.inf, 1e300])
def test_life_believes_no_absurd_interval(every_s: float) -> None:
    assert life(0.5, every_s, ended=False) == "alive"
    assert life(1e6, every_s, ended=False) == "gone"


def test_two_agents_of_one_name_alternate() -> None:
    assert only(signs(("a", T0), ("b", T0 + 3), ("a", T0 + 10), ("b", T0 + 13), machines="mn")).agents == 2
    assert only(signs(("a", T0), ("b", T0 + 3), ("a", T0 + 10), machines="mm")).agents == 2


def test_signs_that_are_read_from_the_last_to_the_first() -> None:
    given = (("a", T0), ("b", T0 + 3), ("a", T0 + 10), ("b", T0 + 13))
    state = FleetState()
    for seq, (boot, at) in reversed(list(enumerate(given, 1))):
        state.apply(message("node", status(at, machine=boot), boot=boot, seq=seq, at=at), at)
    assert only(state, T0 + 13).agents == 2


def test_a_restart_is_one_agent() -> None:
    assert only(signs(("a", T0), ("a", T0 + 10), ("b", T0 + 13), ("b", T0 + 23))).agents == 1
    assert only(signs(("a", T0), ("b", T0 + 13), machines="mn")).agents == 1


def test_a_late_sign_of_the_run_before_is_no_second_agent() -> None:
    state = FleetState()
    state.apply(message("node", status(T0), boot="a", seq=1), T0)
    state.apply(message("node", status(T0 + 11, started=iso(T0 + 10)), boot="b", seq=1), T0 + 11)
    state.apply(message("node", status(T0 + 9), boot="a", seq=2), T0 + 12)  # sent again, made before b began
    state.apply(message("node", status(T0 + 21, started=iso(T0 + 10)), boot="b", seq=2), T0 + 21)
    assert only(state, T0 + 21).agents == 1


def test_a_second_agent_that_is_silent_is_forgotten() -> None:
    state = signs(("a", T0), ("b", T0 + 3), ("a", T0 + 10), machines="mn")
    for seq in range(10, 30):
        state.apply(message("node", status(T0 + 10 * seq), boot="a", seq=seq), T0 + 10 * seq)
    assert only(state).agents == 1


def test_lag_is_that_of_the_outbox_or_of_the_sign() -> None:
    waiting = OutboxStatus(records=5, bytes=100, oldest_s=7.5, dropped=3)
    state = FleetState()
    state.apply(message("node", status(T0, outbox=waiting)), T0 + 1)
    assert only(state).lag_s == 7.5
    assert only(state).outbox.dropped == 3
    state.apply(message("node", status(T0 + 10), seq=2), T0 + 10 + 604800)
    assert only(state).lag_s == 604800
    state.apply(message("node", status(T0 + 20 + 604800), seq=3), T0 + 10 + 604800)
    assert only(state).lag_s == -10
    state.apply(message("node", status(at=T0, started="never"), seq=4), T0)
    assert only(state).lag_s == 0


def test_what_is_told_is_what_was_told_last() -> None:
    state = FleetState()
    first, second = socket("10.0.0.1:1"), socket("10.0.0.1:2")
    state.apply(message("open", opened(first), seq=1), T0)
    state.apply(message("open", opened(second, total=900), seq=5), T0 + 5)
    state.apply(message("open", opened(first), seq=1), T0 + 6)  # sent again
    (told,) = state.opened()
    assert (told.sockets, told.total, told.name.node) == ((second,), 900, "web1")
    state.apply(message("open", opened(first), seq=1, boot="next"), T0 + 7)
    assert next(state.opened()).sockets == (first,)
    assert list(state.opened(since=T0 + 8)) == []


def test_findings_and_what_could_not_be_looked_at() -> None:
    state = FleetState()
    state.apply(message("findings", findings(finding(), conntrack="no permission")), T0)
    assert [each.finding.code for each in state.findings()] == ["close-wait-leak"]
    assert list(state.unseen()) == [(("paris", "web1"), "conntrack", "no permission")]
    state.apply(message("findings", findings(), seq=2), T0 + 1)
    assert list(state.findings()) == []


def test_a_summary_in_two_messages_is_one() -> None:
    state = FleetState()
    state.apply(message("summary", summary("a"), seq=1), T0)
    state.apply(message("summary", summary("b"), seq=2), T0)
    assert [group.program for each in state.summaries() for group in each.groups] == ["a", "b"]
    state.apply(message("summary", summary("c", T0 + 60), seq=3), T0 + 60)
    assert [group.program for each in state.summaries() for group in each.groups] == ["c"]


def test_other_kinds_change_nothing() -> None:
    state = FleetState()
    state.apply(message("closed"), T0)
    state.apply(message("node"), T0)
    assert (len(state), state.changes, state.nodes(T0)) == (0, 0, [])


def test_the_nodes_that_were_heard_last_stay() -> None:
    state = FleetState(most_nodes=3)
    for each in of_nodes(5, "node", [status()]):
        state.apply(each, T0)
    assert [node.node for node in state.nodes(T0)] == ["node2", "node3", "node4"]
    assert state.left_out == {"nodes": 2}


def test_what_has_no_room_is_counted_and_room_comes_back() -> None:
    state = FleetState(most_nodes=2, most_sockets=3, most_findings=1, most_summaries=1)
    two = opened(socket("10.0.0.1:1"), socket("10.0.0.1:2"))
    state.apply(message("open", two, node="a"), T0)
    state.apply(message("open", two, node="b"), T0)
    assert [(each.name.node, len(each.sockets), each.total) for each in state.opened()] == [("a", 2, 2), ("b", 1, 2)]
    state.apply(message("open", opened(), node="a", seq=2), T0)
    state.apply(message("open", two, node="b", seq=2), T0)
    assert [len(each.sockets) for each in state.opened()] == [0, 2]
    state.apply(message("open", two, node="c"), T0)  # a is forgotten
    assert [(each.name.node, len(each.sockets)) for each in state.opened()] == [("b", 2), ("c", 1)]
    state.apply(message("findings", findings(finding(), finding()), node="b"), T0)
    state.apply(message("summary", summary("a"), summary("b"), node="b"), T0)
    assert state.left_out == {"nodes": 1, "sockets": 2, "findings": 1, "summaries": 1}


def test_the_answers_do_not_look_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", None)
    assert only(signs(("a", T0)), T0 + 2.5).age_s == 2.5
