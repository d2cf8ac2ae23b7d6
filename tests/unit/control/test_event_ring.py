"""The ring of numbered events: bounds, and what a flood of payload may not drive out."""

from portside.control.blocks import EVENT_BYTES
from portside.control.ring import EventRing
from portside.events import Closed, Event, Opened, Proxy, Received, Refused, Sent

AT = 1_700_000_000_000_000_000


def received(conn: int, data: bytes = b"x") -> Received:
    return Received(AT, conn, "127.0.0.1:5000", data)


def opened(conn: int) -> Opened:
    return Opened(AT, conn, "127.0.0.1:5000", "127.0.0.1:12345")


def closed(conn: int) -> Closed:
    return Closed(AT, conn, "127.0.0.1:5000", "peer_closed", 1, 0, 0.5)


def numbers(ring: EventRing, after: int = 0) -> list[int]:
    return [number for number, _ in ring.read(after, 1000)[0]]


def test_events_are_numbered_from_1_whatever_batch_they_come_in() -> None:
    ring = EventRing()
    batch: list[Event] = [opened(1), received(1), closed(1)]
    ring.consume(batch[:1])
    ring.consume(batch[1:])
    assert ring.read(0, 10) == (list(enumerate(batch, 1)), 3)
    assert ring.read(2, 10) == ([(3, batch[2])], 3)
    assert ring.read(3, 10) == ([], 3)
    assert ring.read(0, 2) == ([(1, batch[0]), (2, batch[1])], 2)


def test_a_flood_of_payload_drives_out_payload_alone() -> None:
    ring = EventRing(payload_events=16)
    ring.consume([opened(1), Refused(AT, "127.0.0.1:6000", "denied")])
    for _ in range(1000):
        ring.consume([received(1), Sent(AT, 1, "127.0.0.1:5000", b"y")])
    ring.consume([closed(1)])
    held = numbers(ring)
    assert held[:2] == [1, 2]
    assert held[-1] == ring.last == 2003
    assert held[2:-1] == list(range(2003 - len(held[2:-1]), 2003))
    assert 8 <= len(held[2:-1]) <= 16


def test_other_events_are_bounded_too() -> None:
    ring = EventRing(other_events=8)
    for conn in range(1, 101):
        ring.consume([opened(conn)])
    assert ring.held_events == 8
    assert numbers(ring) == list(range(93, 101))


def test_bytes_are_bounded_and_an_event_larger_than_all_is_not_held() -> None:
    ring = EventRing(payload_bytes=10 * (EVENT_BYTES + 100))
    for _ in range(50):
        ring.consume([received(1, bytes(100))])
    assert 8 <= ring.held_events <= 10
    ring.consume([received(1, bytes(100_000))])
    assert ring.held_events == ring.held_bytes == 0
    assert ring.read(0, 10) == ([], 51)
    ring.consume([received(1)])
    assert numbers(ring) == [52]


def test_what_a_proxy_header_brought_is_counted() -> None:
    ring = EventRing()
    plain, proxied = EventRing(), EventRing()
    plain.consume([opened(1)])
    proxy = Proxy("10.0.0.1:1", 2, tlvs={"authority": "x" * 60_000})
    proxied.consume([Opened(AT, 1, "127.0.0.1:5000", "127.0.0.1:12345", None, proxy)])
    assert proxied.held_bytes > plain.held_bytes + 60_000
    assert ring.held_bytes == 0


def test_the_feeds_list_is_not_kept() -> None:
    ring = EventRing()
    batch: list[Event] = [received(1)]
    ring.consume(batch)
    ring.consume([received(2)])
    assert len(batch) == 1
    batch.clear()
    assert numbers(ring) == [1, 2]


def test_each_batch_is_announced_once_it_can_be_read() -> None:
    ring = EventRing()
    seen: list[int] = []
    ring.on_events = lambda: seen.append(ring.last)
    ring.consume([received(1), received(1)])
    ring.consume([opened(2)])
    assert seen == [2, 3]
    assert (ring.full, ring.deadline) == (False, None)
