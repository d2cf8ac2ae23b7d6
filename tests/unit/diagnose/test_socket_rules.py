"""Each rule about sockets: what it finds, who it names, and where it says nothing."""

from typing import Any

import pytest
from diagnosis_series import Watched, listener

from portside.diagnosis import tcp_states
from portside.diagnosis.observation import Limits
from portside.diagnosis.tcp_states import (
    CLOSE_WAIT,
    FIN_WAIT1,
    FIN_WAIT2,
    SYN_SENT,
    TIME_WAIT,
    TIMER_KEEPALIVE,
    TIMER_PERSIST,
    TIMER_RETRANSMIT,
)  # fmt: skip

SERVER = {"pid": 7, "program": "httpd"}


# Listeners.


def test_a_listener_that_drops_is_named() -> None:
    watched = Watched("accept-queue-overflow")
    counters = {"TcpExt.ListenOverflows": 0}
    assert watched.look(listener(recv_q=3, send_q=5, **SERVER), counters=counters) == []
    full = listener(recv_q=6, send_q=5, drops=4, **SERVER)
    found = watched.only(full, counters={"TcpExt.ListenOverflows": 4})
    assert (found.code, found.severity, found.count) == ("accept-queue-overflow", "warning", 4)
    assert (found.subject.kind, found.subject.local, found.subject.pid) == ("listener", "127.0.0.1:12345", 7)
    assert found.evidence["dropped"] == 4
    found = watched.only({**full, "drops": 9, "recv_q": 2}, counters={"TcpExt.ListenOverflows": 9})
    assert found.severity == "critical"
    assert "at times" in found.summary


def test_a_full_queue_is_found_at_first_sight_and_before_anything_is_dropped() -> None:
    found = Watched("accept-queue-overflow").only(listener(recv_q=1, send_q=0))
    assert "the next connection will be dropped" in found.summary
    assert found.count == 1


def test_a_listener_that_has_dropped_before_excuses_its_clients() -> None:
    waiting = {"state": tcp_states.SYN_SENT, "retransmits": 2, "cookie": 2, "local": "127.0.0.1:40000"}
    clients = {**waiting, "remote": "127.0.0.1:12345"}
    watched = Watched()
    for _ in range(12):  # and long after it: an attempt waits longer from try to try
        assert watched.look(listener(recv_q=3, send_q=5, drops=9), clients) == []
    assert [each.code for each in Watched().look(listener(recv_q=3, send_q=5), clients)] == ["connect-blackhole"]


def test_a_queue_that_overflows_at_times_is_not_said_to_be_nearly_full_too() -> None:
    watched = Watched()
    rows = [listener(recv_q=5, send_q=5, drops=drops) for drops in (0, 4, 8)]
    for drops, row in zip((0, 4, 8), rows, strict=True):
        found = watched.look(row, counters={"TcpExt.ListenOverflows": drops})
    assert [each.code for each in found] == ["accept-queue-overflow"]


def test_no_more_was_dropped_than_queues_overflowed() -> None:
    """The ACK of a handshake that does not fit is counted twice at its listener."""
    watched = Watched("accept-queue-overflow")
    watched.look(listener(recv_q=6, send_q=5), counters={"TcpExt.ListenOverflows": 0})
    found = watched.only(listener(recv_q=6, send_q=5, drops=8), counters={"TcpExt.ListenOverflows": 4})
    assert (found.severity, found.evidence["dropped"]) == ("warning", 4)


@pytest.mark.parametrize(
    ("end", "codes"),
    [
        ({"local": "127.0.0.1:40000", "remote": "127.0.0.1:12345"}, ["accept-queue-overflow"]),
        ({"local": "127.0.0.1:40000", "remote": "127.0.0.7:12345"}, ["accept-queue-overflow"]),
        ({"local": "10.0.0.1:40000", "remote": "10.0.0.1:12345"}, ["accept-queue-overflow"]),
        ({"local": "10.0.0.1:40000", "remote": "10.0.0.2:12345"}, ["accept-queue-overflow", "connect-blackhole"]),
        ({"local": "127.0.0.1:40000", "remote": "127.0.0.1:12346"}, ["accept-queue-overflow", "connect-blackhole"]),
    ],
)
def test_clients_of_a_full_queue_here_are_no_finding_of_their_own(end: dict[str, str], codes: list[str]) -> None:
    full = listener(recv_q=6, send_q=5, local="0.0.0.0:12345")
    waiting = {"state": tcp_states.SYN_SENT, "retransmits": 2, "cookie": 2, **end}
    assert sorted(each.code for each in Watched().look(full, waiting)) == codes
    assert [each.code for each in Watched("connect-blackhole").look(full, waiting)] == ["connect-blackhole"]


