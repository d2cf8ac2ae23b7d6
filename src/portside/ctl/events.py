"""``ctl events``: what happens on a server, rendered as ``listen`` renders it.

A thread reads the stream, so that a line whose end does not come is shown after a while, as everywhere.
"""

import queue
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from portside.app.event_errors import EventErrors
from portside.app.notices import wants_colour
from portside.app.stdout import ends_with_reader, write_stdout
from portside.control.client.events import event_of
from portside.control.client.http_client import ApiError, ControlClient
from portside.ctl.connections import wrong_filter
from portside.errors import PortsideError
from portside.feed.render import Renderer, make_renderer
from portside.json_text import encode_json
from portside.units import counted

_PATH = "/api/v1/events"
_WAITING = 256  # objects between the reader and the screen: the server is not read on while more wait

_Item = dict[str, Any] | PortsideError | None  # None: the server has ended the stream


def show_events(client: ControlClient, filter_text: str, payload: str, after: int | None, *, json: bool) -> int:
    """Write events until the server ends, or Ctrl-C; the exit status. Raises PortsideError and UsageError."""
    query: dict[str, str | int] = {"payload": payload}
    if filter_text:
        query["filter"] = filter_text
    if after is not None:
        query["after"] = after
    with ends_with_reader():
        try:
            write_stdout(_json_lines(client, query) if json else _rendered(client, query))
        except ApiError as error:
            raise wrong_filter("ctl events", error, filter_text) from None
    return 0


def _json_lines(client: ControlClient, query: dict[str, str | int]) -> Iterator[bytes]:
    return (encode_json(each) + b"\n" for each in client.lines(_PATH, query=query))


def _rendered(client: ControlClient, query: dict[str, str | int]) -> Iterator[bytes]:
    renderer = make_renderer(
        "text", colour=wants_colour(1), terminal=sys.stdout.isatty(), on_error=EventErrors("standard output")
    )
    waiting: queue.Queue[_Item] = queue.Queue(_WAITING)
    threading.Thread(target=_read, args=(client, query, waiting), name="events", daemon=True).start()
    while True:
        try:
            item = waiting.get(timeout=_pause(renderer))
        except queue.Empty:
            yield from renderer.tick(time.monotonic())
            continue
        if isinstance(item, PortsideError):
            raise item
        if item is None:
            yield from renderer.tick(float("inf"))
            return
        yield from _show(renderer, item)


def _read(client: ControlClient, query: dict[str, str | int], waiting: "queue.Queue[_Item]") -> None:
    try:
        for item in client.lines(_PATH, query=query):
            waiting.put(item)
        waiting.put(None)
    except PortsideError as error:
        waiting.put(error)


def _pause(renderer: Renderer) -> float | None:
    """Seconds until the renderer has something to show though nothing happens; None for never."""
    return None if renderer.deadline is None else max(0.0, renderer.deadline - time.monotonic())


def _show(renderer: Renderer, item: dict[str, Any]) -> Iterator[bytes]:
    if item.get("event") == "missed":
        yield f"-- {counted(item['count'], 'event')} missed\n".encode()
        return
    event = event_of(item)
    if event is not None:
        yield from renderer.render([event])
