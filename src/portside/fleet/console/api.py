"""A fleet as the API of one server, for its consoles: for reading alone.

What does something on a machine is not there: nothing that comes from a broker acts, and nothing is sent to one.
"""

import math
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from portside.control.client.finder import Lines
from portside.control.client.http_client import ApiError, Query
from portside.control.client.merged_events import EVENTS
from portside.fleet.console.event_choice import event_choice
from portside.fleet.console.event_objects import Payload, event_object
from portside.fleet.console.findings_page import findings_page
from portside.fleet.console.live import LiveFleet
from portside.fleet.console.node_list import NodeList
from portside.fleet.console.row_list import number_of, refusal, wrong_filter
from portside.fleet.console.socket_list import SocketList
from portside.kernel.filter.errors import FilterError
from portside.version import __version__

_PAYLOADS: Final[dict[str, Payload]] = {"none": "none", "head": "head", "all": "all"}
_MOST_SEQ: Final = 1 << 60
_WAIT_S: Final = 1.0  # until a ``close`` is noticed at the latest
_LIFES: Final = ("alive", "late", "gone")
_SUMMED: Final = ("opened", "received", "sent")


class FleetApi:
    """The API of one server, over a fleet; its methods block, on any thread."""

    def __init__(self, fleet: LiveFleet) -> None:
        self._fleet = fleet
        self._sockets = SocketList(fleet)
        self._nodes = NodeList(fleet)
        self._lock = threading.Lock()
        self._sums = dict.fromkeys(_SUMMED, 0.0)
        self._asked_at = time.monotonic()

    def request(self, method: str, path: str, *, query: Query | None = None, body: Any = None) -> Any:
        """One request: the JSON of its answer. Raises ApiError and Unreachable."""
        given = query or {}
        if method != "GET":
            raise refusal(self._fleet.name, "a fleet is read, and nothing acts on it", 405)
        self._fleet.check()
        match path:
            case "/api/v1/server":
                return self._info()
            case "/api/v1/sockets":
                return self._sockets.page(given)
            case "/api/v1/nodes":
                return self._nodes.page(given)
            case "/api/v1/findings":
                return findings_page(self._fleet, given)
        raise self._nothing(path)

    def lines(self, path: str, *, query: Query | None = None) -> Lines:
        """The events of the fleet. Raises ApiError."""
        if path != EVENTS:
            raise self._nothing(path)
        return FleetLines(self._fleet, query or {})

    def _nothing(self, path: str) -> ApiError:
        return refusal(self._fleet.name, f"{path} is of one server, and a fleet has none of it", 404)

    def _info(self) -> dict[str, Any]:
        """The facts of ``/api/v1/server``. Counts are since this console began, by the rates that nodes told last."""
        fleet, nodes = self._fleet, self._fleet.nodes()
        rates = fleet.rates()
        with self._lock:
            now = time.monotonic()
            for name in _SUMMED:
                self._sums[name] += rates[name] * (now - self._asked_at)
            self._asked_at = now
            sums = {name: math.floor(value) for name, value in self._sums.items()}
        lives = [each.state for each in nodes]
        return {
            "pid": 0,
            "version": __version__,
            "node": "",
            "started": fleet.started,
            "uptime": round(fleet.watched_s, 3),
            "listeners": [
                {"address": each, "family": "ipv4", "accept_queue": None, "accept_queue_limit": None, "drops": None}
                for each in fleet.brokers
            ],
            "options": {},
            "nodes": {life: lives.count(life) for life in _LIFES},
            "left_out": fleet.left_out(),
            "counts": {
                "open": sum(max(0, each.connections or 0) for each in nodes if each.state != "gone"),
                "closed": {},
                "refused": {},
                **sums,
            },
            "rates": {name: round(rate, 3) for name, rate in rates.items()},
            "read_only": True,
        }


class FleetLines:
    """The events that a query selects, from the oldest that is held on; ``close``, on any thread, ends them."""

    def __init__(self, fleet: LiveFleet, query: Query) -> None:
        self._fleet = fleet
        self._is_closed = False
        for name in query:
            if name not in ("payload", "filter", "after", "follow"):
                raise refusal(fleet.name, f"there is no parameter {name!r} for the events of a fleet")
        payload = _PAYLOADS.get(str(query.get("payload", "all")))
        if payload is None:
            raise refusal(fleet.name, f"payload: it is one of {', '.join(_PAYLOADS)}")
        self._payload: Payload = payload
        self._after = number_of(fleet.name, "after", query.get("after", 0), 0, _MOST_SEQ)
        self._follows = query.get("follow") != "false"
        try:
            self._matches = event_choice(str(query.get("filter", "")))
        except FilterError as error:
            raise wrong_filter(fleet.name, error) from None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        ring, seen = self._fleet.events, self._after
        while not self._is_closed:
            first, events = ring.after(seen, _WAIT_S if self._follows else 0)
            if seen and first > seen + 1:
                yield {"seq": first - 1, "event": "missed", "count": first - 1 - seen}
            for number, event in enumerate(events, first):
                if self._matches(event):
                    yield event_object(number, event, self._payload)
            seen = first - 1 + len(events)
            if not events and not self._follows:
                return

    def close(self) -> None:
        """End the stream."""
        self._is_closed = True
        self._fleet.events.wake()
