"""The newest events of a fleet, numbered as they come, for whoever follows them."""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from portside.fleet.query.state import NodeName
from portside.fleet.schema import ConnectionEvent, ServerEvent

MOST_EVENTS: Final = 20_000
_MOST_AT_ONCE: Final = 1000


class FleetEvent(NamedTuple):
    """An event of a node; ``at`` is when its message was made, as the node says."""

    name: NodeName
    at: str
    record: ConnectionEvent | ServerEvent


class FleetEventRing:
    """The last events: their numbers count from 1, and ``last`` is the newest."""

    def __init__(self, most: int = MOST_EVENTS) -> None:
        self._events: deque[FleetEvent] = deque(maxlen=most)
        self._changed = threading.Condition()
        self.last = 0

    def add(self, events: Iterable[FleetEvent]) -> None:
        """Take events in their order."""
        with self._changed:
            for each in events:
                self._events.append(each)
                self.last += 1
            self._changed.notify_all()

    def wake(self) -> None:
        """Have those that wait look whether they still should."""
        with self._changed:
            self._changed.notify_all()

    def after(self, number: int, timeout_s: float) -> tuple[int, Sequence[FleetEvent]]:
        """The number of the first event after one, as far as it is held, and the events from there on: some hundreds.

        Waits for some until the timeout, or ``wake``.
        """
        with self._changed:
            if number >= self.last and timeout_s > 0:
                self._changed.wait(timeout_s)
            first = max(number, self.last - len(self._events))
            begin = len(self._events) - (self.last - first)
            end = min(len(self._events), begin + _MOST_AT_ONCE)
            return first + 1, [self._events[place] for place in range(begin, end)]
