"""``ctl events``: what happens on a server or on several, rendered as ``listen`` renders it.

A line whose end does not come is shown after a while, as everywhere.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from portside.app.event_errors import EventErrors
from portside.app.notices import wants_colour, write_notice
from portside.app.stdout import ends_with_reader, write_stdout
from portside.control.client.events import event_of
from portside.control.client.http_client import ApiError
from portside.control.client.merged_events import Find, MergedEvents
from portside.control.client.named_server import NamedServer
from portside.ctl.connections import wrong_filter
from portside.feed.render import Renderer, make_renderer
from portside.json_text import encode_json
from portside.units import counted


def show_events(
    servers: Iterable[NamedServer], find: Find | None, filter_text: str, payload: str, after: int | None, *, json: bool
) -> None:
    """Write events until the last server ends, or Ctrl-C. Raises PortsideError and UsageError.

    ``find`` looks for servers that begin later.
    """
    query: dict[str, str | int] = {"payload": payload}
    if filter_text:
        query["filter"] = filter_text
    if after is not None:
        query["after"] = after
    events = MergedEvents(servers, find, query, lambda error: write_notice(str(error)))
    with ends_with_reader():
        try:
            write_stdout(_json_lines(events) if json else _rendered(events))
        except ApiError as error:
            raise wrong_filter("ctl events", error, filter_text) from None


def _json_lines(events: MergedEvents) -> Iterator[bytes]:
    for found in events.items():
        if found is not None:
            server, item = found
            yield encode_json(server.labelled(item)) + b"\n"


def _rendered(events: MergedEvents) -> Iterator[bytes]:
    renderers: dict[int | None, Renderer] = {}

    def deadline() -> float | None:
        return min((each.deadline for each in renderers.values() if each.deadline is not None), default=None)

    for found in events.items(deadline):
        if found is None:
            for each in renderers.values():
                yield from each.tick(time.monotonic())
            continue
        server, item = found
        if server.pid not in renderers:
            renderers[server.pid] = make_renderer(
                "text", colour=wants_colour(1), terminal=sys.stdout.isatty(), server=server.pid,
                on_error=EventErrors("standard output"),
            )  # fmt: skip
        yield from _show(renderers[server.pid], server, item)
    for each in renderers.values():
        yield from each.tick(float("inf"))


def _show(renderer: Renderer, server: NamedServer, item: dict[str, Any]) -> Iterator[bytes]:
    if item.get("event") == "missed":
        yield f"-- {server.lead}{counted(item['count'], 'event')} missed\n".encode()
        return
    event = event_of(item)
    if event is not None:
        yield from renderer.render([event])
