"""Streams of events: paced, shared, and bounded."""

import asyncio
import itertools
import json
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from support import DEADLINE_S

from portside.control.event_filter import make_event_filter
from portside.control.event_json import event_line
from portside.control.event_streams import BEAT_S, EventStreams, Selection
from portside.control.ring import EventRing
from portside.events import Event, Received, Stopped

AT = 1_700_000_000_000_000_000
ALL = Selection("all")

T = TypeVar("T")


def received(conn: int = 1, data: bytes = b"x") -> Received:
    return Received(AT, conn, "127.0.0.1:5000", data)


def lines_of(frame: bytes) -> list[Any]:
    return [json.loads(line) for line in frame.splitlines()]


async def gather(frames: AsyncIterator[bytes]) -> list[Any]:
    return [line async for frame in frames for line in lines_of(frame)]


def make(ring: EventRing) -> EventStreams:
    return EventStreams(asyncio.get_running_loop(), ring)


def test_a_stream_brings_what_comes_and_ends_with_the_run() -> None:
    async def main() -> list[Any]:
        ring = EventRing()
        ring.consume([received(data=b"before")])
        streams = make(ring)
        with streams.open():
            stream = asyncio.create_task(gather(streams.frames(ALL, None, None)))
            await asyncio.sleep(0)
            ring.consume([received(data=b"during")])
            ring.consume([Stopped(AT, "signal")])
            ending = asyncio.create_task(streams.end(5))
            lines = await stream
        await ending
        return lines

    lines = asyncio.run(main())
    assert [(line["seq"], line["event"]) for line in lines] == [(2, "received"), (3, "stopped")]


@pytest.mark.parametrize(
    ("after", "wanted"), [(0, [1, 2, 3]), (2, [3]), (3, []), (None, []), (999, [1, 2, 3])], ids=str
)
def test_where_a_stream_begins(after: int | None, wanted: list[int]) -> None:
    async def main() -> list[Any]:
        ring = EventRing()
        ring.consume([received()] * 3)
        return await gather(make(ring).frames(ALL, None, after, follow=False))

    assert [line["seq"] for line in asyncio.run(main())] == wanted


def test_what_is_held_no_longer_is_told_where_it_is_missing() -> None:
    async def main() -> tuple[list[Any], list[Any]]:
        ring = EventRing(payload_events=8)
        ring.consume([Stopped(AT, "signal")])
        for _ in range(20):
            ring.consume([received()])
        ring.consume([received(2)])
        streams = make(ring)
        one = make_event_filter("conn = 2")
        return (
            await gather(streams.frames(ALL, None, 0, follow=False)),
            await gather(streams.frames(Selection("all", "conn = 2"), one, 5, follow=False)),
        )

    everything, one = asyncio.run(main())
    assert [line["seq"] for line in everything] == [1, 14, 15, 16, 17, 18, 19, 20, 21, 22]
    assert everything[1] == {"seq": 14, "event": "missed", "count": 13}
    assert [(line["seq"], line["event"]) for line in one] == [(21, "missed"), (22, "received")]
    assert one[0]["count"] == 9


def test_where_no_payload_is_wanted_none_is_looked_at() -> None:
    """A flood of payload costs a page nothing that shows who connects, and it is told as much as anybody."""
    wanted = make_event_filter("not event = received and not event = sent")
    assert wanted is not None
    tested: list[Event] = []

    def matches(event: Event) -> bool:
        tested.append(event)
        return wanted.matches(event)

    async def main() -> list[Any]:
        ring = EventRing(payload_events=8)
        ring.consume([received()] * 1000)
        ring.consume([Stopped(AT, "signal")])
        ring.consume([received()] * 5)
        counting = wanted._replace(matches=matches)
        return await gather(make(ring).frames(Selection("all", "f"), counting, 0, follow=False))

    lines = asyncio.run(main())
    assert [type(each) for each in tested] == [Stopped]
    assert [(line["event"], line.get("count")) for line in lines] == [("missed", 1000), ("stopped", None)]


