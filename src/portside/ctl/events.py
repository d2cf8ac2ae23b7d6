"""``ctl events``: what happens on a server or on several, rendered as ``listen`` renders it.

A thread for each server reads its stream, so that a line whose end does not come is shown after a while, as everywhere.
"""

import queue
import sys
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any

from portside.app.event_errors import EventErrors
from portside.app.notices import wants_colour, write_notice
from portside.app.stdout import ends_with_reader, write_stdout
from portside.control.client.events import event_of
from portside.control.client.http_client import ApiError, Unreachable
from portside.ctl.connections import wrong_filter
from portside.ctl.target import Target
from portside.errors import PortsideError
from portside.feed.render import Renderer, make_renderer
from portside.json_text import encode_json
from portside.units import counted

_PATH = "/api/v1/events"
_WAITING = 256  # objects between the readers and the screen: no server is read on while more wait
_SEARCH_S = 0.5  # between two looks for servers that have begun

_Item = dict[str, Any] | PortsideError | None  # None: the server has ended the stream
Find = Callable[[Container[int]], Iterable[Target]]
"""Returns the servers that answer, but those of some processes."""


def show_events(
    targets: Iterable[Target], find: Find | None, filter_text: str, payload: str, after: int | None, *, json: bool
) -> None:
    """Write events until the last server ends, or Ctrl-C. Raises PortsideError and UsageError.

    ``find`` looks for servers that begin later.
    """
    query: dict[str, str | int] = {"payload": payload}
    if filter_text:
        query["filter"] = filter_text
    if after is not None:
        query["after"] = after
    streams = _Streams(targets, find, query)
    with ends_with_reader():
        try:
            write_stdout(_json_lines(streams) if json else _rendered(streams))
        except ApiError as error:
            raise wrong_filter("ctl events", error, filter_text) from None


class _Streams:
    """The streams of the servers as one."""

    def __init__(self, targets: Iterable[Target], find: Find | None, query: dict[str, str | int]) -> None:
        self._find = find
        self._query = query
        self._waiting: queue.Queue[tuple[Target, _Item]] = queue.Queue(_WAITING)
        self._processes: set[int] = set()
        self._open = 0
        self._search_at = time.monotonic() + _SEARCH_S if find is not None else float("inf")
        self._begin(targets)

    def _begin(self, targets: Iterable[Target]) -> None:
        for target in targets:
            if target.pid is not None:
                self._processes.add(target.pid)
            self._open += 1
            threading.Thread(target=self._put, args=(target,), name="events", daemon=True).start()

    def _search(self) -> None:
        """Begin to read the servers that have begun since."""
        if self._find is not None and time.monotonic() >= self._search_at:
            self._begin(self._find(self._processes))
            self._search_at = time.monotonic() + _SEARCH_S

    def _put(self, target: Target) -> None:
        try:
            for item in target.client.lines(_PATH, query=self._query):
                self._waiting.put((target, item))
            self._waiting.put((target, None))
        except PortsideError as error:
            self._waiting.put((target, error))

    def items(self, deadline: Callable[[], float | None]) -> Iterator[tuple[Target, dict[str, Any]] | None]:
        """The objects with their servers, until all have ended; None where the deadline has passed without one."""
        while self._open:
            self._search()
            due = deadline()
            until = min(self._search_at, self._search_at if due is None else due)
            try:
                target, item = self._waiting.get(timeout=_pause(until))
            except queue.Empty:
                if due is not None and due <= time.monotonic():
                    yield None
                continue
            if isinstance(item, dict):
                yield target, item
                continue
            self._open -= 1
            if isinstance(item, Unreachable) and target.pid is not None:
                write_notice(str(item))
            elif item is not None:
                raise item


def _pause(until: float) -> float | None:
    """Seconds until a moment of the monotonic clock; None for never."""
    return None if until == float("inf") else max(0.0, until - time.monotonic())


def _json_lines(streams: _Streams) -> Iterator[bytes]:
    for found in streams.items(lambda: None):
        if found is not None:
            target, item = found
            yield encode_json(target.labelled(item)) + b"\n"


def _rendered(streams: _Streams) -> Iterator[bytes]:
    renderers: dict[int | None, Renderer] = {}

    def deadline() -> float | None:
        return min((each.deadline for each in renderers.values() if each.deadline is not None), default=None)

    for found in streams.items(deadline):
        if found is None:
            for each in renderers.values():
                yield from each.tick(time.monotonic())
            continue
        target, item = found
        if target.pid not in renderers:
            renderers[target.pid] = make_renderer(
                "text", colour=wants_colour(1), terminal=sys.stdout.isatty(), server=target.pid,
                on_error=EventErrors("standard output"),
            )  # fmt: skip
        yield from _show(renderers[target.pid], target, item)
    for each in renderers.values():
        yield from each.tick(float("inf"))


def _show(renderer: Renderer, target: Target, item: dict[str, Any]) -> Iterator[bytes]:
    if item.get("event") == "missed":
        yield f"-- {target.lead}{counted(item['count'], 'event')} missed\n".encode()
        return
    event = event_of(item)
    if event is not None:
        yield from renderer.render([event])