def test_drops_without_overflows_are_for_other_rules() -> None:
    watched = Watched("accept-queue-overflow")
    watched.look(listener(recv_q=0, send_q=5), counters={"TcpExt.ListenOverflows": 3})
    assert watched.look(listener(recv_q=0, send_q=5, drops=2), counters={"TcpExt.ListenOverflows": 3}) == []


def test_drops_count_where_the_machine_counts_no_overflows() -> None:
    watched = Watched("accept-queue-overflow")
    watched.look(listener(recv_q=0, send_q=5))
    assert watched.only(listener(recv_q=0, send_q=5, drops=2)).evidence["dropped"] == 2


def test_a_nearly_full_queue_is_said_when_it_lasts() -> None:
    watched = Watched("accept-queue-near")
    near = listener(recv_q=4, send_q=5, **SERVER)
    assert watched.look(near) == []
    found = watched.only(near)
    assert (found.severity, found.count, found.evidence["share"]) == ("warning", 4, 0.8)
    watched = Watched("accept-queue-near")
    for queued in (4, 1, 4, 6):  # for a moment, or beyond the limit
        assert watched.look(listener(recv_q=queued, send_q=5)) == []


def test_one_of_several_listeners_that_gets_behind_is_found() -> None:
    watched = Watched("reuseport-imbalance")
    group = [
        listener(recv_q=queued, send_q=128, cookie=queued + 1, pid=10 + queued, program="worker")
        for queued in (0, 1, 90)
    ]
    other = listener(recv_q=100, send_q=128, local="127.0.0.1:9", cookie=500)
    assert watched.look(*group, other) == []
    found = watched.only(*group, other)
    assert found.evidence["longest_queue"] == 90
    assert found.evidence["listeners"] == 3
    assert found.subject.local == "127.0.0.1:12345"
    assert watched.diagnosis is not None
    alike = [{**each, "recv_q": 20} for each in group]
    watched = Watched("reuseport-imbalance")
    watched.look(*alike)
    assert watched.look(*alike) == []


# Closing.


def waiting(number: int, **given: Any) -> dict[str, Any]:
    return {
        "state": CLOSE_WAIT, "cookie": number, "remote": f"10.0.0.1:{50000 + number}", "last_data_sent_ms": 90_000,
        "last_ack_recv_ms": 80_000, **SERVER, **given,
    }  # fmt: skip


def test_a_leak_of_one_program_is_one_finding_with_a_count() -> None:
    found = Watched("close-wait-leak").only(*(waiting(number) for number in range(1, 501)))
    assert (found.severity, found.count) == ("critical", 500)
    assert found.subject.local == "127.0.0.1:12345"
    assert (found.subject.pid, found.subject.program) == (7, "httpd")
    assert found.evidence["older_than_age"] == 500
    assert "the oldest for 1m20s" in found.summary
    assert "pid = 7" in found.remedy


def test_few_are_a_warning_and_many_that_grow_are_critical() -> None:
    watched = Watched("close-wait-leak")
    rows = [waiting(number) for number in range(1, 12)]
    assert watched.only(*rows).severity == "warning"
    found = watched.only(*rows, waiting(99, last_data_sent_ms=100, last_ack_recv_ms=100))
    assert found.severity == "critical"
    assert found.evidence["more_each_second"] == 1.0


@pytest.mark.parametrize(
    "healthy",
    [
        waiting(1, last_data_sent_ms=10),  # still sends its answer
        waiting(1, last_ack_recv_ms=10),
        waiting(1, inode=0),  # not accepted yet
        waiting(1, state=tcp_states.ESTABLISHED),
    ],
)
def test_what_still_moves_is_no_leak(healthy: dict[str, Any]) -> None:
    assert Watched("close-wait-leak").look(healthy) == []


