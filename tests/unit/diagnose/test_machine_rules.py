"""Each rule about the whole machine: from counters and limits to findings."""

from collections.abc import Mapping
from typing import Any

import pytest
from diagnosis_series import Sockets, Watched, listener

from portside.diagnosis.findings import Finding
from portside.diagnosis.observation import DescriptorUse, Limits
from portside.diagnosis.tcp_states import SYN_RECV


def grown(code: str, *rows: Mapping[str, Any], limits: Limits = Limits(), **counters: int) -> list[Finding]:  # noqa: B008
    """What a rule finds where counters of TcpExt grew from 1000 within a second."""
    watched = Watched(code)
    watched.look(counters={f"TcpExt.{name}": 1000 for name in counters}, limits=limits)
    return watched.look(*rows, counters={f"TcpExt.{name}": 1000 + by for name, by in counters.items()}, limits=limits)


def test_a_full_syn_queue_is_critical_where_syns_are_dropped() -> None:
    row = {"state": SYN_RECV, "inode": 0}
    (found,) = grown("syn-queue-overflow", row, {**row, "cookie": 2}, TCPReqQFullDrop=5, TCPReqQFullDoCookies=1)
    assert (found.severity, found.count, found.evidence["most_for_port"]) == ("critical", 6, 12345)
    (found,) = grown("syn-queue-overflow", TCPReqQFullDrop=0, TCPReqQFullDoCookies=100)
    assert (found.severity, "most_for_port" in found.evidence) == ("warning", False)
    assert grown("syn-queue-overflow", TCPReqQFullDrop=0, TCPReqQFullDoCookies=0) == []


def test_handshakes_that_wait_behind_a_full_accept_queue_are_info() -> None:
    def severity(**waiting: Any) -> str:
        watched = Watched()
        full = listener(recv_q=6, send_q=5, cookie=9, local="0.0.0.0:12345")
        watched.look(full, counters=dict.fromkeys(cookies, 0))
        found = watched.look(full, {"state": SYN_RECV, "inode": 0, **waiting}, counters=cookies)
        return next(each.severity for each in found if each.code == "syn-queue-overflow")

    cookies = {"TcpExt.TCPReqQFullDrop": 0, "TcpExt.TCPReqQFullDoCookies": 9, "TcpExt.ListenOverflows": 9}
    assert severity(local="127.0.0.1:12345") == "info"
    assert severity(local="127.0.0.1:12346") == "warning"


def test_drops_that_no_queue_explains_are_told_apart() -> None:
    (found,) = grown("listen-drops", ListenDrops=9, ListenOverflows=4, TCPReqQFullDrop=2)
    assert (found.severity, found.count) == ("warning", 3)
    assert grown("listen-drops", ListenDrops=9, ListenOverflows=9, TCPReqQFullDrop=0) == []


def test_connections_without_time_wait_are_counted() -> None:
    (found,) = grown("time-wait-overflow", limits=Limits(max_time_wait=4096), TCPTimeWaitOverflow=3)
    assert found.evidence["max"] == 4096
    watched = Watched("time-wait-overflow")
    watched.look(counters={"TcpExt.TCPTimeWaitOverflow": 0})
    found = watched.only(counters={"TcpExt.TCPTimeWaitOverflow": 1, "TCP.tw": 99})
    assert (found.evidence["in_TIME_WAIT"], "max" in found.evidence) == (99, False)
    assert grown("time-wait-overflow", TCPTimeWaitOverflow=0) == []


def test_making_room_in_buffers_is_info_and_throwing_away_for_long_a_warning() -> None:
    (found,) = grown("receive-pruned", PruneCalled=9, RcvPruned=50)
    assert found.severity == "info"
    watched = Watched("receive-pruned")
    for second in range(4):
        counters = {"TcpExt.PruneCalled": 0, "TcpExt.TCPRcvQDrop": 5 * second}
        found_now = watched.look(counters=counters)
    assert [each.severity for each in found_now] == ["warning"]
    assert grown("receive-pruned", PruneCalled=0) == []


MEMORY = Limits(memory_pages=(100, 200, 400))


@pytest.mark.parametrize(("pages", "severity"), [(199, None), (200, "warning"), (360, "critical")])
def test_memory_is_compared_with_pressure_and_the_most(pages: int, severity: str | None) -> None:
    found = Watched("memory-pressure").look(counters={"TCP.mem": pages}, limits=MEMORY)
    assert [each.severity for each in found] == ([severity] if severity else [])


def test_pressure_that_came_and_went_is_found() -> None:
    watched = Watched("memory-pressure")
    watched.look(counters={"TCP.mem": 1, "TcpExt.TCPMemoryPressures": 0}, limits=MEMORY)
    assert watched.only(counters={"TCP.mem": 1, "TcpExt.TCPMemoryPressures": 1}, limits=MEMORY).severity == "warning"


