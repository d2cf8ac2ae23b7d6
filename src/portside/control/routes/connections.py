"""The connections of the server, one of them, its history, its note; the listeners."""

import time
from functools import partial
from typing import Annotated

from msgspec import UNSET, Meta, Struct

from portside.control.connection_details import details_of
from portside.control.connection_watch import ConnectionWatch
from portside.control.connections import Plan, Which
from portside.control.console import Console
from portside.control.flight_recorder import row_values
from portside.control.operations import By, Routes
from portside.control.own_thread import AllThreadsBusy
from portside.control.paging import CursorError
from portside.control.problem import Problem
from portside.control.schema import ConnPath
from portside.control.schema_connections import (
    ConnectionDetails,
    ConnectionHistory,
    ConnectionPage,
    ListenerFacts,
    ListenerPage,
    NoteChange,
    Offset,
)
from portside.errors import InvalidValue
from portside.events import Act, parse_utc
from portside.kernel.filter import FilterError
from portside.units import parse_duration

routes = Routes()
_AFTER = "the `next` of the page before"


class ConnectionsQuery(Struct, kw_only=True):
    """The choice of what a list of connections shows, and in which order."""

    filter: Annotated[str, Meta(description="as in `watch`, with the columns of connections", max_length=10_000)] = ""
    sort: Annotated[str, Meta(description="COLUMN, or -COLUMN for the largest first", max_length=40)] = "conn"
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    offset: Offset = 0
    after: Annotated[str, Meta(description=_AFTER, max_length=10_000)] | None = None
    fields: Annotated[str, Meta(description="names with commas between them", max_length=2000)] | None = None
    state: Which = "open"


class Since(Struct):
    """From when on: a time as the rows have it, or so long ago."""

    since: Annotated[str, Meta(description="2026-11-22T12:00:01.123456Z, or a duration: 5m", max_length=40)] | None = (
        None
    )


_ITEM = {
    "conn": 7, "peer": "127.0.0.1:49666", "local": "127.0.0.1:12345", "state": "open",
    "opened": "2026-11-22T12:00:01.123456Z", "closed": None, "age": 61.5, "idle": 0.25, "received": 6, "sent": 0,
    "buffered": 0, "holds": [], "write_paused": False, "tls": None, "sni": None, "alpn": None, "proxy": None,
    "note": "the slow one", "tags": ["lab"], "faults": 0, "reason": None, "error": None, "by": None,
}  # fmt: skip
_SOCKET = {
    "proto": "tcp", "family": 4, "state": "ESTABLISHED", "recv_q": 0, "send_q": 0, "local": "127.0.0.1:12345",
    "remote": "127.0.0.1:49666", "inode": 1234, "uid": 0, "owners": [{"pid": 53140, "program": "portside", "fd": 9}],
    "info": {"rtt_us": 41, "cwnd": 10}, "gaps": {},
}  # fmt: skip
_BYTES = {
    "in": {"received_by_kernel": 6, "recv_q": 0, "read": 6},
    "out": {"written": 0, "buffered": 0, "unsent": 0, "unacked": 0, "acked": 0},
}


@routes.get(
    "/api/v1/connections",
    summary="A page of connections, filtered and sorted, with totals of all that the filter leaves",
    example={
        "items": [{"conn": 7, "peer": "127.0.0.1:49666", "received": 6, "kernel": {"recv_q": 0}}],
        "total": 1,
        "totals": {"received": 6, "sent": 0, "recv_q": 0, "send_q": 0},
        "next": None,
    },
)
async def connections(console: Console, *, query: ConnectionsQuery) -> ConnectionPage:
    """The connections that match a filter."""
    watch = console.connections
    try:
        read = partial(Plan, filter_text=query.filter, sort=query.sort, fields=query.fields, which=query.state)
        # A list without a filter does not wait behind the names that those of others look up.
        plan = await watch.own_threads.call(read) if query.filter.strip() else read()
        return await watch.page(plan, query.limit, query.after, query.offset)
    except (FilterError, InvalidValue, CursorError) as error:
        raise problem_of(error) from None
    except AllThreadsBusy:
        raise names_busy() from None


@routes.get(
    "/api/v1/connections/{conn}",
    summary="One connection: the kernel's sockets of both ends, and where its bytes are",
    example=_ITEM | {"kernel": _SOCKET, "peer_socket": None, "bytes": _BYTES, "gaps": {"peer_socket": "not here"}},
)
async def connection(console: Console, *, path: ConnPath) -> ConnectionDetails:
    """One connection, open or closed."""
    return await _details(console.connections, console, path.conn)