def test_without_the_kernels_times_the_age_is_that_which_was_seen() -> None:
    watched = Watched("close-wait-leak", age=5)
    old = waiting(1, last_data_sent_ms=None, last_ack_recv_ms=None)
    assert watched.look(old) == []
    assert watched.look(old, after=4) == []
    assert watched.only(old, after=1).evidence["oldest_s"] == 5.0


def test_a_leak_whose_program_may_not_be_seen_says_so() -> None:
    found = Watched("close-wait-leak").only({**waiting(1), "pid": None}, hidden="3 processes could not be read")
    assert found.subject.pid is None
    assert found.unseen == ("the program: 3 processes could not be read",)
    assert "--kill" not in found.remedy


def test_a_client_is_named_by_its_peer() -> None:
    client = waiting(1, local="10.0.0.2:40000", remote="10.0.0.1:443")
    subject = Watched("close-wait-leak").only(client).subject
    assert (subject.local, subject.remote) == (None, "10.0.0.1:443")


def test_a_port_that_is_listened_on_is_the_service_whatever_its_number() -> None:
    client_port_lower = waiting(1, local="10.0.0.2:50000", remote="10.0.0.1:2000")
    here = listener(local="10.0.0.2:50000", cookie=9)
    assert Watched("close-wait-leak").only(client_port_lower, here).subject.local == "10.0.0.2:50000"


def test_a_service_with_several_addresses_is_one_subject() -> None:
    rows = [waiting(1, local="10.0.0.2:80"), waiting(2, local="[2001:db8::1]:80", remote="[2001:db8::2]:5000")]
    found = Watched("close-wait-leak").only(*rows)
    assert (found.subject.local, found.count) == ("*:80", 2)


def test_connections_that_peers_do_not_close_pile_up() -> None:
    rows = [waiting(number, state=FIN_WAIT1 if number % 2 else FIN_WAIT2) for number in range(1, 41)]
    found = Watched("fin-wait-pile").only(*rows)
    assert (found.severity, found.count, found.evidence["in_FIN_WAIT1"]) == ("warning", 40, 20)
    assert Watched("fin-wait-pile").look(*rows[:19]) == []
    young = [{**row, "last_ack_recv_ms": 5} for row in rows]
    assert Watched("fin-wait-pile").look(*young) == []
    assert Watched("fin-wait-pile", any_age=40).only(*young).count == 40


# Ports.

RANGE = Limits(port_range=(50001, 50100))


def to_one(count: int, **given: Any) -> list[dict[str, Any]]:
    return [
        {"local": f"10.0.0.2:{50000 + number}", "remote": "10.0.0.1:80", "cookie": number, **SERVER, **given}
        for number in range(1, count + 1)
    ]


def test_ports_towards_one_destination_run_out() -> None:
    found = Watched("port-exhaustion").only(*to_one(96, state=TIME_WAIT), limits=RANGE)
    assert (found.severity, found.count, found.evidence["in_TIME_WAIT"]) == ("critical", 96, 96)
    assert (found.subject.local, found.subject.remote) == ("10.0.0.2", "10.0.0.1:80")
    assert Watched("port-exhaustion").only(*to_one(80), limits=RANGE).severity == "warning"
    assert Watched("port-exhaustion").look(*to_one(79), limits=RANGE) == []


def test_ports_towards_many_destinations_do_not_run_out() -> None:
    rows = [{**row, "remote": f"10.0.1.{index}:80"} for index, row in enumerate(to_one(96))]
    assert Watched("port-exhaustion").look(*rows, limits=RANGE) == []
    assert Watched("port-exhaustion").look(*to_one(96)) == []  # the range could not be read


# Who does not read.


def full(**given: Any) -> dict[str, Any]:
    return {"recv_q": 100_000, "rcvbuf": 131072, "rmem_alloc": 120_000, "bytes_received": 100_001, **SERVER, **given}


