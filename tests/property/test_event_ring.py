"""The ring and the messages beside a model that holds everything."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from portside.control.blocks import EVENT_BYTES
from portside.control.message_page import make_page
from portside.control.messages import MessageStore
from portside.control.ring import EventRing
from portside.control.schema_events import MessagesQuery
from portside.events import Closed, Event, Opened, Received, Sent

AT = 1_700_000_000_000_000_000

_conns = st.integers(1, 4)
_events = st.one_of(
    st.builds(lambda conn, size: Received(AT, conn, "p", bytes(size)), _conns, st.integers(0, 400)),
    st.builds(lambda conn, size: Sent(AT, conn, "p", bytes(size)), _conns, st.integers(0, 40)),
    st.builds(lambda conn: Opened(AT, conn, "p", "l"), _conns),
)
_batches = st.lists(st.lists(_events, min_size=1, max_size=12), max_size=30)
_bounds = st.tuples(st.integers(1, 40), st.integers(1, 8000), st.integers(1, 20))


@given(_batches, _bounds, st.data())
def test_what_readers_see_and_what_they_miss_is_everything(
    batches: list[list[Event]], bounds: tuple[int, int, int], data: st.DataObject
) -> None:
    payload_events, payload_bytes, other_events = bounds
    ring = EventRing(payload_events=payload_events, payload_bytes=payload_bytes, other_events=other_events)
    everything: list[Event] = []
    positions = [0, 0, 0]
    seen: list[dict[int, Event]] = [{}, {}, {}]
    missed: list[set[int]] = [set(), set(), set()]
    for batch in batches:
        ring.consume(batch)
        everything += batch
        assert ring.last == len(everything)
        assert ring.held_events <= payload_events + other_events
        for reader in range(3):
            if not data.draw(st.booleans()):
                continue
            before = positions[reader]
            entries, after = ring.read(before, data.draw(st.integers(1, 30)))
            assert before <= after <= ring.last
            assert [number for number, _ in entries] == sorted({number for number, _ in entries})
            assert all(before < number <= after for number, _ in entries)
            assert all(everything[number - 1] is event for number, event in entries)
            seen[reader].update(entries)
            missed[reader] |= set(range(before + 1, after + 1)) - {number for number, _ in entries}
            positions[reader] = after
    for reader in range(3):
        assert not seen[reader].keys() & missed[reader]
        assert seen[reader].keys() | missed[reader] == set(range(1, positions[reader] + 1))
    held, _ = ring.read(0, len(everything) + 1)
    payload = [event.data for _, event in held if isinstance(event, Received | Sent)]
    assert len(payload) <= payload_events
    assert sum(len(each) + EVENT_BYTES for each in payload) <= payload_bytes
    others = [number for number, event in held if isinstance(event, Opened)]
    assert (
        others == [n for n, event in enumerate(everything, 1) if isinstance(event, Opened)][-len(others) or ring.last :]
    )


@given(_batches, _bounds, st.data())
def test_who_leaves_payload_out_is_told_of_as_many_as_are_missing(
    batches: list[list[Event]], bounds: tuple[int, int, int], data: st.DataObject
) -> None:
    payload_events, payload_bytes, other_events = bounds
    ring = EventRing(payload_events=payload_events, payload_bytes=payload_bytes, other_events=other_events)
    for batch in batches:
        ring.consume(batch)
        held = dict(ring.read(0, ring.last + 1)[0])
        start = data.draw(st.integers(0, ring.last))
        limit = data.draw(st.integers(1, 30))
        entries, after = ring.read(start, limit, payload=False)
        others = [number for number, event in held.items() if isinstance(event, Opened) and number > start]
        assert [number for number, _ in entries] == others[:limit]
        assert after == (others[limit - 1] if len(others) >= limit else ring.last)
        seen = start
        for number in (*(number for number, _ in entries), after + 1):
            between = range(seen + 1, number)
            assert ring.dropped_between(seen, number) == len(set(between) - held.keys())
            seen = number


@given(_batches, st.integers(1, 60), st.integers(600, 6000), st.data())
def test_pages_of_messages_and_what_was_missed_are_everything(
    batches: list[list[Event]], ring_events: int, budget: int, data: st.DataObject
) -> None:
    messages = MessageStore(range(1, 4), budget_bytes=budget, closed_connections=1)  # 4 is open to nobody
    ring = EventRing(messages, payload_events=ring_events)
    sent: dict[int, list[int]] = defaultdict(list)
    cursors = {1: "0", 2: "0"}
    told: dict[int, list[int]] = defaultdict(list)
    missed: dict[int, int] = defaultdict(int)
    number = 0
    for batch in batches:
        ring.consume(batch)
        for event in batch:
            number += 1
            if isinstance(event, Received | Sent):
                sent[event.conn].append(number)
        assert messages.bytes <= budget
        for conn, cursor in cursors.items():
            if data.draw(st.booleans()):
                page = make_page(messages.held(conn), MessagesQuery(after=cursor, limit=data.draw(st.integers(1, 20))))
                told[conn] += [each.seq for each in page.items]
                missed[conn] += page.missed
                cursors[conn] = page.next
    for conn, cursor in cursors.items():
        page = make_page(messages.held(conn), MessagesQuery(after=cursor, limit=1000))
        told[conn] += [each.seq for each in page.items]
        assert len(told[conn]) + missed[conn] + page.missed == len(sent[conn])
        assert told[conn] == [each for each in sent[conn] if each in set(told[conn])]
        held = [number for number, _ in messages.held(conn).entries]
        assert held == sent[conn][len(sent[conn]) - len(held) :]
    assert messages.held(4).entries == []


@given(st.lists(st.integers(0, 50), min_size=60, max_size=200))
def test_those_who_hold_less_than_an_equal_share_lose_nothing(sizes: list[int]) -> None:
    budget = 40 * EVENT_BYTES
    messages = MessageStore(range(1, 1000), budget_bytes=budget)
    ring = EventRing(messages, payload_events=1)
    ring.consume([Received(AT, 1, "p", b"quiet")])
    for at, size in enumerate(sizes):
        ring.consume([Received(AT, 2 + at % 3, "p", bytes(size))])
    assert [number for number, _ in messages.held(1).entries] == [1]
    ring.consume([Closed(AT, 1, "p", "peer_closed", 5, 0, 0.1)])
    assert len(messages.held(1).entries) == 1
