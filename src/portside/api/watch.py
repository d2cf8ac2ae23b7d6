"""``portside.watch``: the connections of this machine as they open, change and close."""

import select
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from portside.api.notices import log_notice
from portside.api.thread_stream import Stop, ThreadStream
from portside.app.connection_events import ConnectionEvents, EventQuery
from portside.app.socket_events import SocketEvent, events_of
from portside.errors import InvalidValue, UsageError
from portside.kernel.filter import parse
from portside.units import parse_positive_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from portside.api.options import Duration
    from portside.kernel.connection_tracker import EventBatch
    from portside.kernel.views import View


def watch(
    filter: str | None = None,  # noqa: A002 - it is the filter, here as everywhere
    *,
    view: "View | None" = None,
    netns: str | None = None,
    source: str | None = None,
    owners: bool = True,
    interval: "Duration" = 1.0,
) -> ThreadStream[SocketEvent]:
    """An event each time a connection of this machine opens, changes its state or closes, as an async iterator.

    The events are those of ``portside watch --events``: SocketOpened, SocketChanged and SocketClosed, each with the
    ``socket``. Connections shorter than ``interval`` (seconds, or as ``"200ms"``) are among them, because the kernel
    announces each end. The other parameters are those of ``portside.sockets``. What is there already is no event. A
    thread reads until the iterator is left, closed or dropped; while 1,024 events wait to be taken, it waits too.

    Raises FilterError (a ValueError) and UsageError at once, and PortsideError, at the first event, where the kernel's
    table cannot be read.

    >>> async with portside.listen("127.0.0.1:0", echo=True) as server:
    ...     async with portside.watch(f"dport = :{server.port}", interval="100ms") as events:
    ...         async with portside.connect(server.port):
    ...             pass
    ...         print((await anext(events)).event)
    opened
    """
    try:
        seconds = parse_positive_duration(str(interval))
    except InvalidValue as problem:
        raise UsageError("watch", str(problem)) from None
    parse(filter or "")
    query = EventQuery(filter or "", view, None, netns, source, owners=owners, commands=owners, interval=seconds)
    stop = Stop()
    return ThreadStream(partial(_read, query, stop), stop.set, "portside watch")


def _read(query: EventQuery, stop: Stop, on_begun: "Callable[[], None]") -> "Generator[SocketEvent, None, None]":
    """The events, on the thread that reads them."""
    with ExitStack() as stack:
        stack.callback(stop.close)
        events = ConnectionEvents(query, stack, log_notice)
        yield from _values(events.start(on_begun))
        poller = select.poll()
        poller.register(stop, select.POLLIN)
        if events.monitor is not None:
            poller.register(events.monitor, select.POLLIN)
        next_poll = time.monotonic() + query.interval
        while not stop.is_set:
            poller.poll(max(0.0, next_poll - time.monotonic()) * 1000)
            yield from _values(events.drain())
            if time.monotonic() >= next_poll:
                yield from _values(events.poll())
                next_poll = max(next_poll + query.interval, time.monotonic() + query.interval / 2)


def _values(batches: "list[EventBatch]") -> "Iterator[SocketEvent]":
    to_wall_ns = time.time_ns() - time.monotonic_ns()
    for batch in batches:
        yield from events_of(batch._replace(at_ns=batch.at_ns + to_wall_ns))
