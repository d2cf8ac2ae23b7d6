"""A fleet as it is now, for threads that ask: a state that one thread feeds, and the newest events."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from portside.control.client.http_client import Unreachable
from portside.events import utc
from portside.fleet.console.clean import clean_name
from portside.fleet.console.event_ring import FleetEventRing
from portside.fleet.console.rates import FleetRates
from portside.fleet.query.state import FindingOfNode, FleetState, NodeName, NodeReport, OpenOfNode
from portside.fleet.schema import Envelope

TOLD_S: Final = 300.0
"""How long connections and findings are shown after their node has told them."""


class OpenNow(NamedTuple):
    """The open connections that nodes have told, and how many there are with those that had no room in the messages."""

    told: list[OpenOfNode]
    total: int


class LiveFleet:
    """A fleet behind some brokers. ``problem`` is why they do not answer now, None while they do.

    ``now`` is the time in seconds since 1970, by the broker's clock as soon as that is known. ``unread`` says what came
    and could not be read. Methods may be called on any thread.
    """

    def __init__(
        self, brokers: Sequence[str], state: FleetState | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self.brokers = tuple(brokers)
        self.events = FleetEventRing()
        self.problem: str | None = None
        self.unread: Callable[[], list[str]] = list
        self.now = now
        self.started = utc(int(now() * 1_000_000_000))
        self._state = FleetState() if state is None else state
        self._began = time.monotonic()
        self._rates = FleetRates()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The name of the fleet: its brokers."""
        return ", ".join(self.brokers)

    @property
    def watched_s(self) -> float:
        """How long this one has been here, in seconds."""
        return time.monotonic() - self._began

    @property
    def changes(self) -> int:
        """A number that is another one as soon as anything has changed."""
        return self._state.changes

    def apply(self, messages: Sequence[tuple[Envelope, float]]) -> None:
        """Take messages, each with when it was stored, in seconds since 1970."""
        with self._lock:
            for message, stored_at in messages:
                self._state.apply(message, stored_at)

    def check(self) -> None:
        """Raise Unreachable while the brokers do not answer."""
        if self.problem is not None:
            raise Unreachable(self.name, self.problem)

    def nodes(self) -> list[NodeReport]:
        """The nodes that have given a sign of life."""
        with self._lock:
            return self._state.nodes(self.now())

    def opened(self) -> OpenNow:
        """The connections that nodes have told within the last minutes."""
        with self._lock:
            told = list(self._state.opened(self.now() - TOLD_S))
        return OpenNow(told, sum(max(0, each.total) for each in told))

    def findings(self) -> list[FindingOfNode]:
        """The conditions that nodes have told within the last minutes; those of nodes that are gone are none."""
        now = self.now()
        with self._lock:
            gone = {(each.site, each.node) for each in self._state.nodes(now) if each.state == "gone"}
            return [each for each in self._state.findings(now - TOLD_S) if each.name not in gone]

    def unseen(self) -> list[tuple[NodeName, str, str]]:
        """The codes of findings that nodes could not look for, and why."""
        with self._lock:
            return list(self._state.unseen(self.now() - TOLD_S))

    def left_out(self) -> dict[str, int]:
        """How many nodes, sockets and so on had no room here."""
        with self._lock:
            return {clean_name(what): count for what, count in self._state.left_out.items() if count}

    def rates(self) -> "dict[str, float]":
        """Connections opened and closed, bytes received and sent a second, by the last minute of each node."""
        with self._lock:
            summaries = list(self._state.summaries(self.now() - TOLD_S))
        return self._rates.of(summaries)