def test_a_long_filter_is_asked_of_fewer_events_at_a_time() -> None:
    """A stream with thousands of conditions takes more beats, and no longer of the loop's time."""
    text = " or ".join(f"conn = {number}" for number in range(2, 1002))
    longest = make_event_filter(text)
    assert longest is not None
    tested: list[int] = []

    def matches(event: Event) -> bool:
        tested.append(1)
        return False

    async def main() -> None:
        ring = EventRing()
        ring.consume([received()] * 1000)
        streams = make(ring)
        stream = streams.frames(Selection("none", text), longest._replace(matches=matches), 0, follow=False)
        task = asyncio.create_task(gather(stream))
        await asyncio.sleep(0)
        assert 0 < len(tested) <= 200
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_the_last_events_may_be_missing() -> None:
    async def main() -> list[Any]:
        ring = EventRing(payload_bytes=1000)
        ring.consume([received()])
        ring.consume([received(data=bytes(2000))])
        return await gather(make(ring).frames(ALL, None, 0, follow=False))

    assert asyncio.run(main()) == [{"seq": 2, "event": "missed", "count": 2}]


class _SkippingSelector(selectors.DefaultSelector):
    """A selector that waits for no timer: it has the clock say that the time has passed."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        self.now_s += max(0.0, timeout)
        return super().select(0)


class _VirtualTime(asyncio.SelectorEventLoop):
    """A loop whose clock stands still while code runs, so that times do not depend on the machine."""

    def __init__(self) -> None:
        self._skipping = _SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now_s


def in_virtual_time(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=_VirtualTime) as runner:
        return runner.run(main())


def test_frames_are_bounded_and_paced() -> None:
    async def main() -> list[tuple[float, int]]:
        loop = asyncio.get_running_loop()
        ring = EventRing()
        ring.consume([received(data=b"x" * 10_000)] * 100)
        frames = make(ring).frames(ALL, None, 0, follow=False)
        return [(loop.time(), len(frame)) async for frame in frames]

    frames = in_virtual_time(main)
    assert len(frames) == 9
    assert all(size <= 128 * 1024 for _, size in frames)
    gaps = [after - before for (before, _), (after, _) in itertools.pairwise(frames)]
    assert gaps[1:] == [pytest.approx(BEAT_S)] * 7


def test_a_large_event_costs_its_stream_more_beats() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        ring = EventRing()
        ring.consume([received(data=b"x" * 800_000), received()])
        times = [loop.time() async for _ in make(ring).frames(ALL, None, 0, follow=False)]
        return times[1] - times[0]

    assert in_virtual_time(main) >= 2.99 * BEAT_S


def test_streams_that_want_the_same_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []

    def counting(entry: tuple[int, Event], mode: Any) -> bytes:
        encoded.append(entry[0])
        return event_line(entry, mode)

    monkeypatch.setattr("portside.control.event_streams.event_line", counting)

    async def main() -> list[list[Any]]:
        ring = EventRing()
        streams = make(ring)
        tasks = [asyncio.create_task(gather(streams.frames(ALL, None, 0))) for _ in range(50)]
        await asyncio.sleep(0)
        for _ in range(5):
            ring.consume([received()] * 10)
        ring.consume([Stopped(AT, "signal")])
        await streams.end(0)
        return await asyncio.gather(*tasks)

    results = asyncio.run(main())
    assert all([line["seq"] for line in each] == list(range(1, 52)) for each in results)
    assert encoded == list(range(1, 52))


def test_nothing_runs_while_nothing_happens() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ring = EventRing()
        streams = make(ring)
        tasks = [asyncio.create_task(gather(streams.frames(ALL, None, None))) for _ in range(3)]
        await asyncio.sleep(0)
        assert not loop._scheduled  # type: ignore[attr-defined]
        ring.consume([received()])
        ring.consume([received()])
        assert len(loop._scheduled) == 1  # type: ignore[attr-defined]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())


def test_the_end_waits_for_readers_and_not_for_others() -> None:
    async def main() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        ring = EventRing()
        streams = make(ring)
        with streams.open():
            start = loop.time()
            await streams.end(0.05)
            return loop.time() - start, streams.count

    waited, count = asyncio.run(main())
    assert 0.04 < waited < DEADLINE_S
    assert count == 1
