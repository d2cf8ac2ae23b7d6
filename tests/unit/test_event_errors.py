"""An error in one event, one sink or one deadline costs that one alone."""

import asyncio
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from recording_files import closed, data_of, opened, received, store

from portside.app.event_errors import EventErrors
from portside.behaviours.deadline_heap import DeadlineHeap
from portside.events import Closed, Event, HalfClosed, Opened, Received
from portside.feed.bus import EventBus
from portside.feed.render import make_renderer
from portside.record.recorder import Recorder
from portside.record.recording import Recording
from portside.server.timer_wheel import DeadlineScheduler

AT = 1_763_812_801_123_456_789
PEER = "127.0.0.1:33406"
NO_TEXT: str = object()  # type: ignore[assignment]  # what no format can render
GOOD: list[Event] = [
    Opened(AT, 1, PEER, "127.0.0.1:1"),
    Received(AT, 1, PEER, b"one\n"),
    Received(AT, 1, PEER, b"two\n"),
    Closed(AT, 1, PEER, "peer_closed", 8, 0, 1.5),
]
BAD: list[Event] = [
    Opened(AT, 2, NO_TEXT, NO_TEXT),
    Received(AT, 2, NO_TEXT, b"three\n"),
    Closed(AT, 2, NO_TEXT, "peer_closed", 8, 0, 1.5),
]


@pytest.mark.parametrize("form", ["text", "json", "hex", "classic"])
@pytest.mark.parametrize("bad", BAD)
def test_other_events_of_a_batch_are_rendered(form: str, bad: Event) -> None:
    alone = b"".join(make_renderer(form).render(GOOD))
    for at in range(len(GOOD) + 1):
        errors: list[Exception] = []
        renderer = make_renderer(form, on_error=errors.append)
        assert b"".join(renderer.render([*GOOD[:at], bad, *GOOD[at:]])) == alone
        assert len(errors) == 1
    with pytest.raises((TypeError, AttributeError)):
        make_renderer(form).render([bad])


def test_what_is_due_is_rendered_beside_an_error() -> None:
    errors: list[Exception] = []
    renderer = make_renderer("text", on_error=errors.append)
    renderer.render([HalfClosed(AT, 2, NO_TEXT), Received(AT, 1, PEER, b"unfinished"), HalfClosed(AT, 1, PEER)])
    assert len(renderer.tick(math.inf)) == 2
    assert len(errors) == 1
    assert renderer.deadline is None


def test_other_events_of_a_batch_are_recorded(tmp_path: Path) -> None:
    errors: list[Exception] = []
    recorder = Recorder(store(tmp_path), on_error=errors.append)
    events = [
        BAD[0],
        opened(1),
        received(1, b"a"),
        received(2, b"b"),
        closed(2, 1, 0),
        received(1, b"c"),
        closed(1, 2, 0),
    ]
    recorder.consume(events)
    recorder.close()
    assert len(errors) == 1
    assert data_of(tmp_path, 1) == (b"ac", b"")
    assert data_of(tmp_path, 2) == (b"b", b"")
    with Recording(os.fspath(tmp_path)) as recording:
        assert [event.event for event in recording.all_events() if getattr(event, "conn", 0) == 1] == [
            "opened", "received", "received", "closed"
        ]  # fmt: skip


class Sink:
    """Takes what comes."""

    full = False
    deadline: float | None = None

    def consume(self, batch: Sequence[Event]) -> None:
        """Take nothing."""

    def tick(self) -> None:
        """Nothing is due."""

    def request_drain(self) -> None:
        """Never full."""

    def drained(self) -> None:
        """Nothing waits here."""


class Failing(Sink):
    def consume(self, batch: Sequence[Event]) -> None:
        raise ValueError("no")

    def tick(self) -> None:
        raise ValueError("no")


class Collecting(Sink):
    def __init__(self) -> None:
        self.deadline = 0.0
        self.events: list[Event] = []
        self.ticks = 0

    def consume(self, batch: Sequence[Event]) -> None:
        self.events += batch

    def tick(self) -> None:
        self.ticks += 1
        self.deadline = math.inf


def in_loop(act: Callable[[asyncio.AbstractEventLoop], Callable[[], bool]]) -> list[BaseException]:
    """Runs the loop until a condition holds; the errors that were reported to it."""
    reported: list[BaseException] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: reported.append(context["exception"]))
        done = act(loop)
        async with asyncio.timeout(30):
            while not done():  # noqa: ASYNC110 -- what is waited for happens in callbacks of the loop
                await asyncio.sleep(0)

    asyncio.run(run())
    return reported


def test_a_sink_that_fails_costs_no_other_sink_its_batch() -> None:
    after = Collecting()

    def publish(loop: asyncio.AbstractEventLoop) -> Callable[[], bool]:
        bus = EventBus(loop)
        bus.add(Failing())
        bus.add(after)
        for event in GOOD:
            bus.publish(event)
        return lambda: bool(after.ticks)

    assert len(in_loop(publish)) == 2
    assert after.events == GOOD


class Item:
    """Fails, or counts its calls."""

    def __init__(self, *, fails: bool = False) -> None:
        self.entry_at = math.inf
        self.calls = 0
        self._fails = fails

    def check(self, _now: float) -> None:
        self.calls += 1
        if self._fails:
            raise ValueError("no")


def test_an_error_at_one_deadline_costs_no_other() -> None:
    items = [Item(fails=True), Item(), Item()]

    def schedule(loop: asyncio.AbstractEventLoop) -> Callable[[], bool]:
        wheel = DeadlineScheduler(loop, 0.001)
        heap = DeadlineHeap[Item](loop, lambda item, now: item.check(now))
        for item in items:
            wheel.schedule(item, loop.time())
            heap.set(item, loop.time())
        wheel.schedule(items[2], loop.time() + 0.01)  # so the wheel goes on turning after the error
        return lambda: [item.calls for item in items] == [2, 2, 3]

    assert len(in_loop(schedule)) == 2


def test_a_flood_of_errors_is_one_notice_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = iter((10.0, 10.1, 10.2, 11.5))
    notices: list[str] = []
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    errors = EventErrors("standard output", lambda words, hint: notices.append(words))
    for _ in range(4):
        errors(ValueError("no"))
    monkeypatch.undo()
    assert notices == [
        "internal error: an event is missing in standard output: ValueError: no",
        "internal error: 3 events are missing in standard output: ValueError: no",
    ]
