"""No rule fails, whatever the tables and the counters are, and every finding can be written."""

from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec
from diagnosis_series import DEFAULTS, Sockets, Watched
from hypothesis import given, settings
from hypothesis import strategies as st

from portside.app.diagnose_text import finding_lines
from portside.diagnosis.counters import growth
from portside.diagnosis.findings import Finding
from portside.diagnosis.observation import DescriptorUse, Limits
from portside.diagnosis.registry import RULES
from portside.diagnosis.rule import MachineRule
from portside.diagnosis.series import GROWING
from portside.json_text import encode_json

BYTES = ("timer", "retransmits", "probes", "backoff")
WORDS = (
    *GROWING, "send_q", "mss", "pmtu", "snd_wnd", "cwnd", "unacked", "notsent_bytes", "rto_us", "rtt_us", "min_rtt_us",
    "last_data_sent_ms", "last_data_recv_ms", "last_ack_recv_ms", "rmem_alloc", "rcvbuf", "sndbuf", "segs_in", "inode",
)  # fmt: skip
ENDS = ("127.0.0.1:12345", "127.0.0.1:40000", "10.0.0.1:40001", "[2001:db8::1]:80", "0.0.0.0:0", "[::]:65535")
SIZES = (0, 0, 1, 2, 5, 1000, 60_000, 2_000_000, 2**31, 2**32 - 1)
COUNTERS = sorted(
    {name for rule in RULES if isinstance(rule, MachineRule) for name in rule.counters}
    | {"Tcp.AttemptFails", "TcpExt.RcvPruned", "TcpExt.TCPMemoryPressures", "TcpExt.TCPAbortOnMemory"}
)
ABSENT = (frozenset[str](), frozenset(WORDS), frozenset(("cookie",)), frozenset(("snd_wnd", "total_rto", "drops")))


def any_socket(random: Random) -> dict[str, Any]:
    """A socket of which about half of the columns have any value, and some are not known."""
    row: dict[str, Any] = {"state": random.choice([1, 1, 2, 3, 4, 5, 6, 8, 10, random.randrange(256)])}
    for name in BYTES:
        row[name] = random.choice([0, 1, 4, 9, random.randrange(256)])
    for name in random.sample(WORDS, random.randrange(len(WORDS))):
        row[name] = random.choice([None, *SIZES, random.randrange(2**32)])
    if row.get("total_rto") is not None:
        row["total_rto"] %= 65536
    for name in ("local", "remote"):
        row[name] = random.choice(ENDS)
    return row | {
        "cookie": random.randrange(1, 9),
        "pid": random.choice([None, 1, 2]),
        "program": random.choice([None, "x\n"]),
    }


def any_limits(random: Random) -> Limits:
    def pages() -> int:
        return random.choice([0, 1, 1000, 2**40])

    return Limits(
        port_range=random.choice([None, (1, 65535), (40000, 40001), (5, 4)]),
        memory_pages=random.choice([None, (pages(), pages(), pages())]),
        max_orphans=random.choice([None, 0, 9]),
        max_time_wait=random.choice([None, 0, 9]),
        descriptors=random.choice([None, (), (DescriptorUse(1, None, 9, 9), DescriptorUse(2, "x", 1, 0))]),
        conntrack=random.choice([None, (0, 0), (9, 9)]),
    )


def any_counters(random: Random) -> Mapping[str, int]:
    return {
        name: random.choice([*SIZES, 2**64 - 1, random.randrange(2**64)]) for name in COUNTERS if random.random() < 0.9
    }


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_no_table_makes_a_rule_fail(seed: int) -> None:
    random = Random(seed)
    watched = Watched()
    for _ in range(6):
        sockets = [any_socket(random) for _ in range(random.randrange(8))]
        found = watched.look(
            *sockets,
            after=random.choice([0.0, 0.001, 1.0, 1.0, 40.0]),
            counters=any_counters(random),
            limits=any_limits(random),
            closed=random.choice([None, [Sockets([any_socket(random) for _ in range(3)])]]),
            absent=random.choice(ABSENT),
            hidden=random.choice(["", "hidden"]),
        )
        for finding in found:
            assert msgspec.json.decode(encode_json(finding), type=Finding).code == finding.code
            assert not any("nan" in line or "inf" in line.replace("info", "") for line in finding_lines(finding, 80))
            assert finding.count >= 0
        report = watched.report
        assert report is not None
        assert report.rows.keys() <= {(finding.code, finding.subject) for finding in found}
        for rows in report.rows.values():
            assert len(rows)
            assert set(rows.tolist()) <= set(range(len(sockets)))


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_no_counter_grows_backwards_or_by_more_than_it_has(before: int, now: int) -> None:
    grown = growth(before, now)
    assert grown >= 0
    assert grown == now - before or grown <= max(now, 2**62)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**29))
def test_a_counter_of_32_bits_that_wraps_has_grown_by_what_it_did(before: int, by: int) -> None:
    assert growth(before, (before + by) % 2**32) == by


def test_the_defaults_of_the_series_are_a_healthy_connection() -> None:
    watched = Watched()
    assert watched.look(dict(DEFAULTS)) == watched.look(dict(DEFAULTS)) == []
