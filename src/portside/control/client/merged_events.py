"""The events of one server or of several as one stream: a thread for each server reads it.

Another looks for servers that have begun: one that does not answer holds up the search, and not the events.
"""

import queue
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from portside.control.client.http_client import LineStream, Unreachable
from portside.control.client.named_server import NamedServer
from portside.control.socket_path import is_alive
from portside.errors import PortsideError

EVENTS: Final = "/api/v1/events"
_WAITING: Final = 64  # objects between the readers and whoever iterates: no server is read on while more wait
_SEARCH_S: Final = 0.5  # between two looks for servers that have begun
_NOTICE_S: Final = 0.5  # until a ``close`` is noticed

Find = Callable[[Container[int]], Iterable[NamedServer]]
"""Returns the servers that answer, but those of some processes."""
_Item = dict[str, Any] | PortsideError | None  # None: the server has ended the stream
_Found = list[NamedServer] | PortsideError


class MergedEvents:
    """The events of some servers, and of those that ``find`` finds later, until the last has ended.

    ``told`` is called with what went wrong on one of several, on the thread of whoever iterates; where there is but one
    server, or it refuses the query, that is raised.
    """

    def __init__(
        self,
        servers: Iterable[NamedServer],
        find: Find | None,
        query: dict[str, str | int],
        told: Callable[[PortsideError], object],
    ) -> None:
        self._find = find
        self._query = query
        self._told = told
        self._waiting: queue.Queue[tuple[LineStream, _Item] | _Found] = queue.Queue(_WAITING)
        self._streams: dict[LineStream, NamedServer] = {}  # that have not ended
        self._closed = threading.Event()
        self._begin(servers)

    def close(self) -> None:
        """End the streams, on any thread."""
        self._closed.set()
        for stream in tuple(self._streams):
            stream.close()

    def items(
        self, deadline: Callable[[], float | None] = lambda: None
    ) -> Iterator[tuple[NamedServer, dict[str, Any]] | None]:
        """The objects with their servers; None where ``deadline`` (``time.monotonic``) has passed without one."""
        if self._find is not None:
            known = {server.pid for server in self._streams.values() if server.pid is not None}
            threading.Thread(target=self._search, args=(self._find, known), name="search", daemon=True).start()
        try:
            while self._streams and not self._closed.is_set():
                due = deadline()
                try:
                    found = self._waiting.get(timeout=_pause(due))
                except queue.Empty:
                    if due is not None and due <= time.monotonic():
                        yield None
                    continue
                if isinstance(found, PortsideError):
                    raise found
                if isinstance(found, list):
                    self._begin(found)
                    continue
                stream, item = found
                if isinstance(item, dict):
                    yield self._streams[stream], item
                    continue
                server = self._streams.pop(stream)
                if isinstance(item, Unreachable) and server.pid is not None:
                    self._told(item)
                elif item is not None:
                    raise item
        finally:
            self.close()

    def _begin(self, servers: Iterable[NamedServer]) -> None:
        for server in servers:
            stream = server.client.lines(EVENTS, query=self._query)
            self._streams[stream] = server
            if self._closed.is_set():  # since this began
                stream.close()
            threading.Thread(target=self._read, args=(stream,), name="events", daemon=True).start()

    def _search(self, find: Find, known: set[int]) -> None:
        """Find the servers that begin from now on; one may have the number of a process that has ended."""
        while not self._closed.wait(_SEARCH_S):
            known = set(filter(is_alive, known))
            try:
                found = list(find(known))
            except PortsideError as error:
                self._put(error)
                return
            known.update(server.pid for server in found if server.pid is not None)
            if found:
                self._put(found)

    def _read(self, stream: LineStream) -> None:
        end: PortsideError | None = None
        try:
            for item in stream:
                self._put((stream, item))
        except PortsideError as error:
            end = error
        self._put((stream, end))

    def _put(self, found: tuple[LineStream, _Item] | _Found) -> None:
        """Wait until there is room, or nobody iterates any more."""
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._waiting.put(found, timeout=_NOTICE_S)
                return


def _pause(until: float | None) -> float:
    """Seconds until a moment of the monotonic clock, if it comes before a ``close`` is to be noticed."""
    return _NOTICE_S if until is None else min(_NOTICE_S, max(0.0, until - time.monotonic()))