@pytest.mark.parametrize(("orphans", "severity"), [(24, None), (25, "warning"), (50, "critical")])
def test_orphans_are_compared_with_the_most(orphans: int, severity: str | None) -> None:
    found = Watched("orphans").look(counters={"TCP.orphan": orphans}, limits=Limits(max_orphans=100))
    assert [each.severity for each in found] == ([severity] if severity else [])


def test_orphans_that_were_reset_for_memory_are_critical() -> None:
    watched = Watched("orphans")
    limits = Limits(max_orphans=0)
    watched.look(counters={"TCP.orphan": 0, "TcpExt.TCPAbortOnMemory": 0}, limits=limits)
    assert watched.only(counters={"TCP.orphan": 0, "TcpExt.TCPAbortOnMemory": 2}, limits=limits).severity == "critical"


def test_closing_with_unread_data_is_a_warning_only_if_it_goes_on() -> None:
    assert [each.severity for each in grown("reset-unread", TCPAbortOnClose=1000)] == ["info"]  # one program was killed
    watched = Watched("reset-unread")
    for second in range(7):
        found = watched.look(counters={"TcpExt.TCPAbortOnClose": 10 * second})
        assert [each.severity for each in found] == [[], ["info"], ["warning"]][(second > 0) + (second > 5)]
    killed = Watched("reset-unread")
    for resets in (0, 10, 20, 20, 20, 20, 30, 40, 40, 40):  # and killed once more, each seen in two observations
        found = killed.look(counters={"TcpExt.TCPAbortOnClose": resets})
    assert [each.severity for each in found] == ["info"]
    assert grown("reset-unread", TCPAbortOnClose=0) == []


def test_many_resets_are_info_until_it_is_known_what_is_usual() -> None:
    watched = Watched("reset-burst")
    watched.look(counters={"Tcp.OutRsts": 0})
    found = watched.only(counters={"Tcp.OutRsts": 60})
    assert (found.severity, found.unseen) == ("info", ("how many are usual: watched for less than a minute",))
    assert found.evidence["resets_each_second"] == 60.0


def test_many_more_resets_than_in_the_last_minute_are_a_warning() -> None:
    watched, sent = Watched("reset-burst"), 0
    for _ in range(70):
        sent += 1
        assert watched.look(counters={"Tcp.OutRsts": sent}) == []
    severities = []
    for _ in range(6):
        sent += 600
        severities += [each.severity for each in watched.look(counters={"Tcp.OutRsts": sent})]
    assert severities[-1] == "warning"


def test_as_many_resets_as_always_are_nothing() -> None:
    watched = Watched("reset-burst")
    for second in range(80):
        found = watched.look(counters={"Tcp.OutRsts": 100 * second})
    assert found == []


def test_programs_near_their_limit_are_found_one_by_one() -> None:
    near = (DescriptorUse(7, "httpd", 80, 100), DescriptorUse(8, None, 96, 100), DescriptorUse(9, "ok", 60, 100))
    found = Watched("descriptors-near").look(limits=Limits(descriptors=near))
    assert [(each.severity, each.subject.pid, each.count) for each in found] == [
        ("critical", 8, 96),
        ("warning", 7, 80),
    ]
    assert Watched("descriptors-near").look(limits=Limits(descriptors=(DescriptorUse(1, "x", 9, 0),))) == []


@pytest.mark.parametrize(("count", "severity"), [(74, None), (75, "info"), (90, "warning"), (95, "critical")])
def test_the_table_of_netfilter_fills_up(count: int, severity: str | None) -> None:
    found = Watched("conntrack-near").look(limits=Limits(conntrack=(count, 100)))
    assert [each.severity for each in found] == ([severity] if severity else [])
    assert Watched("conntrack-near").look(limits=Limits(conntrack=(5, 0))) == []


# Refusals come from the sockets that were closed.

REFUSED = {"remote": "10.0.0.9:80", "segs_in": 1, "snd_wnd": 0, "state": 7}


def test_each_end_that_refuses_is_a_finding() -> None:
    watched = Watched("connect-refused")
    other = {**REFUSED, "remote": "[2001:db8::1]:81"}
    made = {**REFUSED, "bytes_acked": 1}
    timed_out = {**REFUSED, "segs_in": 0, "remote": "10.0.0.8:80"}
    unconnected = {**REFUSED, "remote": "0.0.0.0:0"}
    answered = {**REFUSED, "bytes_received": 5}
    windowed = {**REFUSED, "snd_wnd": 65536}
    closed = [Sockets([REFUSED] * 3 + [other, made, timed_out, unconnected, answered, windowed])]
    first, second = watched.look(closed=closed)
    assert (first.subject.remote, first.severity, first.count) == ("10.0.0.9:80", "info", 3)
    assert (second.subject.remote, second.count) == ("[2001:db8::1]:81", 1)


