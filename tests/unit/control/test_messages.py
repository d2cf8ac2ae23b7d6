"""The newest messages of each connection: who keeps what when room is short, and pages of them."""

import pytest

from portside.control.blocks import EVENT_BYTES
from portside.control.message_page import PAGE_BYTES, make_page
from portside.control.messages import KEPT_MESSAGES, MessageStore
from portside.control.ring import EventRing
from portside.control.schema_events import MessagesQuery
from portside.errors import InvalidValue
from portside.events import Closed, Event, Received, Sent

AT = 1_700_000_000_000_000_000


def received(conn: int, data: bytes = b"x") -> Received:
    return Received(AT, conn, "127.0.0.1:5000", data)


def make(
    open_connections: set[int], *, ring_events: int = 64, budget: int = 1 << 20, closed: int = 2
) -> tuple[EventRing, MessageStore]:
    messages = MessageStore(open_connections, budget_bytes=budget, closed_connections=closed)
    return EventRing(messages, payload_events=ring_events), messages


def held(messages: MessageStore, conn: int) -> list[bytes]:
    return [event.data for _, event in messages.held(conn).entries if isinstance(event, Received | Sent)]


def test_a_flood_leaves_the_lines_of_a_quiet_client() -> None:
    ring, messages = make({1, 2})
    ring.consume([received(1, b"hello"), Sent(AT, 1, "127.0.0.1:5000", b"welcome")])
    for number in range(2000):
        ring.consume([received(2, b"%d" % number)])
    assert held(messages, 1) == [b"hello", b"welcome"]
    busy = held(messages, 2)
    assert busy == [b"%d" % number for number in range(2000 - len(busy), 2000)]
    assert KEPT_MESSAGES <= len(busy) <= 64 + KEPT_MESSAGES


def test_of_a_client_that_was_busy_and_is_quiet_the_last_lines_stay() -> None:
    ring, messages = make({1, 2})
    for number in range(500):
        ring.consume([received(1, b"%d" % number)])
    for number in range(500):
        ring.consume([received(2, b"%d" % number)])
    first = held(messages, 1)
    assert len(first) >= KEPT_MESSAGES
    assert first == [b"%d" % number for number in range(500 - len(first), 500)]
    assert messages.held(1).dropped == 500 - len(first)


def test_when_the_budget_is_used_up_those_who_hold_most_lose_the_oldest() -> None:
    open_connections = set(range(1, 50))
    ring, messages = make(open_connections, ring_events=8, budget=20 * (EVENT_BYTES + 10))
    ring.consume([received(1, b"the quiet1"), received(1, b"the quiet2")])
    for number in range(200):
        # Two by turns, each with too few messages in the ring to count as busy.
        ring.consume([received(2 + number % 2, b"%010d" % number)])
    assert held(messages, 1) == [b"the quiet1", b"the quiet2"]
    assert messages.bytes <= 20 * (EVENT_BYTES + 10)
    assert held(messages, 2)[-1] == b"%010d" % 198
    assert abs(len(held(messages, 2)) - len(held(messages, 3))) <= 2


def test_of_closed_connections_the_newest_are_kept() -> None:
    open_connections = {1, 2, 3}
    ring, messages = make(open_connections, ring_events=8)
    for conn in (1, 2, 3):
        ring.consume([received(conn, b"of %d" % conn)])
    for conn in (2, 1, 3):
        open_connections.remove(conn)
        ring.consume([Closed(AT, conn, "127.0.0.1:5000", "peer_closed", 1, 0, 0.5)])
    assert [conn in messages for conn in (1, 2, 3)] == [True, False, True]
    assert held(messages, 2) == []
    for _ in range(100):
        ring.consume([received(4)])  # a connection that is neither open nor closed lately
    assert held(messages, 1) == [b"of 1"]
    assert held(messages, 3) == [b"of 3"]
    assert held(messages, 4) == []


