"""Looks and announcements joined: each test is a story of a few sockets, told as the kernel tells it."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.kernel.messages import attribute, socket_message, tcp_info

from portside.kernel import connection_tracker as module
from portside.kernel import states
from portside.kernel.backend import BackendError
from portside.kernel.connection_tracker import ConnectionTracker, EventBatch
from portside.kernel.counters import TcpMib, parse_tcp_mib
from portside.kernel.decoder import decode
from portside.kernel.filter import parse
from portside.kernel.filter.evaluate import evaluate
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Owner
from portside.kernel.table import Mask, OwnersByKey, SocketTable, Unavailable

S = 1_000_000_000
STUB = (3, 60_000, 0)
ESTABLISHED, SYN_SENT, SYN_RECV, TIME_WAIT, CLOSE, CLOSE_WAIT, LISTEN = 1, 2, 3, 6, 7, 8, 10


def table(*messages: bytes) -> SocketTable:
    return decode(b"".join(messages)).table


def live(cookie: int, state: int = ESTABLISHED, **more: Any) -> bytes:
    return socket_message(cookie=cookie, state=state, remote=("127.0.0.1", 40000 + cookie % 1000), **more)


def told(
    cookie: int,
    *,
    rtt_us: int = 50,
    silent_ms: int = 0,
    sent: int = 1,
    sent_ms: int = 0,
    remote: tuple[str, int] | None = None,
    queues: tuple[int, int] = (0, 0),
) -> bytes:
    """An announcement of a connection that sent 10 bytes in a segment and received none for so long."""
    info = tcp_info(
        248,
        rtt=("I", 68, rtt_us),
        sent=("Q", 200, 10 * sent),
        segments=("I", 156, sent),
        sending=("I", 44, sent_ms),
        received=("I", 52, silent_ms),
    )
    end = remote or ("127.0.0.1", 40000 + cookie % 1000)
    told = attribute(2, info)
    return socket_message(cookie=cookie, state=CLOSE, inode=0, uid=0, remote=end, queues=queues, attributes=told)


def told_lines(events: list[EventBatch]) -> list[tuple[str, str, int, int]]:
    """Kind, how it was seen, cookie and state before."""
    return [
        (each.kind, each.detected_by, cookie, was)
        for each in events
        for cookie, was in zip(each.table.column("cookie").values.tolist(), each.was.tolist(), strict=True)
    ]


def changes(filter_text: str = "", *, announced: bool = True) -> ConnectionTracker:
    tree = parse(filter_text)

    def matches(sockets: SocketTable, age_s: npt.NDArray[np.float64]) -> Mask:
        return evaluate(tree, sockets, age_s)

    return ConnectionTracker(matches, announced=announced, started_ns=S)


def test_what_is_there_at_the_start_is_not_opened_but_closed() -> None:
    joined = changes()
    assert joined.on_snapshot(table(live(1)), S) == []
    assert told_lines(joined.on_snapshot(table(live(1), live(2)), 2 * S)) == [("opened", "poll", 2, 0)]
    (closed,) = joined.on_destroy(table(told(1, silent_ms=1500), told(2)), 3 * S)
    assert told_lines([closed]) == [("closed", "destroy", 1, ESTABLISHED), ("closed", "destroy", 2, ESTABLISHED)]
    assert closed.duration_s.tolist() == [1.5, 0.0]
    assert closed.table.column("inode").values.tolist() == [77, 77]
    assert joined.on_snapshot(table(), 4 * S) == joined.expire() == []
    assert joined.on_snapshot(table(), 5 * S) == joined.expire() == []
    assert joined.opened == 1


def test_a_change_of_state() -> None:
    joined = changes()
    joined.on_snapshot(table(), S)
    assert told_lines(joined.on_snapshot(table(live(1, SYN_RECV)), 2 * S)) == [("opened", "poll", 1, 0)]
    assert joined.opened == 0
    assert told_lines(joined.on_snapshot(table(live(1)), 3 * S)) == [("changed", "poll", 1, SYN_RECV)]
    assert joined.opened == 1
    assert joined.on_snapshot(table(live(1)), 4 * S) == []
    assert told_lines(joined.on_snapshot(table(live(1, CLOSE_WAIT)), 5 * S)) == [("changed", "poll", 1, ESTABLISHED)]


def test_a_handshake_that_a_look_met_in_its_last_moment() -> None:
    """It got a cookie of its own then, and so what is made of it has another (here: the same ends a thousand on)."""
    joined = changes()
    joined.on_snapshot(table(), S)
    assert told_lines(joined.on_snapshot(table(live(1, SYN_RECV), live(2, SYN_RECV)), 2 * S)) == [
        ("opened", "poll", 1, 0),
        ("opened", "poll", 2, 0),
    ]
    assert told_lines(joined.on_destroy(table(told(1001), told(2001)), 2 * S)) == [
        ("closed", "destroy", 1001, SYN_RECV),
        ("short", "destroy", 2001, 0),  # another connection from there
    ]
    assert told_lines(joined.on_snapshot(table(live(1002)), 3 * S)) == [("changed", "poll", 1002, SYN_RECV)]
    assert joined.opened == 3
    assert joined.expire() == joined.on_snapshot(table(live(1002)), 4 * S) == joined.expire() == []
    assert told_lines(joined.on_destroy(table(told(1002)), 5 * S)) == [("closed", "destroy", 1002, ESTABLISHED)]


def test_one_that_a_look_met_in_its_last_moment() -> None:
    """It is in CLOSE, which the filter does not show; and so its end is told as that of one that no look has met."""
    joined = changes("state connected")
    joined.on_snapshot(table(live(1)), S)
    assert told_lines(joined.on_snapshot(table(live(1, CLOSE), live(2, CLOSE)), 2 * S)) == [
        ("changed", "poll", 1, ESTABLISHED),
    ]
    assert told_lines(joined.on_destroy(table(told(1), told(2)), 3 * S)) == [
        ("closed", "destroy", 1, CLOSE),
        ("short", "destroy", 2, 0),
    ]
    assert joined.opened == 1


def test_one_that_no_look_has_shown() -> None:
    joined = changes()
    joined.on_snapshot(table(), S)
    (short,) = joined.on_destroy(table(told(7, silent_ms=4)), 2 * S)
    assert told_lines([short]) == [("short", "destroy", 7, 0)]
    assert short.duration_s.tolist() == [0.004]
    (row,) = to_sockets(short.table)
    assert row.info is not None
    assert (row.info["bytes_sent"], row.info["rtt_us"], row.owners) == (10, 50, None)
    assert row.gaps["owners"] == "its program had closed it before anybody looked"
    assert joined.opened == 1


def test_one_that_ended_before_the_watch_began_is_only_closed() -> None:
    joined = changes()
    joined.on_snapshot(table(), S)
    assert told_lines(joined.on_destroy(table(told(7, silent_ms=5000)), 2 * S)) == [("closed", "destroy", 7, 0)]
    assert joined.opened == 0


def test_a_socket_that_was_never_connected_is_no_connection() -> None:
    joined = changes()
    joined.on_snapshot(table(), S)
    assert joined.on_destroy(table(told(7, remote=("0.0.0.0", 0))), 2 * S) == []


def test_what_the_kernel_forgot_is_unknown_or_known_from_a_look() -> None:
    joined = changes()
    joined.on_snapshot(table(live(1)), S)
    gone = [told(cookie, rtt_us=0, remote=("127.0.0.1", 0)) for cookie in (1, 2)]
    closed, short = joined.on_destroy(table(*gone), 2 * S)
    assert (closed.kind, short.kind) == ("closed", "short")
    (seen_before,) = to_sockets(closed.table)
    assert seen_before.remote == "127.0.0.1:40001"
    for events in (closed, short):
        assert not events.table.column("bytes_sent").known.any()


def test_queues_that_the_kernel_invents_are_not_known() -> None:
    """tcp_disconnect moves a sequence number, from which the queue is reckoned."""
    joined = changes("sendq > 60000")
    joined.on_snapshot(table(live(1)), S)
    gone = [told(cookie, rtt_us=0, remote=("127.0.0.1", 0), queues=(5, 65538)) for cookie in (1, 2)]
    assert joined.on_destroy(table(*gone), 2 * S) == []
    joined = changes()
    joined.on_snapshot(table(live(1)), S)
    for events in joined.on_destroy(table(*gone), 2 * S):
        (row,) = to_sockets(events.table)
        assert (row.recv_q, row.send_q) == (None, None)
        assert row.gaps["send_q"] == "the kernel forgets it of a connection that was refused or aborted"


def test_a_listener_that_closes_has_aborted_nothing() -> None:
    joined = changes()
    joined.on_snapshot(table(live(1, LISTEN)), S)
    (closed,) = joined.on_destroy(table(told(1, rtt_us=0, remote=("0.0.0.0", 0))), 2 * S)
    assert told_lines([closed]) == [("closed", "destroy", 1, LISTEN)]
    (row,) = to_sockets(closed.table)
    assert (row.recv_q, row.send_q) == (0, 0)
    assert row.gaps == {"info": "the kernel did not tell it", "owners": "not looked up"}


def test_a_socket_that_connected_to_itself_is_not_as_old_as_the_machine() -> None:
    """Where both ends open at once, the kernel does not start the clock of what is received."""
    long_ms = 4 * 3_600_000
    joined = changes()
    joined.on_snapshot(table(), S)
    (short,) = joined.on_destroy(table(told(7, sent=0, sent_ms=300, silent_ms=long_ms)), 2 * S)
    assert told_lines([short]) == [("short", "destroy", 7, 0)]
    assert short.duration_s.tolist() == [0.3]
    joined.on_snapshot(table(live(1)), 2 * S)
    (closed,) = joined.on_destroy(table(told(1, sent=0, sent_ms=300, silent_ms=long_ms)), 3 * S)
    assert closed.duration_s.tolist() == [0.3]
    assert joined.opened == 2


def test_a_clock_that_is_older_than_the_watch_is_none_of_what_was_seen_to_open() -> None:
    joined = changes()
    joined.on_snapshot(table(live(1)), S)
    joined.on_snapshot(table(live(1), live(2)), 3 * S)
    (closed,) = joined.on_destroy(table(told(1, silent_ms=90_000), told(2, silent_ms=90_000)), 5 * S)
    assert closed.duration_s.tolist() == [90.0, 2.0]


def test_only_so_many_that_closed_without_notice_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLOSED_REMEMBERED", 2)
    joined = changes()
    joined.on_snapshot(table(live(1), live(2), live(3)), S)
    joined.on_snapshot(table(), 2 * S)
    joined.on_snapshot(table(), 3 * S)
    assert len(told_lines(joined.expire())) == 3
    assert told_lines(joined.on_destroy(table(told(1), told(2), told(3)), 4 * S)) == [("short", "destroy", 1, 0)]


def test_stubs_open_nothing_and_close_nothing_twice() -> None:
    joined = changes()
    joined.on_snapshot(table(live(1), live(2), live(8, TIME_WAIT, timer=STUB, inode=0)), S)
    joined.on_destroy(table(told(1)), 2 * S)
    stubs = [live(cookie, TIME_WAIT, timer=STUB, inode=0) for cookie in (1, 2, 9)]
    assert told_lines(joined.on_snapshot(table(*stubs), 3 * S)) == [("changed", "poll", 2, ESTABLISHED)]
    assert told_lines(joined.on_destroy(table(told(2)), 4 * S)) == [("closed", "destroy", 2, TIME_WAIT)]
    assert joined.on_snapshot(table(*stubs), 5 * S) == joined.expire() == []


def test_missing_once_is_not_closed_and_twice_is_as_of_the_first() -> None:
    joined = changes()
    joined.on_snapshot(table(live(1), live(2)), S)
    assert joined.on_snapshot(table(), 2 * S) == joined.expire() == []
    assert joined.on_snapshot(table(live(1)), 3 * S) == []
    (closed,) = joined.expire()
    assert (told_lines([closed]), closed.at_ns) == ([("closed", "poll", 2, ESTABLISHED)], 2 * S)
    # The announcement comes when its program closes what has long been reset.
    assert joined.on_destroy(table(told(2)), 4 * S) == []
    assert told_lines(joined.on_destroy(table(told(1)), 4 * S)) == [("closed", "destroy", 1, ESTABLISHED)]


@pytest.mark.parametrize("looks", [1, 2])
def test_an_announcement_of_one_that_is_missing(looks: int) -> None:
    joined = changes()
    joined.on_snapshot(table(live(1)), S)
    for look in range(looks):
        assert joined.on_snapshot(table(), (2 + look) * S) == []
        if look == 0:
            assert joined.expire() == []
    assert told_lines(joined.on_destroy(table(told(1)), 4 * S)) == [("closed", "destroy", 1, ESTABLISHED)]
    assert joined.expire() == []


def test_a_socket_that_connects_again_is_another_connection() -> None:
    joined = changes()
    joined.on_snapshot(table(live(1)), S)
    again = socket_message(cookie=1, remote=("127.0.0.1", 50000))
    events = joined.on_snapshot(table(again), 2 * S)
    assert told_lines(events) == [("closed", "poll", 1, ESTABLISHED), ("opened", "poll", 1, 0)]
    assert told_lines(joined.on_destroy(table(told(1)), 3 * S)) == [("closed", "destroy", 1, ESTABLISHED)]


def test_without_announcements_and_cookies_ends_are_what_is_known() -> None:
    def proc(*messages: bytes) -> SocketTable:
        sockets = table(*messages)
        return SocketTable(
            sockets.base, sockets.message, sockets.layout, sockets.messages, (Unavailable(("cookie",), None, "none"),)
        )

    joined = changes(announced=False)
    joined.on_snapshot(proc(live(1)), S)
    stub = live(1, TIME_WAIT, timer=STUB, inode=0)
    events = joined.on_snapshot(proc(stub, live(2)), 2 * S)
    assert [(each.kind, each.was.tolist()) for each in events] == [("opened", [0]), ("changed", [ESTABLISHED])]
    joined.on_snapshot(proc(live(2)), 3 * S)
    joined.on_snapshot(proc(live(2)), 4 * S)
    (closed,) = joined.expire()
    assert (closed.detected_by, closed.was.tolist(), len(closed.table)) == ("poll", [TIME_WAIT], 1)


def test_a_socket_told_twice_in_a_look_is_one() -> None:
    joined = changes()
    joined.on_snapshot(table(), S)
    assert told_lines(joined.on_snapshot(table(live(1), live(1)), 2 * S)) == [("opened", "poll", 1, 0)]


def test_owners_stay_known_after_the_end() -> None:
    joined = changes()
    seen = table(live(1)).with_owners({77: (Owner(12, "nc", 3),)})
    joined.on_snapshot(seen, S)
    (closed,) = joined.on_destroy(table(told(1)), 2 * S)
    assert next(to_sockets(closed.table)).owners == (Owner(12, "nc", 3),)


@pytest.mark.parametrize("stub", [{"state": TIME_WAIT, "timer": STUB}, {"state": 4}, {"state": 9}])
@pytest.mark.parametrize("looks", [1, 2])
def test_owners_stay_known_when_a_look_shows_what_the_program_left(stub: dict[str, Any], looks: int) -> None:
    """The kernel forgets who held a socket at once, while its end has yet to be announced."""
    joined = changes()
    nc = (Owner(12, "nc", 3),)
    joined.on_snapshot(table(live(1), live(2, inode=78)).with_owners({77: nc}), S)
    for look in range(looks):
        left = live(1, **stub, inode=0, uid=0)
        events = joined.on_snapshot(table(left, live(2, inode=78)).with_owners({}), (2 + look) * S)
        assert [each.kind for each in events] == ([] if look else ["changed"])
        for row in (next(to_sockets(each.table)) for each in events):
            assert (row.inode, row.uid, row.owners) == (77, 1000, nc)
    (closed,) = joined.on_destroy(table(told(1)), 4 * S)
    row = next(to_sockets(closed.table))
    assert (row.inode, row.uid, row.owners) == (77, 1000, nc)


def test_owners_stay_known_when_the_program_closes_it_before_its_descriptors_are_read() -> None:
    joined = changes()
    nc = (Owner(12, "nc", 3),)
    joined.on_snapshot(table(live(1)).with_owners({77: nc}), S)
    (changed,) = joined.on_snapshot(table(live(1, CLOSE_WAIT)).with_owners({}), 2 * S)
    assert next(to_sockets(changed.table)).owners == nc
    (changed,) = joined.on_snapshot(table(live(1, 9, inode=0, uid=0)).with_owners({}), 3 * S)
    assert next(to_sockets(changed.table)).owners == nc
    (closed,) = joined.on_destroy(table(told(1)), 4 * S)
    assert next(to_sockets(closed.table)).owners == nc


def test_who_holds_a_socket_now_is_told_and_not_who_did() -> None:
    joined = changes()
    nc, sh = (Owner(12, "nc", 3),), (Owner(13, "sh", 4),)
    joined.on_snapshot(table(live(1)).with_owners({77: nc}), S)
    (changed,) = joined.on_snapshot(table(live(1, CLOSE_WAIT)).with_owners({77: sh}), 2 * S)
    assert next(to_sockets(changed.table)).owners == sh


def test_owners_that_nobody_looked_up_are_not_kept() -> None:
    """Who holds what a filter cannot match is not asked; what nobody can hold has no owner, which a filter may ask."""
    joined = changes("state fin-wait-2 and not program = sshd")
    joined.on_snapshot(table(live(1)).with_owners({}, "hidden"), S)
    (changed,) = joined.on_snapshot(table(live(1, 5, inode=0, uid=0)).with_owners({}, "hidden"), 2 * S)
    assert next(to_sockets(changed.table)).owners == ()


def test_a_new_connection_on_the_same_ends_has_not_the_owners_of_the_old_one() -> None:
    """The source has no cookies: what is in TIME_WAIT is followed by a handshake, and that by what waits for accept."""
    joined = changes(announced=False)
    gap = Unavailable(("cookie",), None, "not told")

    def proc(message: bytes) -> SocketTable:
        seen = table(message)
        return replace(seen, unavailable=(*seen.unavailable, gap)).with_owners({77: (Owner(12, "nc", 3),)})

    joined.on_snapshot(proc(live(1)), S)
    (waits,) = joined.on_snapshot(proc(live(1, TIME_WAIT, inode=0, uid=0)), 2 * S)
    assert next(to_sockets(waits.table)).owners == (Owner(12, "nc", 3),)
    for state in (SYN_RECV, ESTABLISHED):
        (changed,) = joined.on_snapshot(proc(live(1, state, inode=0, uid=0)), 3 * S)
        assert next(to_sockets(changed.table)).owners == ()


@pytest.mark.parametrize("owners", [None, {1 << 24 | 3: (Owner(1, "nc", 3),)}])
def test_a_source_with_holders_of_its_own(owners: OwnersByKey | None) -> None:
    """psutil tells nobody's sockets as somebody's (1), but in TIME_WAIT."""
    joined = changes(announced=False)

    def seen(state: int, holder: int, owners: OwnersByKey | None) -> SocketTable:
        return replace(table(live(1, state, inode=0)), own_owner_keys=np.array([holder]), owners=owners)

    joined.on_snapshot(seen(ESTABLISHED, 1 << 24 | 3, owners), S)
    for state, holder in ((5, 1 if owners else 0), (TIME_WAIT, 0)):
        (changed,) = joined.on_snapshot(seen(state, holder, {} if owners else None), 2 * S)
        assert changed.table.owner_keys.tolist() == [1 << 24 | 3]
        assert next(to_sockets(changed.table)).owners == (next(iter(owners.values())) if owners else None)


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("40007", True),
        ("dport = :40007", True),
        ("dport = :40008", False),
        ("rtt > 40us", True),
        ("rtt > 1ms", False),
        ("state established", True),
        ("state syn-sent", False),
        ("bytes_sent = 10", True),
        ("program = nc", False),
    ],
)
def test_filters_on_short_connections(text: str, matching: bool) -> None:
    joined = changes(text)
    joined.on_snapshot(table(), S)
    assert bool(joined.on_destroy(table(told(7)), 2 * S)) == matching
    assert joined.opened == 1


def test_what_was_reported_is_reported_to_its_end() -> None:
    joined = changes("state established")
    joined.on_snapshot(table(), S)
    joined.on_snapshot(table(live(1), live(2, SYN_SENT)), 2 * S)
    events = joined.on_snapshot(table(live(1, CLOSE_WAIT), live(2, SYN_SENT)), 3 * S)
    assert told_lines(events) == [("changed", "poll", 1, ESTABLISHED)]
    assert told_lines(joined.on_destroy(table(told(1), told(2)), 4 * S)) == [("closed", "destroy", 1, CLOSE_WAIT)]


def test_listeners_are_not_counted_as_connections() -> None:
    joined = changes()
    joined.on_snapshot(table(), S)
    joined.on_snapshot(table(live(1, LISTEN)), 2 * S)
    assert joined.opened == 0


class _Life:
    """A socket of the story that hypothesis tells: its looks, and the turn at which it is announced."""

    def __init__(self, cookie: int, born: int, dies: int, late: int, skipped: int, stub: bool) -> None:
        self.cookie, self.born, self.dies = cookie, born, dies
        self.told = dies + late
        self.skipped = skipped
        self.stub = stub

    def rows(self, turn: int) -> list[bytes]:
        if self.born <= turn < self.dies and turn != self.skipped:
            return [live(self.cookie)]
        if self.stub and turn >= self.dies:
            return [live(self.cookie, TIME_WAIT, timer=STUB, inode=0)]
        return []


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 4), st.integers(0, 9), st.booleans())))
def test_every_connection_is_opened_once_and_closed_once(stories: list[tuple[int, int, int, int, bool]]) -> None:
    """Whatever looks miss, and however late an announcement comes."""
    lives = [
        _Life(number + 1, born, born + length, late, skipped, stub)
        for number, (born, length, late, skipped, stub) in enumerate(stories)
    ]
    joined = changes()
    counts: Counter[tuple[str, int]] = Counter()
    at_start = {life.cookie for life in lives if life.rows(0) and life.born == 0 < life.dies}

    def count(events: list[EventBatch]) -> None:
        for kind, _, cookie, _ in told_lines(events):
            for each in ("opened", "closed") if kind == "short" else (kind,):
                counts[each, cookie] += 1

    for turn in range(20):
        count(joined.on_snapshot(table(*(row for life in lives for row in life.rows(turn))), (turn + 1) * S))
        count(joined.on_destroy(table(*(told(life.cookie) for life in lives if life.told == turn)), (turn + 1) * S + 1))
        count(joined.expire())
    for life in lives:
        assert counts["closed", life.cookie] == 1
        assert counts["opened", life.cookie] == (life.cookie not in at_start)


def test_the_kernels_counts() -> None:
    text = b"Ip: A\nIp: 1\nTcp: RtoMin ActiveOpens PassiveOpens AttemptFails EstabResets\nTcp: -1 5 4 1 2\n"
    counts = parse_tcp_mib(text)
    assert counts == TcpMib(5, 4, 1, 2)
    assert counts.opened == 9
    assert counts.since(TcpMib(1, 1, 1, 1)) == TcpMib(4, 3, 0, 1)


@pytest.mark.parametrize("text", [b"", b"Tcp: ActiveOpens\n", b"Tcp: ActiveOpens\nTcp: x\n", b"Tcp: A\nTcp: 1\n"])
def test_counts_that_are_not_there(text: bytes) -> None:
    with pytest.raises(BackendError, match="kernel's counts"):
        parse_tcp_mib(text)


def test_states_have_the_numbers_of_this_story() -> None:
    assert (states.ESTABLISHED, states.TIME_WAIT, states.CLOSE) == (ESTABLISHED, TIME_WAIT, CLOSE)
