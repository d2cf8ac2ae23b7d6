"""Findings over time, counters that wrap, sockets that change hands, and what is kept in between."""

from typing import Any

import numpy as np
import pytest
from diagnosis_series import Sockets, Watched, listener

from portside.diagnosis import tcp_states
from portside.diagnosis.counters import CounterSeries, growth
from portside.diagnosis.diagnosis import Diagnosis
from portside.diagnosis.findings import SEVERITIES, rank
from portside.diagnosis.grouping import MOST_GROUPS
from portside.diagnosis.observation import Limits, Observation, nobody
from portside.diagnosis.registry import BY_CODE, RULES
from portside.diagnosis.rule import MachineRule, SocketRule
from portside.diagnosis.series import Series
from portside.diagnosis.view import share
from portside.diagnosis.words import amount, duration, percent, rate
from portside.kernel import states
from portside.kernel.inet_diag import TIMERS

FULL = listener(recv_q=6, send_q=5, pid=7, program="httpd")
EMPTY = {**FULL, "recv_q": 0}


def test_a_finding_is_the_same_one_while_it_comes_and_goes() -> None:
    watched = Watched("accept-queue-overflow")
    assert watched.only(FULL).first_seen == "T+1"
    assert watched.report is not None
    assert [each.code for each in watched.report.changed] == ["accept-queue-overflow"]
    found = watched.only(EMPTY)
    assert (found.first_seen, found.last_seen) == ("T+1", "T+1")
    found = watched.only(FULL, after=3)
    assert (found.first_seen, found.last_seen) == ("T+1", "T+5")
    assert watched.report.changed == ()
    assert watched.look(EMPTY, after=6) == []
    assert [each.first_seen for each in watched.report.gone] == ["T+1"]
    assert watched.only(FULL).first_seen == "T+12"


def rows_of(watched: Watched) -> dict[str, list[int]]:
    """The sockets of each finding of the last observation, by its code."""
    assert watched.report is not None
    return {code: rows.tolist() for (code, _), rows in watched.report.rows.items()}


def test_each_finding_has_its_sockets_as_rows_of_the_last_table() -> None:
    itself = {"local": "127.0.0.1:9", "remote": "127.0.0.1:9"}
    watched = Watched()
    watched.look({}, itself, FULL)
    assert rows_of(watched) == {"self-connected": [1], "accept-queue-overflow": [2]}
    found = watched.look(itself, {}, EMPTY)
    assert rows_of(watched) == {"self-connected": [0]}
    assert {each.code for each in found} == {"self-connected", "accept-queue-overflow"}


def test_a_finding_about_the_machine_has_no_sockets() -> None:
    watched = Watched("time-wait-overflow")
    for count in (0, 50):
        watched.look({}, counters={"TcpExt.TCPTimeWaitOverflow": count})
    assert watched.report is not None
    assert [each.code for each in watched.report.current] == ["time-wait-overflow"]
    assert rows_of(watched) == {}


def test_of_a_host_those_connections_are_found_that_sent_anything_again() -> None:
    watched = Watched("retransmits")
    before = {"remote": "10.0.0.1:80", "bytes_sent": 1000}
    watched.look({**before, "cookie": 1}, {**before, "cookie": 2})
    after = {**before, "bytes_sent": 90_000}
    lossy = {**after, "cookie": 2, "bytes_retrans": 40_000, "retrans_total": 30}
    assert len(watched.look({**after, "cookie": 1}, lossy)) == 1
    assert rows_of(watched) == {"retransmits": [1]}


def test_a_finding_that_becomes_more_severe_is_said_again() -> None:
    watched = Watched("descriptors-near")
    watched = Watched("accept-queue-overflow")
    counters = {"TcpExt.ListenOverflows": 1}
    watched.look(FULL, counters=counters)
    watched.look({**FULL, "drops": 50}, counters={"TcpExt.ListenOverflows": 51})
    assert watched.report is not None
    assert [each.severity for each in watched.report.changed] == ["critical"]


