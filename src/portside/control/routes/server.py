"""The server itself: what it is and how it is doing."""

import os
import socket
import time
from dataclasses import fields
from typing import TYPE_CHECKING, Literal

from starlette.responses import Response

from portside.app.running_server import RunningServer
from portside.control import metrics
from portside.control.console import Console
from portside.control.listener_queue import read_queue
from portside.control.operations import Routes
from portside.control.rates import Rates
from portside.control.schema import Counts, ListenerInfo, RateInfo, ServerInfo
from portside.events import utc
from portside.server.listener import Listener
from portside.version import __version__

if TYPE_CHECKING:
    from portside.settings.listen import Listen

routes = Routes()
_FAMILIES: dict[int, Literal["ipv4", "ipv6", "unix"]] = {
    socket.AF_INET: "ipv4",
    socket.AF_INET6: "ipv6",
    socket.AF_UNIX: "unix",
}
_EXAMPLE = {
    "pid": 53140,
    "version": __version__,
    "node": "build-7",
    "started": "2026-11-22T12:00:01.123456Z",
    "uptime": 61.5,
    "listeners": [
        {"address": "127.0.0.1:12345", "family": "ipv4", "accept_queue": 0, "accept_queue_limit": 4096, "drops": 0}
    ],
    "options": {"--echo": True},
    "counts": {
        "open": 3,
        "opened": 5,
        "closed": {"peer_closed": 2},
        "refused": {"max_conns": 1},
        "received": 4096,
        "sent": 4096,
    },
    "rates": {"opened": 0.0, "closed": 0.0, "received": 120.0, "sent": 120.0},
    "read_only": False,
}


@routes.get("/api/v1/server", summary="The server: process, addresses, options and counts", example=_EXAMPLE)
async def server(console: Console) -> ServerInfo:
    """The server, and how it is doing."""
    run, rates = console.run, console.rates.rates()
    return ServerInfo(
        pid=os.getpid(),
        version=__version__,
        node=socket.gethostname(),
        started=utc(run.started_ns),
        uptime=round(time.monotonic() - run.started_at, 3),
        listeners=[_listener(each) for each in run.listeners if each.socket.fileno() >= 0],
        options=_options(run.settings),
        counts=_counts(run),
        rates=RateInfo(**(rates._asdict() if rates is not None else dict.fromkeys(Rates._fields))),
        read_only=run.settings.web_read_only,
    )


@routes.get("/metrics", summary="The metrics of the server, for Prometheus", media_type=metrics.CONTENT_TYPE,
            example="portside_connections{listener=\"127.0.0.1:12345\"} 3.0\n")  # fmt: skip
async def server_metrics(console: Console) -> Response:
    """The counts and queues of the server, and what is wrong on this machine, in Prometheus text."""
    queues = await console.connections_now.queue_totals()
    found = console.findings.scrape()
    findings = found.findings if found is not None else None
    return Response(metrics.metrics_text(console.run, queues, findings), media_type=metrics.CONTENT_TYPE)


def _listener(listener: Listener) -> ListenerInfo:
    queue = read_queue(listener)
    return ListenerInfo(
        address=listener.name,
        family=_FAMILIES[listener.family],
        accept_queue=queue.waiting,
        accept_queue_limit=queue.limit,
        drops=queue.drops,
    )


def _counts(run: RunningServer) -> Counts:
    server = run.server
    return Counts(
        open=len(server.connections),
        opened=server.acceptor.connected,
        closed={str(reason): number for reason, number in server.totals.by_reason.items()},
        refused={str(reason): number for reason, number in server.acceptor.refused.items()},
        received=server.received_bytes,
        sent=server.sent_bytes,
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
