"""What an agent makes of tables and announcements: events, samples, summaries and what is open."""

from collections import Counter
from dataclasses import replace
from itertools import starmap
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.kernel.messages import attribute, socket_message, tcp_info

from portside.app.event_lines import json_lines
from portside.fleet.agent.compact_sockets import CLOSED_INFO, OPEN_INFO, compact_sockets
from portside.fleet.agent.event_records import event_records, pieces, stamp
from portside.fleet.agent.open_connections import MOST_BYTES, OpenSnapshots
from portside.fleet.agent.remote_networks import network_text, remote_networks
from portside.fleet.agent.sampling import Sampler
from portside.fleet.agent.summaries import Minutes, Summaries
from portside.fleet.schema import TrafficSummary
from portside.kernel import states
from portside.kernel.column_names import COLUMNS
from portside.kernel.connection_tracker import ConnectionTracker, EventBatch
from portside.kernel.decoder import decode
from portside.kernel.filter import parse
from portside.kernel.filter.evaluate import evaluate
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Owner
from portside.kernel.table import SocketTable

S = 1_000_000_000
ESTABLISHED, TIME_WAIT, CLOSE, CLOSE_WAIT, LISTEN = 1, 6, 7, 8, 10
AT = "2026-11-28T12:00:00.000000Z"
EPHEMERAL = (32768, 60999)


def info(sent: int = 0, received: int = 0, *, segments: int = 1, again: int = 0, rtt: int = 50) -> bytes:
    """The tcp_info of a connection that has sent and received so many bytes."""
    return attribute(
        2,
        tcp_info(
            248, rtt=("I", 68, rtt), sent=("Q", 200, sent), acked=("Q", 120, sent), received=("Q", 128, received),
            segments=("I", 136, segments), data=("I", 156, segments), retrans=("I", 100, again),
        ),
    )  # fmt: skip


def one(cookie: int, state: int = ESTABLISHED, **given: Any) -> bytes:
    """A socket of a table, or with CLOSE an announcement; its local port is 80, its inode 1000 and its cookie."""
    counts = {name: given.pop(name) for name in ("sent", "received", "segments", "again", "rtt") if name in given}
    remote = given.pop("remote", ("192.0.2.7", 40000 + cookie))
    inode = 0 if state == CLOSE else 1000 + cookie
    given.setdefault("local", ("10.0.0.1", 80))
    return socket_message(
        cookie=cookie, state=state, remote=remote, inode=inode, uid=0, attributes=info(**counts), **given
    )


def table(*messages: bytes, owners: dict[int, tuple[Owner, ...]] | None = None) -> SocketTable:
    made = decode(b"".join(messages)).table
    return made if owners is None else made.with_owners(owners)


class Machine:
    """A machine whose tables and announcements are given, with its summaries."""

    def __init__(self, *messages: bytes, filter: str = "exclude listening", **summaries: Any) -> None:  # noqa: A002
        tree = parse(filter)
        self.tracker = ConnectionTracker(lambda t, age: evaluate(tree, t, age), announced=True, started_ns=0)
        self.summaries = Summaries(port_range=lambda: EPHEMERAL, **summaries)
        self.at_ns = S
        self.events: list[EventBatch] = []
        self.look(*messages)
        self.summaries.start(self.tracked)

    @property
    def tracked(self) -> Any:
        tracked = self.tracker.known
        assert tracked is not None
        return tracked

    def look(self, *messages: bytes, owners: dict[int, tuple[Owner, ...]] | None = None) -> None:
        self.at_ns += S
        events = self.tracker.on_snapshot(table(*messages, owners=owners), self.at_ns)
        self.summaries.look(self.tracked)
        self._keep([*events, *self.tracker.expire()])

    def tell(self, *messages: bytes) -> None:
        self._keep(self.tracker.on_destroy(table(*messages), self.at_ns))

    def _keep(self, events: list[EventBatch]) -> None:
        self.events += events
        self.summaries.add(events)

    def minute(self) -> list[TrafficSummary]:
        return self.summaries.end(self.tracked, AT, 60.0)