def test_ten_conditions_at_once_are_ten_findings_the_most_severe_first() -> None:
    watched = Watched()
    ports = range(1, 11)
    rows = [{**FULL, "local": f"127.0.0.1:{port}", "cookie": port, "drops": 0} for port in ports]
    watched.look(*rows)
    found = watched.look(*({**row, "drops": 9 * (index % 2)} for index, row in enumerate(rows)))
    assert [each.severity for each in found] == ["critical"] * 5 + ["warning"] * 5
    assert len({each.subject.local for each in found}) == 10


def test_subjects_are_bounded_and_the_largest_come_first() -> None:
    watched = Watched("self-connected")
    ends = [f"127.0.{index // 200}.{index % 200}:4000" for index in range(MOST_GROUPS + 50)]
    found = watched.look(*({"local": end, "remote": end, "cookie": index + 1} for index, end in enumerate(ends)))
    assert len(found) == MOST_GROUPS


def test_findings_are_bounded_over_time() -> None:
    watched = Watched("self-connected")
    for second in range(12):
        ends = [f"10.{second}.0.{index}:4000" for index in range(200)]
        found = watched.look(
            *({"local": end, "remote": end, "cookie": 1 + index + 1000 * second} for index, end in enumerate(ends)),
            after=0.1,
        )
    assert len(found) == 2000


def test_holders_are_looked_up_once_and_only_of_what_was_selected() -> None:
    watched = Watched()
    watched.look({}, {"cookie": 2}, FULL, {"local": "127.0.0.1:5", "remote": "127.0.0.1:5", "cookie": 9})
    assert watched.asked == [2]
    watched.look({}, {"cookie": 2})
    assert watched.asked == [2]


def test_a_group_of_several_holders_is_named_by_the_first() -> None:
    holders = {"pid": 9, "program": "b"}
    watched = Watched("close-wait-leak")
    row: dict[str, Any] = {"state": tcp_states.CLOSE_WAIT, "last_data_sent_ms": 90_000, "last_ack_recv_ms": 90_000}
    found = watched.look({**row, **holders}, {**row, "cookie": 2, "pid": 8, "program": "a"})
    assert {each.subject.pid for each in found} == {8, 9}


def test_a_server_with_a_process_for_each_client_is_one_finding() -> None:
    row: dict[str, Any] = {"state": tcp_states.CLOSE_WAIT, "last_data_sent_ms": 90_000, "last_ack_recv_ms": 90_000}
    served = listener(cookie=99, pid=5, program="forks")
    forked = [{**row, "cookie": pid, "pid": pid, "program": "forks"} for pid in (9, 8, 7)]
    found = Watched("close-wait-leak").only(served, *forked)
    assert (found.subject.pid, found.count, found.evidence["processes"]) == (7, 3, 3)
    assert "'state close-wait sport = :12345'" in found.remedy
    nameless = [{**each, "program": None} for each in forked]
    assert len(Watched("close-wait-leak").look(served, *nameless)) == 3


def test_a_client_with_several_processes_is_a_finding_for_each() -> None:
    row: dict[str, Any] = {"state": tcp_states.CLOSE_WAIT, "last_data_sent_ms": 90_000, "last_ack_recv_ms": 90_000}
    client = {**row, "local": "127.0.0.1:40000", "remote": "127.0.0.1:80", "program": "client"}
    found = Watched("close-wait-leak").look({**client, "cookie": 1, "pid": 8}, {**client, "cookie": 2, "pid": 9})
    assert [each.subject.pid for each in found] == [8, 9]


def test_the_process_of_a_route_is_known_where_any_of_its_sockets_has_one() -> None:
    waiting = {"state": tcp_states.TIME_WAIT, "inode": 0, "remote": "10.0.0.9:80"}
    rows = [{**waiting, "local": f"10.0.0.1:{40_000 + index}", "cookie": index + 1} for index in range(90)]
    held = {"local": "10.0.0.1:40095", "remote": "10.0.0.9:80", "cookie": 999, "pid": 7, "program": "client"}
    found = Watched("port-exhaustion").only(*rows, held, limits=Limits(port_range=(40_000, 40_099)))
    assert (found.subject.pid, found.evidence["in_TIME_WAIT"]) == (7, 90)


# Sockets over time.


