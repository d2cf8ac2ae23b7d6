"""The stream of a server's events, read by a thread of its own."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from portside.control.client.finder import ApiClient
from portside.control.client.http_client import Query
from portside.errors import PortsideError

_PATH = "/api/v1/events"
_MOST_WAITING = 4000  # of events that are not shown yet: a view skips, and says so


class EventReader:
    """The events since the stream began, in batches that ``take`` gives away.

    ``came`` is called, on the thread, when there is something to take after nothing was. ``failure`` is why the stream
    ended, empty where the server ended it.
    """

    def __init__(self, client: ApiClient, query: Query, came: Callable[[], None]) -> None:
        self._came = came
        self._lock = threading.Lock()
        self._waiting: deque[dict[str, Any]] = deque()
        self._skipped = 0
        self._lines = client.lines(_PATH, query=query)
        self.ended = False
        self.failure = ""
        threading.Thread(target=self._read, name="events", daemon=True).start()

    def take(self) -> tuple[list[dict[str, Any]], int]:
        """The events that have come since the last call, and how many were skipped because that is too long ago."""
        with self._lock:
            taken, skipped = list(self._waiting), self._skipped
            self._waiting.clear()
            self._skipped = 0
        return taken, skipped

    def close(self) -> None:
        """End the stream, on any thread."""
        self._lines.close()

    def _read(self) -> None:
        try:
            for item in self._lines:
                self._put(item)
        except PortsideError as error:
            self.failure = error.why
        self.ended = True
        self._came()

    def _put(self, item: dict[str, Any]) -> None:
        with self._lock:
            was_empty = not self._waiting
            self._waiting.append(item)
            if len(self._waiting) > _MOST_WAITING:
                self._waiting.popleft()
                self._skipped += 1
        if was_empty:
            self._came()