# Events.


def told(*messages: bytes) -> EventBatch:
    """The events of announcements that no table has shown."""
    machine = Machine()
    machine.tell(*messages)
    (batch,) = machine.events
    return batch._replace(at_ns=S)


def test_a_closed_connection_is_what_watch_writes_of_it() -> None:
    batch = told(*(one(cookie, CLOSE, sent=10, received=20) for cookie in range(1, 4)))
    records = event_records(batch)
    lines = [msgspec.json.decode(line) for line in json_lines(batch).splitlines()]
    assert [each.event for each in records] == ["closed"] * 3
    for record, line in zip(records, (line for line in lines if line["event"] == "closed"), strict=True):
        ours = msgspec.to_builtins(record)
        assert ours["at"] == line["at"] == stamp(S)
        assert ours.get("duration") == line["duration"]
        theirs = line["socket"]
        known = {name: theirs["info"][name] for name in CLOSED_INFO if theirs["info"].get(name) is not None}
        assert ours["socket"]["info"] == known
        assert known["bytes_sent"] == 10
        for name in ("local", "remote", "state", "proto", "recv_q", "send_q", "owners", "inode", "uid"):
            assert ours["socket"][name] == theirs[name]
        assert ours["socket"]["gaps"]["owners"] == theirs["gaps"]["owners"]


def test_a_remote_end_that_the_kernel_forgot() -> None:
    (record,) = event_records(told(one(1, CLOSE, remote=("192.0.2.7", 0))))
    assert record.socket.remote is None
    assert "the port of 192.0.2.7" in record.socket.gaps["remote"]


def test_owners_and_state_before_are_those_of_the_last_look() -> None:
    machine = Machine()
    owner = Owner(7, "nginx", 3)
    machine.look(one(1), owners={1001: (owner,)})
    machine.tell(one(1, CLOSE, sent=5))
    (record,) = event_records(machine.events[-1])
    assert (record.socket.owners, record.was) == ((owner,), "ESTABLISHED")
    assert record.duration == 0
    assert record.socket.info is not None
    assert record.socket.info["bytes_sent"] == 5


def test_with_opened_a_short_one_is_two_records() -> None:
    batch = told(one(1, CLOSE))
    assert batch.kind == "short"
    (opened,), (closed,) = event_records(batch, opened=True), event_records(batch)
    assert (opened.event, closed.event) == ("opened", "closed")
    assert opened.at <= closed.at


@pytest.mark.parametrize("fields", [CLOSED_INFO, OPEN_INFO])
def test_fields_are_columns_and_sockets_those_of_watch(fields: tuple[str, ...]) -> None:
    assert set(fields) <= COLUMNS
    sockets = table(one(1), one(2, LISTEN, remote=("0.0.0.0", 0)), one(3, CLOSE), owners={1001: (Owner(7, "a", 3),)})
    sockets = replace(sockets, hidden_owners="some are hidden")
    for ours, theirs in zip(compact_sockets(sockets, fields), to_sockets(sockets), strict=True):
        assert {**msgspec.structs.asdict(ours), "info": None, "gaps": None} == {
            **msgspec.structs.asdict(theirs), "info": None, "gaps": None,
        }  # fmt: skip
        assert ours.gaps.items() <= theirs.gaps.items()
        assert theirs.info is not None
        assert (ours.info or {}).items() <= theirs.info.items()


# Sampling.


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=5), st.integers(1, 2000))
def test_a_sample_stands_for_all(sizes: list[int], rate: int) -> None:
    sampler = Sampler(rate, clock=lambda: 0.0)
    kept = 0
    for size, sample in zip(sizes, sampler.sample(sizes), strict=True):
        if sample is None:
            kept += size
            continue
        assert len(sample.rows) == len(sample.of) == len(set(sample.rows.tolist()))
        assert sample.of.sum() == size
        assert sample.of.min() >= 1
        assert sample.rows.min() >= 0
        assert sample.rows.max() < size
        kept += len(sample.rows)
    assert kept + sampler.left_out == sum(sizes)
    assert kept <= rate + len(sizes)  # of each batch at least one