def test_a_program_that_does_not_read_is_found() -> None:
    watched = Watched("receiver-slow")
    assert watched.look(full()) == []
    assert watched.look(full()) == []
    found = watched.only(full(last_data_recv_ms=2000))
    assert (found.severity, found.subject.pid) == ("info", 7)
    assert "nothing for 2.0s" in found.summary
    found = watched.only(full(last_data_recv_ms=60_000))
    assert (found.severity, found.evidence["nothing_read_for_s"]) == ("warning", 60.0)


def test_a_slow_reader_that_goes_on_is_info() -> None:
    watched = Watched("receiver-slow")
    for second in range(8):
        found = watched.look(full(bytes_received=100_001 + 1000 * second, last_data_recv_ms=900))
    assert [each.severity for each in found] == ["info"]
    assert "slowly" in found[0].summary


def test_a_small_rest_that_nobody_reads_is_info_after_a_while() -> None:
    watched = Watched("receiver-slow")
    assert watched.look(full(recv_q=5, rmem_alloc=768)) == []
    found = watched.only(full(recv_q=5, rmem_alloc=768), after=30)
    assert (found.severity, found.evidence["recv_q_bytes"]) == ("info", 5)


def test_a_connection_that_was_not_accepted_is_not_the_programs_fault() -> None:
    watched = Watched("receiver-slow")
    for _ in range(8):
        assert watched.look(full(inode=0, last_data_recv_ms=60_000)) == []


def closed_window(**given: Any) -> dict[str, Any]:
    return {
        "timer": TIMER_PERSIST,
        "send_q": 500_000,
        "snd_wnd": 0,
        "rto_us": 200_000,
        "bytes_acked": 9,
        **SERVER,
        **given,
    }


def test_a_closed_window_is_found_at_first_sight_by_its_backoff() -> None:
    found = Watched("peer-slow").only(closed_window(backoff=6))
    assert (found.severity, found.evidence["closed_for_s"]) == ("warning", 12.6)
    assert found.evidence["peer"] == "127.0.0.1:40000"


def test_a_window_that_closes_for_a_moment_is_nothing_and_for_longer_info() -> None:
    watched = Watched("peer-slow")
    assert watched.look(closed_window()) == []
    assert watched.look(closed_window()) == []
    assert watched.only(closed_window()).severity == "info"
    assert watched.look(closed_window(bytes_acked=10_000), after=6) == []  # it has moved


def test_a_closed_window_whose_other_end_reads_here_is_no_finding() -> None:
    reader = full(local="127.0.0.1:40000", remote="127.0.0.1:12345", cookie=2)
    watched = Watched("peer-slow")
    watched.look(closed_window(backoff=7, cookie=1), reader)
    assert watched.report is not None
    assert watched.report.current  # not known yet
    watched = Watched("peer-slow")
    watched.look(reader)
    assert watched.look(closed_window(backoff=7, cookie=1), {**reader, "recv_q": 90_000}) == []
    assert watched.only(closed_window(backoff=7, cookie=1), {**reader, "recv_q": 90_000}).severity == "warning"


def test_a_closed_window_of_a_program_here_that_is_found_itself_is_no_finding_of_its_own() -> None:
    reader = full(local="127.0.0.1:40000", remote="127.0.0.1:12345", cookie=2, pid=7, program="reader")
    watched = Watched()
    for _ in range(6):
        found = watched.look(closed_window(backoff=7, cookie=1), reader)
    assert [each.code for each in found] == ["receiver-slow"]
    in_a_queue = {**reader, "inode": 0, "pid": None}
    assert [each.code for each in Watched().look(closed_window(backoff=7, cookie=1), in_a_queue)] == ["peer-slow"]


def test_a_transfer_that_waits_for_its_buffer_is_info() -> None:
    watched = Watched("send-buffer-limited")
    assert watched.look({"busy_us": 5_000_000}) == []
    found = watched.only({"busy_us": 6_000_000, "sndbuf_limited_us": 400_000, **SERVER})
    assert (found.severity, found.evidence["share"]) == ("info", 0.4)
    watched = Watched("send-buffer-limited")
    watched.look({"busy_us": 5_000_000})
    assert watched.look({"busy_us": 5_400_000, "sndbuf_limited_us": 400_000}) == []


