"""The server itself: what it is and how it is doing."""

import os
import socket
import time
from dataclasses import fields
from typing import TYPE_CHECKING

from portside import __version__
from portside.control.console import Console
from portside.control.operations import Routes
from portside.control.schema import Counts, ListenerInfo, ServerInfo
from portside.events import utc

if TYPE_CHECKING:
    from portside.settings.listen import Listen

routes = Routes()
_FAMILIES: dict[int, str] = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6", socket.AF_UNIX: "unix"}
_EXAMPLE = {
    "pid": 53140,
    "version": __version__,
    "node": "build-7",
    "started": "2026-11-22T12:00:01.123456Z",
    "uptime": 61.5,
    "listeners": [{"address": "127.0.0.1:12345", "family": "ipv4"}],
    "options": {"--echo": True},
    "counts": {"open": 3},
}


@routes.get("/api/v1/server", summary="The server: process, addresses, options and counts", example=_EXAMPLE)
async def server(console: Console) -> ServerInfo:
    """What the server is and how it is doing."""
    run = console.run
    return ServerInfo(
        pid=os.getpid(),
        version=__version__,
        node=socket.gethostname(),
        started=utc(run.started_ns),
        uptime=round(max(0.0, (time.time_ns() - run.started_ns) / 1e9), 3),
        listeners=[ListenerInfo(address=each.name, family=_FAMILIES[each.family]) for each in run.listeners],
        options=_options(run.settings),
        counts=Counts(open=len(run.server.connections)),
    )


def _options(settings: "Listen") -> dict[str, str | bool | int | float | list[str]]:
    """The options that were given, as they are written."""
    given: dict[str, str | bool | int | float | list[str]] = {}
    for each in fields(settings):
        value, spec = getattr(settings, each.name), each.metadata["spec"]
        if not spec.flags or value == each.default:
            continue
        flag = spec.flags[-1]
        if isinstance(value, bool | int | float):
            given[f"--no-{flag[2:]}" if value is False else flag] = value or True
        elif isinstance(value, tuple) and not hasattr(value, "_fields"):
            given[flag] = [str(item) for item in value]
        else:
            given[flag] = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return given