def test_a_rate_holds_over_time() -> None:
    times = iter([0.0, *(at / 5 for at in range(1, 51))])
    sampler = Sampler(100, clock=lambda: next(times))
    kept = sum(len(sample.rows) if sample else 50 for _ in range(50) for sample in sampler.sample([50]))
    assert 900 <= kept <= 1150
    assert kept + sampler.left_out == 2500


def test_records_say_for_how_many_they_stand() -> None:
    batch = told(*(one(cookie, CLOSE) for cookie in range(1, 11)))
    (sample,) = Sampler(3, clock=lambda: 0.0).sample([10])
    some = [event_records(*piece) for piece in pieces(batch, sample, 2)]
    assert [len(records) for records in some] == [2, 1]
    assert sum(each.of for records in some for each in records) == 10


def test_all_are_in_the_pieces_once() -> None:
    batch = told(*(one(cookie, CLOSE) for cookie in range(1, 11)))
    records = [record for piece in pieces(batch, None, 4) for record in event_records(*piece)]
    assert [record.socket.info["cookie"] for record in records if record.socket.info] == list(range(1, 11))
    assert {record.of for record in records} == {1}


# Networks.


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("127.0.1.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("::ffff:127.0.0.1", "loopback"),
        ("2001:db8:1:2ff:a::1", "2001:db8:1:200::/56"),
        ("0.0.0.0", None),
        ("::", None),
    ],
)
def test_remote_networks(address: str, network: str | None) -> None:
    local = ("::1", 80) if ":" in address else ("10.0.0.1", 80)
    sockets = table(one(1, remote=(address, 4000), local=local))
    assert network_text(int(remote_networks(sockets.base)[0])) == network


# Summaries.