def test_of_a_connect_that_waits_only_the_host_is_known() -> None:
    found = Watched("connect-refused").only(closed=[Sockets([{**REFUSED, "remote": "10.0.0.9:0", "segs_in": 0}])])
    assert found.subject.remote == "10.0.0.9"


def test_refusals_that_go_on_are_a_warning() -> None:
    watched = Watched("connect-refused")
    severities = [watched.only(closed=[Sockets([REFUSED] * 2)]).severity for _ in range(7)]
    assert severities == ["info"] * 5 + ["warning"] * 2


def test_a_server_that_restarts_now_and_then_is_info() -> None:
    watched = Watched("connect-refused")
    for second in range(30):
        refused = [Sockets([REFUSED] * 100)] if second % 5 < 2 else []
        assert {each.severity for each in watched.look(closed=refused)} <= {"info"}


def test_attempts_that_nobody_was_asked_for_are_no_refusals() -> None:
    """Without a free port connect(2) fails with EADDRNOTAVAIL, and AttemptFails does not count it."""
    watched = Watched("connect-refused")
    nowhere = [Sockets([{**REFUSED, "remote": "10.0.0.9:0", "segs_in": 0}] * 50)]
    watched.look(counters={"Tcp.AttemptFails": 7})
    assert watched.look(closed=nowhere, counters={"Tcp.AttemptFails": 7}) == []
    assert watched.only(closed=nowhere, counters={"Tcp.AttemptFails": 10}).count == 3


def test_refusals_on_many_ports_of_a_host_are_one_finding_and_info() -> None:
    watched = Watched("connect-refused")
    scan = [Sockets([{**REFUSED, "remote": f"10.0.0.9:{port}"} for port in range(1, 101)] * 20)]
    other = [Sockets([{**REFUSED, "remote": "10.0.0.8:80"}] * 20)]
    for _ in range(8):
        found = watched.look(closed=[*scan, *other])
    assert [(each.subject.remote, each.severity) for each in found] == [
        ("10.0.0.8:80", "warning"),
        ("10.0.0.9", "info"),
    ]
    assert found[1].evidence["ports"] == 100
    assert "on 100 ports" in found[1].summary


def test_refusals_are_counted_however_often_the_machine_is_looked_at() -> None:
    watched = Watched("connect-refused")
    watched.look(closed=[Sockets([REFUSED] * 3)])
    for _ in range(900):
        found = watched.look(after=0.01)
    assert [each.count for each in found] == [3]


def test_a_short_time_between_the_last_two_looks_makes_no_break() -> None:
    watched = Watched("connect-refused")
    for _ in range(7):
        watched.look(closed=[Sockets([REFUSED] * 2)])
    assert watched.only(closed=[Sockets([REFUSED])], after=0.01).severity == "warning"


def test_the_memory_for_refusals_is_bounded() -> None:
    watched = Watched("connect-refused", lasting=0)
    rows = [{**REFUSED, "cookie": 1}] * 9000
    for _ in range(5):
        found = watched.look(closed=[Sockets(rows)])
    assert found[0].count <= 20_000


# What cannot be seen.


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("syn-queue-overflow", "TcpExt.TCPReqQFullDrop, TcpExt.TCPReqQFullDoCookies: this kernel does not count it"),
        ("conntrack-near", "connections are not tracked here"),
        ("descriptors-near", "the descriptors of processes could not be read"),
    ],
)
def test_a_rule_that_cannot_look_says_why(code: str, why: str) -> None:
    watched = Watched(code)
    watched.look()
    assert watched.report is not None
    assert watched.report.blind == {code: why}


@pytest.mark.parametrize(
    ("code", "counter", "why"),
    [
        ("memory-pressure", "TCP.mem", "net.ipv4.tcp_mem could not be read"),
        ("orphans", "TCP.orphan", "net.ipv4.tcp_max_orphans could not be read"),
    ],
)
def test_a_limit_that_cannot_be_read_is_said(code: str, counter: str, why: str) -> None:
    watched = Watched(code)
    watched.look(counters={counter: 10**9})
    assert watched.report is not None
    assert watched.report.blind == {code: why}


def test_without_announcements_refusals_are_not_seen() -> None:
    watched = Watched("connect-refused")
    watched.look(closed=None)
    assert watched.report is not None
    assert watched.report.blind == {"connect-refused": "closed sockets are not announced here"}


def test_a_column_that_the_source_does_not_tell_is_said() -> None:
    watched = Watched("peer-slow")
    watched.look({}, absent=frozenset(("snd_wnd",)))
    assert watched.report is not None
    assert watched.report.blind == {"peer-slow": "snd_wnd: not told"}
