"""Which connections with data under way are closed because their peer has vanished."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from portside.server.vanished_peers import VanishedPeers
from portside.settings.values import parse_keepalive
from portside.sockopts import vanished_after_s


class Clock:
    """A loop whose time passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> "Clock":
        self.due = [(self.now + delay, callback)]
        return self

    def cancel(self) -> None:
        self.due = []

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.due and self.due[0][0] <= end:
            self.now, callback = self.due.pop()
            callback()
        self.now = end


class Client:
    """A leg: with so many bytes under way, and an age of the last acknowledgement."""

    def __init__(self, outstanding: int, ack_age_s: float) -> None:
        self.outstanding_bytes = outstanding
        self._ack_age_s = ack_age_s
        self.ends = 0

    def seconds_since_ack(self) -> float:
        return self._ack_age_s

    def peer_vanished(self) -> None:
        self.ends += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


def look(clock: Clock, *clients: Client, keepalive: float = 120.0) -> VanishedPeers:
    peers = VanishedPeers(cast("Any", clock), lambda: clients, keepalive)
    peers.start()
    return peers


def test_only_a_peer_that_acknowledges_nothing_for_too_long_has_vanished(clock: Clock) -> None:
    limit = vanished_after_s(120)
    gone, window_closed, idle = Client(10, 2 * limit), Client(10, 1.0), Client(0, 2 * limit)
    look(clock, gone, window_closed, idle)
    clock.run(limit)
    assert gone.ends == 0  # it has been seen for an eighth less
    clock.run(limit / 4)
    assert gone.ends > 0
    assert window_closed.ends == 0
    assert idle.ends == 0


def test_a_peer_that_takes_some_now_and_then_has_not(clock: Clock) -> None:
    limit = vanished_after_s(120)
    slow = Client(1000, 2 * limit)
    look(clock, slow)
    for _ in range(10):
        clock.run(limit / 2)
        slow.outstanding_bytes -= 1
    assert slow.ends == 0


def test_it_stops(clock: Clock) -> None:
    gone = Client(10, 1e6)
    look(clock, gone).stop()
    clock.run(1e6)
    assert gone.ends == 0


@pytest.mark.parametrize(("text", "seconds"), [("2m", 120.0), ("1s", 1.0), ("off", None), ("9h", 32400.0)])
def test_the_option(text: str, seconds: float | None) -> None:
    assert parse_keepalive(text) == seconds


@pytest.mark.parametrize("text", ["999ms", "0", "10h", "on", "", "-1s"])
def test_the_option_with_something_else(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|no duration"):
        parse_keepalive(text)