@routes.patch(
    "/api/v1/connections/{conn}",
    summary="Put a note or tags on a connection",
    body_example={"note": "the slow one", "tags": ["lab"]},
    example=_ITEM | {"kernel": _SOCKET, "peer_socket": None, "bytes": _BYTES, "gaps": {"peer_socket": "not here"}},
)
async def note(console: Console, *, path: ConnPath, body: NoteChange, by: By) -> ConnectionDetails:
    """The connection with its new note."""
    watch = console.connections
    found = watch.find(path.conn)
    if found is None:
        raise _no_connection(path.conn)
    before = watch.notes.of(path.conn)
    after = watch.notes.put(path.conn, text=body.note, tags=tuple(body.tags) if body.tags is not None else None)
    if after != before:
        tags = f"tags {', '.join(after.tags)}" if after.tags else ""
        words = "; ".join(each for each in (after.text, tags) if each) or "removed"
        peer = found.info.peer
        console.run.bus.publish(Act(at=time.time_ns(), act="note", conn=path.conn, peer=peer, by=by, detail=words))
    return await _details(watch, console, path.conn)


@routes.get(
    "/api/v1/connections/{conn}/history",
    summary="The kernel's facts of a connection over the last 15 minutes",
    example={
        "conn": 7,
        "columns": ["at", "recv_q", "rtt_us", "state"],
        "rows": [["2026-11-22T12:00:01.000000Z", 0, 41, "ESTABLISHED"]],
    },
)
async def history(console: Console, *, path: ConnPath, query: Since) -> ConnectionHistory:
    """A row a second for the last minute, every 5 s for 5 minutes, every 15 s for 15 minutes."""
    watch = console.connections
    await watch.fresh_facts(needed=False)
    now, since = watch.wall_second(console.run.loop.time()), _since(query, watch, console)
    table = await watch.in_lists(watch.recorder.connection, path.conn, now, since)
    if not table.rows and watch.find(path.conn) is None:
        raise _no_connection(path.conn)
    return ConnectionHistory(conn=path.conn, columns=table.columns, rows=table.rows)


@routes.get(
    "/api/v1/listeners",
    summary="The accept queue of each listener; with `since` over time",
    example={"items": [{"address": "127.0.0.1:12345", "accept_queue": 0, "accept_queue_limit": 4096, "drops": 0}]},
)
async def listeners(console: Console, *, query: Since) -> ListenerPage:
    """The listeners as the kernel sees them."""
    watch = console.connections
    recorder = watch.recorder
    facts = await watch.fresh_facts()
    names = ("accept_queue", "accept_queue_limit", "drops")
    items = []
    now, since = watch.wall_second(console.run.loop.time()), _since(query, watch, console)
    for place, (listener, row) in enumerate(zip(console.run.listeners, recorder.listener_rows(facts), strict=True)):
        queue, limit, drops = (each if isinstance(each, int) else None for each in row_values(row, names))
        rows = recorder.listener(place, now, since) if query.since is not None else UNSET
        items.append(
            ListenerFacts(
                address=listener.name, accept_queue=queue, accept_queue_limit=limit, drops=drops, history=rows
            )
        )
    return ListenerPage(items=items)


async def _details(watch: ConnectionWatch, console: Console, number: int) -> ConnectionDetails:
    await watch.fresh_facts(needed=False)
    found = watch.find(number)
    if found is None:
        raise _no_connection(number)
    return await details_of(watch, found, console.run.loop.time())


def _no_connection(number: int) -> Problem:
    return Problem(404, f"there is no connection {number}, or it closed too long ago", code="connection")


def _since(query: Since, watch: ConnectionWatch, console: Console) -> int | None:
    """The second from which on rows are wanted. Raises Problem."""
    text = query.since
    if text is None:
        return None
    try:
        if text.endswith("Z"):
            return parse_utc(text) // 1_000_000_000
        return watch.wall_second(console.run.loop.time() - parse_duration(text))
    except (ValueError, OverflowError):
        raise Problem(400, f"since: {text!r} is neither a time in UTC nor a duration", code="since") from None


def names_busy() -> Problem:
    """The problem for a filter that cannot be read now."""
    return Problem(503, "too many names of other filters are being looked up", code="names")


def problem_of(error: FilterError | InvalidValue | CursorError) -> Problem:
    """The problem for a list that cannot be made as asked; a filter's has the place of the mistake."""
    if isinstance(error, FilterError):
        return Problem(400, error.problem, code="filter", position=error.at, length=error.width)
    if isinstance(error, CursorError):
        return Problem(400, f"after: {error}", code="after")
    return Problem(400, str(error), code="column")
