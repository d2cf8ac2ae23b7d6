"""The smaller parts of an agent: findings, the node's status, notices, the machine's number, servers' sockets."""

import os
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from unit.kernel.messages import attribute, socket_message, tcp_info

from portside.control.socket_path import ControlSocket
from portside.diagnosis.diagnosis import Report
from portside.diagnosis.findings import Finding, Severity, Subject
from portside.fleet.agent.connections import pause_after as pause_after_look
from portside.fleet.agent.findings import MOST_BYTES, FindingsSource, pause_after
from portside.fleet.agent.machine import machine_number
from portside.fleet.agent.node import NodeStatusSource, count_time_wait, sockets_by_state
from portside.fleet.agent.notices import AGAIN_S, AgentNotices
from portside.fleet.agent.refused import RefusedAttempts
from portside.fleet.agent.server_sockets import server_sockets
from portside.fleet.agent.taken_ports import most_taken
from portside.fleet.agent.tally import Outlet, Tally
from portside.fleet.outbox.database import NO_POSITIONS
from portside.fleet.schema import CurrentFindings, Kind, NodeStatus, OutboxStatus, Record
from portside.kernel.backend import DumpRequest
from portside.kernel.decoder import decode
from portside.kernel.destroy_monitor import NotificationBatch, joined
from portside.kernel.dump_reader import DumpReader
from portside.kernel.filter.tree import EVERYTHING

EMPTY = OutboxStatus(records=0, bytes=0, oldest_s=None, dropped=0)


class Added:
    """What was handed over, and where to."""

    def __init__(self) -> None:
        self.records: list[tuple[Kind, Record]] = []
        self.positions: dict[str, int] = {}
        self.notices: list[str] = []
        self.tally = Tally(lambda: EMPTY)
        self.outlet = Outlet(self.add, self.tally, AgentNotices(lambda words, _hint: self.notices.append(words)))

    def add(self, kind: Kind, records: Sequence[Record], positions: Mapping[str, int] = NO_POSITIONS, /) -> None:
        self.positions.update(positions)
        self.records += [(kind, each) for each in records]

    def of(self, kind: Kind) -> list[Any]:
        return [record for each, record in self.records if each == kind]


# Findings.


def finding(code: str = "retransmits", severity: Severity = "warning", count: int = 10) -> Finding:
    return Finding(code, severity, Subject("program", 7, "nginx"), "s", {}, "w", "r", "t", "t", count)


def report(*findings: Finding) -> Report:
    return Report(findings, (), (), {"syn-queue": "not counted here"}, {})


def source(added: Added, size: int = 100) -> FindingsSource:
    return FindingsSource(EVERYTHING, lambda: ((), 0), added.outlet, lambda _: size)


@pytest.mark.parametrize(
    ("after", "is_published"),
    [
        ([finding()], False),
        ([finding(count=12)], False),
        ([finding(count=13)], True),
        ([finding(severity="critical")], True),
        ([finding("nagle-delay")], True),
        ([finding(), finding("nagle-delay")], True),
        ([], True),
    ],
)
def test_findings_are_published_where_they_change(after: list[Finding], is_published: bool) -> None:
    added = Added()
    ours = source(added)
    ours.publish(report(finding()), 0.0)
    ours.publish(report(*after), 5.0)
    assert [len(each.findings) for each in added.of("findings")] == [1, *([len(after)] if is_published else [])]
    assert added.tally.findings == tuple(after)
    assert added.of("findings")[0].unseen == {"syn-queue": "not counted here"}


def test_findings_are_published_once_a_minute_all_the_same() -> None:
    added = Added()
    ours = source(added)
    for at_s in (0.0, 30.0, 59.0, 60.0, 119.0, 120.0):
        ours.publish(report(), at_s)
    assert len(added.of("findings")) == 3