def test_a_socket_with_another_cookie_is_another_socket() -> None:
    watched = Watched("receiver-slow")
    row = {"recv_q": 100_000, "rmem_alloc": 120_000, "bytes_received": 100_001, "pid": 7}
    for cookie in range(1, 8):
        assert watched.look({**row, "cookie": cookie}) == []


def test_without_cookies_a_socket_is_known_by_its_ends() -> None:
    watched = Watched("receiver-slow")
    row = {"recv_q": 100_000, "rmem_alloc": 120_000, "bytes_received": 100_001, "cookie": None, "pid": 7}
    other = {**row, "remote": "127.0.0.1:40001", "recv_q": 0, "rmem_alloc": 0}
    for _ in range(2):
        assert watched.look(row, other) == []
    assert watched.only(other, row).count == 1


@pytest.mark.parametrize("rows", [[], [{}], [{}, {"cookie": 2}]])
def test_tables_may_be_empty_and_change_their_size(rows: list[dict[str, Any]]) -> None:
    watched = Watched()
    for table in ([], rows, [], rows, [{"cookie": 9}, *rows]):
        watched.look(*table)


def test_the_window_reaches_back_for_a_half_to_the_whole_of_its_time() -> None:
    series = Series(window_s=10)
    windows = []
    for second in range(30):
        seen = Observation(at_ns=second * 10**9, wall="", sockets=Sockets([{}]))
        windows.append(series.observe(seen).window_s)
    assert windows[:4] == [0, 1, 2, 3]
    assert all(5 <= window <= 10 for window in windows[10:])


def test_a_counter_of_a_socket_that_wraps_goes_on_and_one_that_falls_has_not_grown() -> None:
    series = Series()
    before: list[dict[str, Any]] = [
        {"drops": 2**32 - 5},
        {"drops": 9, "cookie": 2},
        {"drops": None, "cookie": 3},
        {"cookie": 5},
    ]
    after: list[dict[str, Any]] = [
        {"drops": 5},
        {"drops": 4, "cookie": 2},
        {"drops": 9, "cookie": 3},
        {"drops": 7, "cookie": 4},
        {"cookie": 5},
    ]
    series.observe(Observation(at_ns=0, wall="", sockets=Sockets(before)))
    grown = series.observe(Observation(at_ns=10**9, wall="", sockets=Sockets(after))).growth("drops")
    np.testing.assert_array_equal(grown, [10, 0, np.nan, 7, 0])


def test_other_ends_are_found_on_this_machine() -> None:
    rows: list[dict[str, Any]] = [
        {"local": "127.0.0.1:1", "remote": "127.0.0.1:2"},
        {"local": "10.0.0.1:1", "remote": "10.0.0.2:2", "cookie": 2},
        {"local": "127.0.0.1:2", "remote": "127.0.0.1:1", "cookie": 3},
    ]
    view = Series().observe(Observation(at_ns=0, wall="", sockets=Sockets(rows)))
    assert view.other_ends(np.arange(3)).tolist() == [2, -1, 0]
    empty = Series().observe(Observation(at_ns=0, wall="", sockets=Sockets([])))
    assert empty.other_ends(np.zeros(0, "i8")).tolist() == []


def test_nobody_holds_what_nobody_looks_up() -> None:
    report = Diagnosis([BY_CODE["self-connected"]]).observe(
        Observation(at_ns=0, wall="", sockets=Sockets([{"local": "127.0.0.1:4", "remote": "127.0.0.1:4"}]))
    )
    assert report.current[0].unseen == ("the program: not looked up",)
    assert nobody(np.arange(2)).by_row == [None, None]


def test_the_ends_of_a_connection_here_that_a_program_does_not_close_are_one_finding() -> None:
    quiet: dict[str, Any] = {"last_data_sent_ms": 90_000, "last_ack_recv_ms": 90_000}
    rows: list[dict[str, Any]] = []
    for port in range(40_000, 40_030):
        ends = {"local": "127.0.0.1:80", "remote": f"127.0.0.1:{port}"}
        forgotten = {**quiet, "state": tcp_states.CLOSE_WAIT, "pid": 7, "program": "server"}
        waiting = {**quiet, "state": tcp_states.FIN_WAIT2, "inode": 0}
        rows += [{**forgotten, **ends}, {**waiting, "local": ends["remote"], "remote": ends["local"]}]
    assert [each.code for each in Watched().look(listener(local="127.0.0.1:80"), *rows)] == ["close-wait-leak"]
    assert [each.code for each in Watched("fin-wait-pile").look(*rows)] == ["fin-wait-pile"]


