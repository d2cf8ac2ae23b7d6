"""Sums over the summaries of many nodes."""

import pytest
from fleet_records import summary

from portside.fleet.query import counts as module
from portside.fleet.query.counts import OTHERS, Group, Key, TopCounts, TopRow, named
from portside.fleet.query.state import NodeName

A, B = NodeName("paris", "a"), NodeName("paris", "b")


def rows(group: Group, *summaries: object, by: str = "connections") -> list[tuple[Key, TopRow]]:
    counts = TopCounts(group)
    for each in summaries:
        counts.add(A, [each], is_last=True)  # type: ignore[list-item]
    return counts.rows(by, 100)


def test_each_group_is_added_up() -> None:
    counts = TopCounts("program")
    minute = [
        summary("nginx", bytes_sent=5, bytes_received=6, opened=1, closed=2, reset=3, retrans=4, segs_out=8, recv_q=9),
        summary("nginx", local_port=443, send_q=2),
        summary("nginx", state="LISTEN", sockets=2),
    ]
    counts.add(A, minute, is_last=True)
    counts.add(B, minute, is_last=True)
    counts.add(A, minute, is_last=False)
    ((key, row),) = counts.rows("connections", 10)
    assert key == ("nginx",)
    assert (row.connections, row.recv_q, row.send_q, row.nodes) == (12, 18, 4, 2)
    assert (row.bytes_sent, row.bytes_received, row.opened, row.closed) == (15, 18, 3, 6)
    assert (row.resets, row.retransmits, row.segments_out) == (9, 12, 24)


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("program", [{"program": "b"}, {"program": None}]),
        ("node", [{"site": "paris", "node": "a"}]),
        ("port", [{"port": 5432}, {"port": "(outgoing)"}]),
        ("remote", [{"remote": "10.0.0.0/24"}, {"remote": "loopback"}]),
    ],
)
def test_groups(group: Group, expected: list[dict[str, object]]) -> None:
    found = rows(group, summary("b", sockets=9), summary(None, local_port=None, remote="loopback"))
    assert [named(key, group) for key, _ in found] == expected


@pytest.mark.parametrize(
    ("by", "first"),
    [("connections", "c"), ("bytes", "y"), ("retransmits", "r"), ("rtt", "t"), ("resets", "z")],
)
def test_what_they_are_sorted_by(by: str, first: str) -> None:
    found = rows(
        "program",
        summary("c", sockets=50),
        summary("y", bytes_received=10),
        summary("r", retrans=10),
        summary("t", rtt_us=10),
        summary("z", reset=10),
        by=by,
    )
    assert found[0][0] == (first,)


def test_the_rtt_is_the_median_of_the_connections() -> None:
    ((_, row),) = rows("program", summary(rtt_us=100, sockets=9), summary(rtt_us=9000), summary(rtt_us=123_456))
    assert row.rtt_us == 100
    short = summary(rtt_us=9000, state="CLOSE", sockets=0, closed=1000)
    ((_, row),) = rows("program", summary(rtt_us=100, sockets=9), short)
    assert row.rtt_us == 9000, "those that have closed are connections, too"
    ((_, row),) = rows("program", summary(rtt_us=123_456))
    assert row.rtt_us == 123_000
    ((_, row),) = rows("program", summary(rtt_us=None))
    assert row.rtt_us is None


def test_groups_without_room_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_GROUPS", 2)
    found = rows("program", *(summary(f"p{number}") for number in range(6)), summary("x", others=True))
    assert [(key[0], row.connections) for key, row in found] == [(OTHERS, 15), ("p0", 3), ("p1", 3)]


def test_numbers_that_no_machine_has() -> None:
    ((_, row),) = rows("program", *(summary(bytes_sent=(1 << 63) - 1, sockets=-5, rtt_us=-1) for _ in range(9)))
    assert row.bytes_sent == 1 << 62
    assert row.connections == 0
    assert row.rtt_us == 0


def test_nothing_is_no_row() -> None:
    assert rows("program", summary(sockets=0)) == []