def test_findings_fit_into_a_message() -> None:
    added = Added()
    source(added, MOST_BYTES // 3).publish(report(*(finding(f"code-{number}") for number in range(5))), 0.0)
    (record,) = added.of("findings")
    assert isinstance(record, CurrentFindings)
    assert [each.code for each in record.findings] == ["code-0", "code-1", "code-2"]
    assert "2 more" in record.unseen["all"]


def test_looks_that_cost_much_are_made_seldom() -> None:
    assert pause_after(0.001) == 5
    assert pause_after(0.03) == pytest.approx(15)
    assert pause_after(10) == 60


def test_looks_at_a_large_table_are_made_more_seldom() -> None:
    assert pause_after_look(0.001, 5.0) == 5
    assert pause_after_look(0.03, 5.0) == pytest.approx(10)
    assert pause_after_look(1.0, 5.0) == 30
    assert pause_after_look(1.0, 0.1) == pytest.approx(0.6)


def test_refused_attempts_are_kept_for_the_diagnosis_and_nothing_else() -> None:
    refused = RefusedAttempts()
    ended = attribute(2, tcp_info(248, window=("I", 228, 65536), segments=("I", 140, 3), rtt=("I", 68, 10)))
    attempt = attribute(2, tcp_info(248, segments=("I", 140, 1)))
    common: dict[str, Any] = {"state": 7, "inode": 0, "uid": 0}
    refused.add(decode(socket_message(cookie=1, attributes=ended, **common)).table)
    refused.add(decode(socket_message(cookie=2, remote=("192.0.2.1", 0), attributes=attempt, **common)).table)
    tables, lost = refused.take(5)
    assert ([len(each) for each in tables], lost) == ([1], 5)
    assert refused.take(7) == ([], 2)


# The node.


def test_a_node_status() -> None:
    added = Added()
    added.tally.table = decode(
        b"".join(socket_message(cookie=number, state=1 + 9 * (number == 3)) for number in range(1, 4))
    ).table
    added.tally.time_wait = 5
    added.tally.sampled, added.tally.lost = 3, 4
    added.tally.counting(added.add)("closed", [])
    node = NodeStatusSource(added.outlet, "abc")
    node.report()
    node.report(last=True)
    first, last = added.of("node")
    assert isinstance(first, NodeStatus)
    assert first.sockets == {"ESTABLISHED": 2, "LISTEN": 1, "TIME_WAIT": 5}
    assert (first.machine, first.sampled, first.lost, first.last, last.last) == ("abc", 3, 4, False, True)
    assert first.rss_bytes is not None
    assert first.rss_bytes > 1 << 20
    assert first.outbox == EMPTY


def test_before_the_first_look_no_sockets_are_known() -> None:
    assert sockets_by_state(None, 5) == {}


def test_time_wait_is_what_the_kernel_counts() -> None:
    text = "sockets: used 9\nTCP: inuse 5 orphan 0 tw 474 alloc 12 mem 1\nUDP: inuse 3 mem 2\n"
    assert count_time_wait(lambda: text) == 474
    assert count_time_wait(lambda: "UDP: inuse 3\n") is None
    assert count_time_wait() is not None


def test_records_are_counted_by_kind() -> None:
    added = Added()
    add = added.tally.counting(added.add)
    add("server", [finding()] * 3)  # type: ignore[list-item]
    add("server", [finding()])  # type: ignore[list-item]
    assert added.tally.records == {"server": 4}


def test_a_machine_has_a_number_that_stays(tmp_path: Path) -> None:
    identity = tmp_path / "machine-id"
    identity.write_text("0123456789abcdef0123456789abcdef\n")
    number = machine_number(str(tmp_path), str(identity))
    assert len(number) == 16
    assert number == machine_number(str(tmp_path / "other"), str(identity))
    assert number not in identity.read_text()


@pytest.mark.parametrize("content", [None, "", "uninitialized\n"])
def test_a_machine_without_a_number_gets_one(tmp_path: Path, content: str | None) -> None:
    identity = tmp_path / "machine-id"
    if content is not None:
        identity.write_text(content)
    folder = tmp_path / "outbox"
    folder.mkdir()
    number = machine_number(str(folder), str(identity))
    assert len(number) == 16
    assert machine_number(str(folder), str(identity)) == number
    other = tmp_path / "other"
    other.mkdir()
    assert machine_number(str(other), str(identity)) != number


# AgentNotices.


def test_a_notice_is_written_once_an_hour_whatever_its_numbers() -> None:
    written: list[str] = []
    now = [0.0]
    notices = AgentNotices(lambda words, _hint: written.append(words), lambda: now[0])
    notices("7 were lost")
    notices("8 were lost")
    notices("the disk is full")
    assert written == ["7 were lost", "the disk is full"]
    now[0] = AGAIN_S
    notices("9 were lost")
    assert written[2:] == ["9 were lost"]
    assert notices.current(8) == ("9 were lost",)


def test_so_many_notices_are_remembered() -> None:
    notices = AgentNotices(lambda _words, _hint: None)
    for letter in range(1000):
        notices("x" * letter)
    assert len(notices.current(10_000)) == 256
    assert notices.current(1) == ("x" * 999,)


def test_notices_come_from_any_thread() -> None:
    written: list[str] = []
    notices = AgentNotices(lambda words, _hint: written.append(words))
    threads = [threading.Thread(target=notices, args=("the same",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written == ["the same"]


# Servers' sockets.


def make_socket(folder: Path, mode: int = 0o700) -> ControlSocket:
    """A socket of this process, as far as its name says."""
    folder.mkdir(parents=True)
    folder.chmod(mode)
    path = folder / f"{os.getpid()}.sock"
    path.touch()
    return ControlSocket(os.getpid(), str(path))


def test_root_sees_the_servers_of_all_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, tmp, uid = tmp_path / "run", tmp_path / "tmp", os.geteuid()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    ours = make_socket(tmp_path / "portside")
    one = make_socket(run / str(uid) / "portside")
    other = make_socket(tmp / f"portside-{uid}")
    make_socket(tmp / "portside-notes")
    make_socket(tmp / f"portside-{uid}0", 0o755)
    (tmp / f"portside-{uid}1").symlink_to(tmp / f"portside-{uid}")
    assert server_sockets(0, run=str(run), tmp=str(tmp)) == [ours, one, other]
    assert server_sockets(uid or 1000, run=str(run), tmp=str(tmp)) == ([ours] if uid else [])


# Announcements that are taken together.


def test_batches_that_came_close_together_are_one() -> None:
    import numpy as np

    batches = [NotificationBatch(np.full(4, at, "u1"), at) for at in (0, 5, 10, 11, 30)]
    assert [(each.data.tolist(), each.at_ns) for each in joined(batches, 10)] == [
        ([0] * 4 + [5] * 4 + [10] * 4, 10),
        ([11] * 4, 11),
        ([30] * 4, 30),
    ]
    assert [each.at_ns for each in joined(batches, 0)] == [0, 5, 10, 11, 30]


# Ports that run out.


def test_how_many_ports_are_taken_towards_one_destination() -> None:
    def taken(local: int, remote: tuple[str, int]) -> bytes:
        return socket_message(state=6, local=("10.0.0.1", local), remote=remote)

    first = [taken(port, ("192.0.2.1", 443)) for port in range(40_000, 40_050)]
    second = [taken(port, ("192.0.2.1", 443)) for port in range(50_000, 50_030)]
    others = [taken(port, ("192.0.2.1", 444)) for port in range(40_000, 40_060)]
    outside = [taken(port, ("192.0.2.1", 443)) for port in range(1000, 1100)]
    tables = [decode(b"".join(some)).table.base for some in (first + others, second + outside)]
    assert most_taken(tables, 32768, 60999) == 80
    assert most_taken([], 32768, 60999) == 0


def test_a_table_in_pieces_has_every_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        reader = DumpReader(small_pages=True)
        try:
            bases = [decode(piece).table.base for piece in reader.pieces(DumpRequest(details=False))]
        finally:
            reader.close()
        ports = {int(port) for base in bases for port in base["local_port"]}
        assert {listener.getsockname()[1], client.getsockname()[1]} <= ports
