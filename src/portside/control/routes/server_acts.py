"""Acts on the whole server: to all clients, limits, who may connect, the end."""

import math
from typing import Annotated

from msgspec import UNSET, Meta, Struct

from portside.control.acts import bytes_of, refusals
from portside.control.console import Console
from portside.control.operations import By, Routes
from portside.control.problem import Problem
from portside.control.schema_acts import (
    AccessChange,
    AccessKind,
    AccessLists,
    BroadcastDone,
    Bytes,
    DrainDone,
    DrainRequest,
    LimitChange,
    LimitValues,
)
from portside.server.limits import LIMITS
from portside.units import format_duration, parse_duration

routes = Routes()
_MOST_NAMED = 100  # connections in an answer
_MOST_NETWORKS = 1000
_WRONG_VALUE = {422: "a value that cannot be read; `detail` says what would be right"}
_LIMITS = {"max_conns": 500, "max_conns_per_ip": None, "idle_timeout": 300.0, "half_close_timeout": None}
_ACCESS = {"allow": None, "allow_total": 0, "deny": ["10.0.0.0/8"], "deny_total": 1}


class AccessQuery(Struct, kw_only=True):
    """A network to be taken off a list."""

    list: AccessKind
    net: Annotated[str, Meta(min_length=1, max_length=100)]


@routes.post(
    "/api/v1/broadcast",
    summary="Send bytes to every client",
    body_example={"text": "going down in 5 minutes\n"},
    example={"sent": 3, "skipped": 1, "full": [7], "ended": []},
    problems=_WRONG_VALUE,
)
async def broadcast(console: Console, *, body: Bytes, by: By) -> BroadcastDone:
    """Whom it was sent to."""
    with refusals():
        done = await console.operator.broadcast(bytes_of(body), by)
    return BroadcastDone(
        sent=done.sent,
        skipped=len(done.full) + len(done.ended),
        full=done.full[:_MOST_NAMED],
        ended=done.ended[:_MOST_NAMED],
    )


@routes.post(
    "/api/v1/drain",
    summary="Accept nobody any more, and end with the last client",
    body_example={"within": "30s"},
    example={"waiting": 3, "within": 30.0},
    problems=_WRONG_VALUE | {409: "the server is ending already"},
)
async def drain(console: Console, *, body: DrainRequest, by: By) -> DrainDone:
    """Whom the end of the run waits for."""
    run = console.run
    if run.is_ending():
        raise Problem(409, "the server is ending already", code="ending")
    with refusals():
        within = run.settings.drain or math.inf if body.within is None else parse_duration(body.within)
    waiting, limit = len(run.server.connections), None if math.isinf(within) else within
    console.operator.publish("drain", by, None if limit is None else f"within {format_duration(limit)}")
    run.drain(within)
    return DrainDone(waiting=waiting, within=limit)


@routes.get("/api/v1/limits", summary="The limits that can be changed while the server runs", example=_LIMITS)
async def limits(console: Console) -> LimitValues:
    """The limits as they are."""
    return LimitValues(**console.operator.limits())  # type: ignore[arg-type]


@routes.patch(
    "/api/v1/limits",
    summary="Change limits; all of those named, or none where one is wrong",
    body_example={"max_conns": 500, "idle_timeout": "5m"},
    example=_LIMITS,
    problems=_WRONG_VALUE,
)
async def change_limits(console: Console, *, body: LimitChange, by: By) -> LimitValues:
    """The limits as they are now."""
    changes = {name: value for name in LIMITS if (value := getattr(body, name)) is not UNSET}
    with refusals():
        console.operator.set_limits(changes, by)
    return await limits(console)


@routes.get("/api/v1/access", summary="Who may connect", example=_ACCESS)
async def access(console: Console) -> AccessLists:
    """The lists as they are."""
    allowed, denied = console.run.admission.allowed, console.run.admission.denied
    return AccessLists(
        allow=None if allowed is None else [str(each) for each in allowed[:_MOST_NETWORKS]],
        allow_total=len(allowed or ()),
        deny=[str(each) for each in denied[:_MOST_NETWORKS]],
        deny_total=len(denied),
    )


@routes.post(
    "/api/v1/access",
    summary="Put a network on a list; it holds for the clients that come from now on",
    body_example={"list": "deny", "net": "10.0.0.0/8"},
    example=_ACCESS,
    problems=_WRONG_VALUE | {409: "the list is full"},
)
async def add_access(console: Console, *, body: AccessChange, by: By) -> AccessLists:
    """The lists as they are now."""
    with refusals():
        console.operator.change_access(body.list, body.net, by)
    return await access(console)


@routes.delete(
    "/api/v1/access",
    summary="Take a network off a list; after the last of those allowed, any may come that is not denied",
    example=_ACCESS,
    problems=_WRONG_VALUE | {404: "it is not on the list"},
)
async def remove_access(console: Console, *, query: AccessQuery, by: By) -> AccessLists:
    """The lists as they are now."""
    with refusals():
        console.operator.change_access(query.list, query.net, by, remove=True)
    return await access(console)