def sums(summaries: list[TrafficSummary]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in summaries:
        for name in ("sockets", "opened", "closed", "reset", "bytes_sent", "bytes_received", "segs_out", "retrans"):
            total[name] += getattr(each, name)
    return total


def test_bytes_are_what_was_added_since_the_last_minute() -> None:
    machine = Machine(one(1, sent=100, received=50), one(2, sent=7))
    machine.look(one(1, sent=150, received=60, segments=3, again=1), one(3, sent=9))
    machine.tell(one(2, CLOSE, sent=17), one(4, CLOSE, received=30))
    first = machine.minute()
    assert sums(first) == Counter(
        sockets=2, opened=2, closed=2, bytes_sent=50 + 9 + 10, bytes_received=10 + 30, segs_out=2 + 1 + 0 + 1, retrans=1
    )  # fmt: skip
    machine.look(one(1, sent=151, received=60, segments=3, again=1), one(3, sent=9))
    assert sums(machine.minute()) == Counter(sockets=2, bytes_sent=1)


def test_minutes_are_those_of_the_clock() -> None:
    now = [6058.0]
    minutes = Minutes(lambda: now[0])
    assert not minutes.has_ended()
    now[0] = 6059.9
    assert not minutes.has_ended()
    now[0] = 6063.0
    assert minutes.has_ended()
    assert not minutes.has_ended()
    now[0] = 6125.0
    assert minutes.has_ended()
    now[0] = 6000.0  # the clock was set back
    assert minutes.has_ended()
    assert not minutes.has_ended()


def test_groups_have_program_port_network_and_state() -> None:
    owners: dict[int, tuple[Owner, ...]] = {
        1001: (Owner(7, "nginx", 3),),
        1002: (Owner(8, "nginx", 3),),
        1003: (Owner(9, "curl", 3),),
    }
    machine = Machine()
    machine.look(
        one(9, LISTEN, remote=("0.0.0.0", 0), local=("0.0.0.0", 50000)),
        one(1, rtt=10, queues=(3, 4)),
        one(2, rtt=30),
        one(3, local=("10.0.0.1", 40001), remote=("198.51.100.1", 443)),
        one(4, CLOSE_WAIT, local=("10.0.0.1", 50000)),
        owners=owners,
    )
    machine.tell(one(2, CLOSE))
    found = {(each.program, each.local_port, each.remote, each.state): each for each in machine.minute()}
    assert found.keys() == {
        ("nginx", 80, "192.0.2.0/24", "ESTABLISHED"),
        ("nginx", 80, "192.0.2.0/24", "CLOSE"),
        ("curl", None, "198.51.100.0/24", "ESTABLISHED"),
        (None, 50000, "192.0.2.0/24", "CLOSE_WAIT"),
    }
    open_ones = found["nginx", 80, "192.0.2.0/24", "ESTABLISHED"]
    assert (open_ones.sockets, open_ones.recv_q, open_ones.send_q, open_ones.rtt_us) == (1, 3, 4, 10)
    assert found["nginx", 80, "192.0.2.0/24", "CLOSE"].closed == 1


def test_a_connection_too_short_for_its_owner_to_be_seen_counts_for_the_program_that_listens() -> None:
    listener = one(100, LISTEN, remote=("0.0.0.0", 0))
    nginx, other = (Owner(pid=pid, program=name, fd=3) for pid, name in ((7, "nginx"), (8, "curl")))
    machine = Machine(listener)
    machine.look(listener, one(1), one(2), owners={1100: (nginx,), 1001: (other,)})
    machine.tell(one(3, CLOSE, sent=5), one(4, CLOSE, local=("10.0.0.1", 81)), one(5, CLOSE, local=("10.0.0.1", 40000)))
    found = Counter((each.program, each.local_port, each.state) for each in machine.minute())
    assert found == Counter(
        [
            ("curl", 80, "ESTABLISHED"),
            ("nginx", 80, "ESTABLISHED"),
            ("nginx", 80, "CLOSE"),
            (None, 81, "CLOSE"),
            (None, None, "CLOSE"),
        ]
    )


def test_the_median_of_round_trip_times() -> None:
    machine = Machine()
    machine.look(*starmap(lambda cookie, rtt: one(cookie, rtt=rtt), [(1, 10), (2, 999), (3, 30), (4, 0), (5, 20)]))
    (summary,) = machine.minute()
    assert (summary.sockets, summary.rtt_us) == (5, 20)


@pytest.mark.parametrize(
    ("end", "reset"),
    [
        ({}, 0),
        ({"queues": (1, 0)}, 0),  # the peer's FIN, which the program did not read
        ({"queues": (2, 0)}, 1),  # data that was not read
        ({"queues": (0, 1)}, 1),  # data that was not acknowledged
        ({"remote": ("192.0.2.7", 0)}, 1),  # refused or aborted
    ],
)
def test_what_counts_as_a_reset(end: dict[str, Any], reset: int) -> None:
    machine = Machine()
    machine.tell(one(1, CLOSE, **end))
    assert sums(machine.minute()) == Counter(
        opened=1, closed=1, reset=reset, segs_out=0 if "remote" in end else 1
    )  # fmt: skip


def test_those_that_have_no_room_are_one_and_the_sums_are_right() -> None:
    machine = Machine(most_groups=3)
    machine.look(*(one(cookie, sent=cookie, remote=(f"192.0.{cookie}.1", 4000)) for cookie in range(1, 11)))
    machine.tell(*(one(cookie, CLOSE, sent=cookie, remote=(f"192.1.{cookie}.1", 4000)) for cookie in range(11, 21)))
    summaries = machine.minute()
    assert len(summaries) == 4
    assert [each.others for each in summaries] == [False] * 3 + [True]
    assert sums(summaries) == Counter(
        sockets=10, opened=20, closed=10, bytes_sent=sum(range(1, 21)), segs_out=20
    )  # fmt: skip
    assert sums(summaries[3:])["bytes_sent"] == sum(range(1, 18))


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.booleans(), st.integers(0, 99)), max_size=40),
)
def test_sums_over_groups_are_those_of_all_connections(made: list[tuple[int, int, bool, int]]) -> None:
    machine = Machine(most_groups=2)
    looked: list[bytes] = []
    ended: list[bytes] = []
    for cookie, (network, port, has_closed, sent) in enumerate(made, 1):
        given = {"sent": sent, "remote": (f"192.0.{network}.1", 4000 + cookie), "local": ("10.0.0.1", 80 + port)}
        (ended if has_closed else looked).append(one(cookie, CLOSE if has_closed else ESTABLISHED, **given))
    machine.look(*looked)
    if ended:
        machine.tell(*ended)
    total = sums(machine.minute())
    assert total["bytes_sent"] == sum(sent for *_, sent in made)
    assert (total["sockets"], total["closed"]) == (len(looked), len(ended))


