"""The fan-out of events where sinks do not keep up."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from portside.events import Event, Listening
from portside.feed.bus import EventBus


class Sink:
    """As full as it is told to be."""

    deadline = None

    def __init__(self) -> None:
        self.full = False
        self.asked = 0

    def consume(self, batch: Sequence[Event]) -> None:
        """Take nothing."""

    def tick(self) -> None:
        """Nothing is due."""

    def request_drain(self) -> None:
        self.asked += 1

    def drained(self) -> None:
        """Nothing waits here."""


@pytest.fixture
def bus() -> Iterator[EventBus]:
    loop = asyncio.new_event_loop()
    yield EventBus(loop)
    loop.close()


def test_one_that_became_full_after_all_were_asked_is_asked_again(bus: EventBus) -> None:
    told: list[str] = []
    bus.on_full, bus.on_drained = (lambda: told.append("full")), (lambda: told.append("room"))
    first, second = Sink(), Sink()
    bus.add(first)
    bus.add(second)
    first.full = True
    bus.publish(Listening(1, "127.0.0.1:1"))
    bus.flush()
    assert (first.asked, second.asked) == (1, 1)
    first.full, second.full = False, True
    bus.drained()
    assert told == ["full"]
    assert (first.asked, second.asked) == (1, 2), "or nobody would say that it has room"
    second.full = False
    bus.drained()
    assert told == ["full", "room"]