# Peers and paths.


@pytest.mark.parametrize(
    "lost",
    [
        {"timer": TIMER_RETRANSMIT, "retransmits": 4},
        {"timer": TIMER_KEEPALIVE, "probes": 3},
    ],
)
def test_a_peer_that_answers_nothing_has_vanished(lost: dict[str, int]) -> None:
    row = {"remote": "10.0.0.9:80", "last_ack_recv_ms": 12_000, "last_data_recv_ms": 99_000, "send_q": 5, **lost}
    found = Watched("peer-vanished").only(row, {**row, "cookie": 2, "remote": "10.0.0.9:81"})
    assert (found.severity, found.count, found.subject.remote) == ("warning", 2, "10.0.0.9")
    assert found.evidence["silent_s"] == 12.0
    assert Watched("peer-vanished").look({**row, "last_ack_recv_ms": 100}) == []
    assert Watched("peer-vanished").look({**row, "state": SYN_SENT}) == []


def test_idle_connections_without_keepalive_are_info_however_many() -> None:
    row = {"last_data_sent_ms": 400_000, "last_data_recv_ms": 350_000, **SERVER}
    found = Watched("idle-unprotected").only(*({**row, "cookie": number} for number in range(1, 1001)))
    assert (found.severity, found.count) == ("info", 1000)
    for healthy in ({"timer": TIMER_KEEPALIVE}, {"last_data_recv_ms": 5}, {"inode": 0}):
        assert Watched("idle-unprotected").look({**row, **healthy}) == []


def test_a_syn_that_gets_no_answer_is_found() -> None:
    row = {"state": SYN_SENT, "local": "10.0.0.2:40000", "remote": "10.0.0.9:80", "retransmits": 2, **SERVER}
    found = Watched("connect-blackhole").only(row, {**row, "local": "10.0.0.2:40001", "cookie": 2})
    assert (found.severity, found.count) == ("warning", 2)
    assert (found.subject.remote, found.subject.pid) == ("10.0.0.9:80", 7)
    assert found.evidence["longest_s"] == 2.0
    assert Watched("connect-blackhole").look({**row, "retransmits": 0}) == []


def sending(megabytes: int, **given: Any) -> dict[str, Any]:
    return {"remote": "10.0.0.9:80", "bytes_sent": megabytes * 1_000_000, **given}


def test_the_retransmit_ratio_is_that_of_all_connections_to_a_host() -> None:
    watched = Watched("retransmits")
    watched.look(sending(1), sending(1, cookie=2))
    again = {"bytes_retrans": 200_000, "retrans_total": 100}
    found = watched.only(sending(6, **again), sending(6, cookie=2))
    assert (found.severity, found.evidence["share"], found.count) == ("info", 0.02, 1)
    watched = Watched("retransmits")
    watched.look(sending(1), sending(1, cookie=2))
    assert watched.only(sending(6, **again)).severity == "warning"
    watched = Watched("retransmits")
    watched.look(sending(1))
    assert watched.look(sending(101, **again)) == []


def test_what_arrived_twice_or_met_a_closed_window_was_not_lost() -> None:
    again = {"bytes_retrans": 500_000, "retrans_total": 100}
    for harmless in ({"dsack_dups": 90}, {"busy_us": 100, "rwnd_limited_us": 60}):
        watched = Watched("retransmits")
        watched.look(sending(1))
        assert watched.only(sending(6, **again, **harmless)).severity == "info"


def test_time_outs_are_counted_or_seen_by_the_backoff() -> None:
    watched = Watched("retransmit-timeouts")
    assert watched.look(sending(1, total_rto=7)) == []
    found = watched.only(sending(1, total_rto=9, bytes_acked=1))
    assert (found.severity, found.evidence["timeouts"]) == ("warning", 2)
    backing_off = sending(1, timer=TIMER_RETRANSMIT, backoff=2, total_rto=None)
    watched = Watched("retransmit-timeouts")
    assert watched.look(backing_off) == watched.look(backing_off) == []  # nothing comes back: it may have vanished
    assert watched.only({**backing_off, "bytes_acked": 9}).evidence["largest_backoff"] == 2