# Counters.


def test_a_reset_of_the_counters_is_no_condition() -> None:
    watched = Watched()
    names = {name for rule in RULES if isinstance(rule, MachineRule) for name in rule.counters if "TCP." not in name}
    for value in (2**31, 2**31, 0, 0, 0):
        assert watched.look(counters=dict.fromkeys(names, value)) == []


@pytest.mark.parametrize(
    ("before", "now", "grown"),
    [
        (5, 9, 4),
        (5, 5, 0),
        (2**32 - 3, 4, 7),
        (2**64 - 3, 4, 7),
        (1000, 4, 4),  # reset
        (2**32 - 3, 2**31 - 5, 2**31 - 5),  # reset: that would be half of its range
        (2**33, 7, 7),
    ],
)
def test_counters_wrap_or_are_reset(before: int, now: int, grown: int) -> None:
    assert growth(before, now) == grown


def test_a_counter_is_known_within_its_span() -> None:
    series = CounterSeries(span_s=5)
    assert series.now("x") is None
    assert series.span_s(0) == 0
    for second in range(20):
        series.add(second * 10**9, {"x": second * second} if second != 17 else {})
    assert series.now("x") == 361
    assert series.steps("x", 15 * 10**9, 16 * 10**9) == [31]
    assert series.steps("x", 16 * 10**9) == [68, 37]
    assert sum(series.steps("x", 0)) == 361 - 14 * 14
    assert series.span_s(0) == 5


# What is registered.


def test_codes_and_thresholds_are_unique_and_defaults_make_sense() -> None:
    assert len(BY_CODE) == len(RULES) == 31
    for rule in RULES:
        assert isinstance(rule, MachineRule | SocketRule)
        assert rule.sentence.endswith(".")
        names = [threshold.name for threshold in rule.thresholds]
        assert len(set(names)) == len(names)
        assert all(threshold.value > 0 for threshold in rule.thresholds)


def test_a_module_is_named_by_its_code() -> None:
    for code, rule in BY_CODE.items():
        function = rule.look if isinstance(rule, MachineRule) else rule.select
        assert function.__module__ == f"portside.diagnosis.rules.{code.replace('-', '_')}"
        assert (__import__(function.__module__, fromlist=["x"]).__doc__ or "").startswith(f"``{code}``: ")


def test_severities_have_an_order() -> None:
    assert [rank(each) for each in SEVERITIES] == [0, 1, 2]


def test_numbers_of_states_and_timers_are_the_kernels() -> None:
    for name in (
        "ESTABLISHED",
        "SYN_SENT",
        "SYN_RECV",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "TIME_WAIT",
        "CLOSE_WAIT",
        "LAST_ACK",
        "LISTEN",
        "CLOSING",
    ):
        assert getattr(tcp_states, name) == getattr(states, name)
    for number, name in enumerate(("OFF", "RETRANSMIT", "KEEPALIVE", "TIME_WAIT", "PERSIST")):
        assert getattr(tcp_states, f"TIMER_{name}") == number
        assert TIMERS[number] == name.lower().replace("_", "")


# Words.


def test_numbers_are_written_for_people() -> None:
    assert [duration(each) for each in (0.44, 12, 192, 7500, 270_000)] == ["0.4s", "12s", "3m12s", "2h05m", "3d03h"]
    assert [percent(each) for each in (0.004, 0.5)] == ["0.4 %", "50 %"]
    assert [amount(each) for each in (512, 1536, 20 << 20, 3 << 30)] == ["512 B", "1.5 KiB", "20 MiB", "3.0 GiB"]
    assert (rate(5, 2), rate(5, 0)) == (2.5, 0.0)
    np.testing.assert_array_equal(share(np.array([1.0, 1.0]), np.array([2.0, 0.0])), [0.5, np.nan])
