"""The fan-out of events where sinks do not keep up."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from support import wait_until

from portside.events import Closed, Event, Fault, HalfClosed, Listening, Opened, Received, Refused, Sent
from portside.feed.bus import EventBus
from portside.feed.render import make_renderer
from portside.feed.sinks import HIGH_BYTES, VIEW_BYTES, TerminalSink


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


class SlowWriter:
    """A writer that is told how much is left to write."""

    name = "terminal"
    broken = False

    def __init__(self) -> None:
        self.pending = 0
        self.written: list[bytes] = []
        self.asked = 0

    def put(self, buffers: list[bytes]) -> None:
        self.written += buffers

    def reopen(self) -> None:
        """No file."""

    def request_drain(self) -> None:
        self.asked += 1

    def close(self, patience: float, hurry: threading.Event) -> int:
        return 0


def shown(writer: SlowWriter) -> list[str]:
    """What was written since the last call: of each line the end."""
    lines = b"".join(writer.written).decode().splitlines()
    writer.written.clear()
    return [line.rpartition("  ")[2] for line in lines]


def test_a_terminal_that_does_not_keep_up_loses_payload_alone() -> None:
    writer = SlowWriter()
    sink = TerminalSink(make_renderer("text"), writer)
    payload = [Received(1, 1, "p", b"x\ny\n"), Sent(1, 1, "p", b"z\n")]
    sink.consume([Opened(1, 1, "p", "l"), *payload])
    assert shown(writer) == ["connected", "> x", "> y", "< z"]
    writer.pending = VIEW_BYTES + 1
    sink.consume(payload)
    sink.consume(payload)
    assert shown(writer) == []
    assert writer.asked == 1
    events = [
        Opened(1, 2, "p", "l"),
        *payload,
        Refused(1, "p", "max_conns"),
        Fault(at=1, conn=1, peer="p", fault="reset", spec="reset"),
        Closed(1, 1, "p", "peer_closed", 9, 9, 1.0),
    ]
    sink.consume(events)
    note, *lines = shown(writer)
    assert note == f"-- 9 lines ({9 * len('00:00:00.000  #1 p  > x ')} B) not shown: too fast for this terminal"
    assert lines == [
        "connected",
        "refused: max_conns",
        "! fault: reset",
        "closed by peer after 1.000s, 9 B in, 9 B out",
    ]
    assert not sink.full
    writer.pending = 0
    sink.drained()
    assert shown(writer) == []


def test_a_half_closed_client_is_shown_on_a_slow_terminal() -> None:
    writer = SlowWriter()
    sink = TerminalSink(make_renderer("text"), writer)
    writer.pending = VIEW_BYTES + 1
    sink.consume([Received(1, 1, "p", b"unfinished"), HalfClosed(1, 1, "p")])
    deadline = sink.deadline
    assert deadline is not None
    wait_until(lambda: time.monotonic() > deadline, "the deadline")
    sink.tick()
    assert shown(writer)[1:] == ["sent its last and still reads"]


def test_a_terminal_that_is_stuck_for_long_stops_the_source() -> None:
    writer = SlowWriter()
    writer.pending = HIGH_BYTES + 1
    assert TerminalSink(make_renderer("text"), writer).full