def test_pages_go_on_after_one_another_and_say_what_is_missing() -> None:
    ring, messages = make({1}, ring_events=64)

    def send(*data: int) -> None:
        for each in data:
            ring.consume([received(1, b"%d" % each)])

    send(*range(10))
    page = make_page(messages.held(1), MessagesQuery(after="0", limit=4))
    assert [each.text for each in page.items] == ["0", "1", "2", "3"]
    assert (page.missed, page.next) == (0, "4.4")
    send(*range(10, 1000))
    page = make_page(messages.held(1), MessagesQuery(after=page.next, limit=1000))
    assert [each.text for each in page.items] == [str(each) for each in range(1000 - len(page.items), 1000)]
    assert page.missed == 1000 - 4 - len(page.items)
    again = make_page(messages.held(1), MessagesQuery(after=page.next))
    assert (again.items, again.missed, again.next) == ([], 0, "1000.1000")


def test_without_a_place_the_newest_come_and_before_leads_back() -> None:
    ring, messages = make({1})
    ring.consume([received(1, b"%d" % each) for each in range(8)])
    page = make_page(messages.held(1), MessagesQuery(limit=3))
    assert [each.text for each in page.items] == ["5", "6", "7"]
    assert page.next == "8.8"
    back = make_page(messages.held(1), MessagesQuery(limit=3, before=page.items[0].seq))
    assert [each.text for each in back.items] == ["2", "3", "4"]
    assert make_page(messages.held(1), MessagesQuery(limit=3, after=back.next)).items == page.items
    first = make_page(messages.held(1), MessagesQuery(limit=3, before=3))
    assert [each.text for each in first.items] == ["0", "1"]
    assert make_page(messages.held(1), MessagesQuery(before=1)).items == []


def test_a_search_finds_bytes_in_either_direction() -> None:
    ring, messages = make({1})
    batch: list[Event] = [received(1, each) for each in (b"a\0b", b"plain", b"c\0d", b"more", b"\0")]
    ring.consume(batch)
    query = MessagesQuery(contains="\\0", limit=2)
    assert [each.seq for each in make_page(messages.held(1), query).items] == [3, 5]
    query.after = "0"
    page = make_page(messages.held(1), query)
    assert ([each.seq for each in page.items], page.next) == ([1, 3], "3.3")
    query.after = page.next
    page = make_page(messages.held(1), query)
    assert ([each.seq for each in page.items], page.next) == ([5], "5.5")
    query.contains = "\\x"
    with pytest.raises(InvalidValue):
        make_page(messages.held(1), query)


def test_a_page_has_a_mebibyte_or_one_message() -> None:
    ring, messages = make({1})
    for size in (PAGE_BYTES * 2, PAGE_BYTES // 2, 1, PAGE_BYTES):
        ring.consume([received(1, bytes(size))])
    sizes = []
    query = MessagesQuery(after="0")
    while items := (page := make_page(messages.held(1), query)).items:
        sizes.append([each.size for each in items])
        query.after = page.next
    assert sizes == [[PAGE_BYTES * 2], [PAGE_BYTES // 2, 1], [PAGE_BYTES]]
    query = MessagesQuery(after="0", payload="head")
    (first, *_, last) = make_page(messages.held(1), query).items
    assert (first.size, len(first.text or ""), first.cut) == (PAGE_BYTES * 2, 256, True)
    assert last.seq == 4


@pytest.mark.parametrize("after", ["x", "1.2.3", "", "-1", "1.", "1" * 19, "٣"])
def test_a_cursor_that_is_none_is_refused(after: str) -> None:
    with pytest.raises(InvalidValue):
        make_page(MessageStore({1}).held(1), MessagesQuery(after=after))


def test_after_and_before_exclude_each_other() -> None:
    with pytest.raises(InvalidValue):
        make_page(MessageStore({1}).held(1), MessagesQuery(after="1", before=2))