def test_what_arrived_twice_is_info() -> None:
    watched = Watched("spurious-retransmits")
    watched.look(sending(1))
    found = watched.only(sending(2, retrans_total=20, dsack_dups=10))
    assert (found.severity, found.evidence["share"]) == ("info", 0.5)
    for few in ({"retrans_total": 9, "dsack_dups": 9}, {"retrans_total": 20, "dsack_dups": 5}, {"retrans_total": 20}):
        watched = Watched("spurious-retransmits")
        watched.look(sending(1))
        assert watched.look(sending(2, **few)) == []


def test_reordering_is_seen_at_both_ends() -> None:
    for much in ({"reord_seen": 5}, {"rcv_ooopack": 10, "data_segs_in": 100}):
        watched = Watched("reordering")
        watched.look(sending(1))
        assert watched.only(sending(2, **much)).severity == "info"
    for little in ({"reord_seen": 4}, {"rcv_ooopack": 4, "data_segs_in": 100}, {"rcv_ooopack": 9, "data_segs_in": 99}):
        watched = Watched("reordering")
        watched.look(sending(1))
        assert watched.look(sending(2, **little)) == []


@pytest.mark.parametrize(("rtt_ms", "severity"), [(70, "info"), (230, "warning")])
def test_a_full_queue_on_the_way_is_found(rtt_ms: int, severity: str) -> None:
    watched = Watched("bufferbloat")
    row = sending(1, rtt_us=rtt_ms * 1000, min_rtt_us=10_000, unacked=50)
    assert watched.look(row) == []
    assert watched.look(row) == []
    assert watched.only(row).severity == severity
    for healthy in ({"unacked": 2}, {"rtt_us": 30_000}, {"min_rtt_us": 60_000}, {"min_rtt_us": None}):
        watched = Watched("bufferbloat")
        for _ in range(4):
            assert watched.look({**row, **healthy}) == []


def test_small_segments_are_due_to_the_path_or_to_the_offer() -> None:
    found = Watched("small-mss").only(sending(1, mss=536, pmtu=576))
    assert (found.severity, found.evidence["small_path_mtu"]) == ("warning", 1)
    assert "path" in found.summary
    found = Watched("small-mss").only(sending(1, mss=536))
    assert found.severity == "info"
    assert Watched("small-mss").look(sending(1, mss=536, snd_wnd=1072)) == []  # a tiny window
    assert Watched("small-mss").look(sending(1)) == []


def test_small_writes_that_wait_for_acknowledgements_are_found() -> None:
    row = {
        "notsent_bytes": 100, "unacked": 1, "rtt_us": 41_000, "min_rtt_us": 60, "data_segs_out": 10, "bytes_sent": 1000,
        **SERVER,
    }  # fmt: skip
    watched = Watched("nagle-delay")
    watched.look(row)
    found = watched.only({**row, "data_segs_out": 30, "bytes_sent": 3000})
    assert (found.severity, found.evidence["bytes_a_segment"], found.subject.pid) == ("warning", 100, 7)
    for healthy in (
        {"notsent_bytes": 0},
        {"rtt_us": 9000},
        {"bytes_sent": 50_000},
        {"snd_wnd": 100},
        {"min_rtt_us": 40_000},
    ):
        watched = Watched("nagle-delay")
        watched.look({**row, **healthy, "bytes_sent": 1000})
        assert watched.look({**row, "data_segs_out": 30, "bytes_sent": 3000, **healthy}) == []


def test_a_socket_that_is_connected_to_itself_is_found() -> None:
    row = {"local": "127.0.0.1:40000", "remote": "127.0.0.1:40000", **SERVER}
    found = Watched("self-connected").only(row)
    assert (found.severity, found.subject.kind) == ("warning", "socket")
    assert Watched("self-connected").look({**row, "remote": "127.0.0.2:40000"}) == []
    assert Watched("self-connected").look({**row, "state": TIME_WAIT}) == []
    assert "Process 7" in Watched("self-connected").only({**row, "program": None}).summary
    assert "The program" in Watched("self-connected").only({**row, "pid": None}).summary