def test_a_filter_chooses_what_is_summed_up() -> None:
    machine = Machine(filter="sport = :81")
    machine.look(one(1, sent=5), one(2, sent=7, local=("10.0.0.1", 81)))
    machine.tell(one(3, CLOSE, sent=11), one(4, CLOSE, sent=13, local=("10.0.0.1", 81)))
    assert sums(machine.minute())["bytes_sent"] == 7 + 13


# What is open.


def snapshots(size: int = 500) -> OpenSnapshots:
    return OpenSnapshots(lambda _: size)


def test_those_with_bytes_in_their_queues_come_first_and_then_the_busiest() -> None:
    machine = Machine()
    listener = one(9, LISTEN, remote=("0.0.0.0", 0))
    machine.look(one(1, sent=5), one(2, sent=500), one(3, queues=(0, 7)), one(4, queues=(8, 0)), listener)
    record = snapshots().look(machine.tracked, AT, 0.0)
    assert record is not None
    assert record.total == 4
    assert [each.info["cookie"] for each in record.sockets if each.info] == [4, 3, 2, 1]


def test_busy_is_what_has_moved_since_the_last_record() -> None:
    machine = Machine()
    machine.look(one(1, sent=10_000), one(2, sent=1))
    source = snapshots()
    assert source.look(machine.tracked, AT, 0.0) is not None
    machine.look(one(1, sent=10_000), one(2, sent=90_000))
    record = source.look(machine.tracked, AT, 20.0)
    assert record is not None
    assert [each.info["cookie"] for each in record.sockets if each.info] == [2, 1]


def test_a_record_is_made_where_something_has_changed_and_once_a_minute() -> None:
    machine = Machine()
    machine.look(one(1))
    source = snapshots()
    assert source.look(machine.tracked, AT, 0.0) is not None
    assert source.look(machine.tracked, AT, 30.0) is None
    assert source.look(machine.tracked, AT, 60.0) is not None
    machine.look(one(1, queues=(1, 0)))
    assert source.look(machine.tracked, AT, 65.0) is None  # too early
    assert source.look(machine.tracked, AT, 70.0) is not None
    machine.look(one(1, queues=(1, 0)), one(2))
    assert source.look(machine.tracked, AT, 80.0) is not None


def test_a_record_fits_and_says_how_many_there_are() -> None:
    machine = Machine()
    machine.look(*map(one, range(1, 101)))
    source = snapshots(MOST_BYTES // 10)
    record = source.look(machine.tracked, AT, 0.0)
    assert record is not None
    assert (len(record.sockets), record.total) == (10, 100)
    machine.look(*map(one, range(2, 101)))
    assert source.look(machine.tracked, AT, 20.0) is None  # a large one is not made as often
    assert source.look(machine.tracked, AT, 45.0) is not None


def test_states_have_the_numbers_of_these_tests() -> None:
    assert [states.NAMES[number] for number in (ESTABLISHED, TIME_WAIT, CLOSE, CLOSE_WAIT, LISTEN)] == [
        "ESTABLISHED", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LISTEN",
    ]  # fmt: skip
