"""The export of an agent's metrics by OTLP over HTTP, at intervals, on a thread of its own.

The exporter of OpenTelemetry's SDK is not used: it takes the memory of a registry of its own and of an HTTP client that
reads answers of any length. What is exported is there already, so opentelemetry-proto and ``http.client`` are enough.
An export that fails is not repeated: counters are sums since the start, so the next one has all that it had.
"""

import gzip
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPSConnection
from typing import Final
from urllib.parse import unquote, urlsplit

from portside.app.notices import Notify
from portside.errors import PortsideError, reason_of
from portside.fleet.metrics.exposition import families
from portside.fleet.metrics.facts import AgentFacts, MachineFacts
from portside.version import __version__

EXTRA: Final = "portside[otlp]"
HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
"""The variable with more headers for each request: ``name=value``, with commas between them, percent-encoded."""

_OURS: Final = {
    "Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "User-Agent": f"portside/{__version__}",
}  # fmt: skip
_NOT_TAKEN: Final = {*map(str.lower, _OURS), "connection", "content-length", "host", "transfer-encoding"}
_NAME: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_MOST_WHY: Final = 200
_ANSWER_S: Final = 10.0
_LAST_S: Final = 3.0
_MOST_ANSWER: Final = 64 << 10


class OtlpExporter:
    """Exports what ``facts`` tells, each ``every_s`` seconds and once more at ``close``.

    ``facts`` is called on a thread of the exporter's. Raises PortsideError where opentelemetry-proto is not installed,
    or the headers in the environment are none.
    """

    def __init__(self, url: str, every_s: float, facts: Callable[[], MachineFacts], notify: Notify) -> None:
        try:
            from portside.fleet.metrics import otlp
        except ImportError:
            raise PortsideError("--otlp", "opentelemetry-proto is not installed", f"pip install '{EXTRA}'") from None
        self._otlp = otlp
        self._url, self._every_s, self._facts, self._notify = url, every_s, facts, notify
        self._headers = {**headers_of(os.environ), **_OURS}
        self._started_ns = time.time_ns()
        self._is_failing = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Export once more, for three seconds at most."""
        self._ended.set()
        self._thread.join(_LAST_S)

    def _run(self) -> None:
        while not self._ended.wait(min(self._every_s, threading.TIMEOUT_MAX)):
            self._export()
        self._export()

    def _export(self) -> None:
        until = time.monotonic() + _ANSWER_S
        try:
            why = self._send(self._body())
        except Exception as error:  # noqa: BLE001 -- whatever it is, the next export is tried
            why = reason_of(error) if time.monotonic() < until else f"no answer within {_ANSWER_S:g}s"
        if why is None:
            if self._is_failing:
                self._notify(f"metrics are exported to {self._url} again", None)
        elif not self._is_failing:
            self._notify(
                f"cannot export metrics to {self._url}: {why[:_MOST_WHY]}", "the next ones have what these had"
            )
        self._is_failing = why is not None

    def _body(self) -> bytes:
        facts, now_ns = self._facts(), time.time_ns()
        self._started_ns = min(self._started_ns, now_ns)  # the clock may have been set
        exported = self._otlp.Exported(families(facts), attributes_of(facts.agent), self._started_ns, now_ns)
        return gzip.compress(self._otlp.request_of(exported), 6)

    def _send(self, body: bytes) -> str | None:
        """Send a request: why points were not taken, None where all were. Raises what sockets and http.client raise."""
        where = urlsplit(self._url)
        make = HTTPSConnection if where.scheme == "https" else HTTPConnection
        connection = make(str(where.hostname), where.port, timeout=_ANSWER_S)
        limit = threading.Timer(_ANSWER_S, _cut, (connection,))  # a timeout is for each read alone
        limit.start()
        try:
            connection.request("POST", where.path, body, self._headers)
            reply = connection.getresponse()
            answer = reply.read(_MOST_ANSWER + 1)
        finally:
            limit.cancel()
            connection.close()
        if not 200 <= reply.status < 300:
            return f"HTTP status {reply.status} {reply.reason}"
        return "its answer is too long" if len(answer) > _MOST_ANSWER else self._otlp.rejection(answer)


def _cut(connection: HTTPConnection) -> None:
    """End whatever is read from a connection, on another thread."""
    with suppress(AttributeError, OSError):  # there is none yet, or no more
        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


def attributes_of(agent: AgentFacts) -> dict[str, str]:
    """The attributes of the agent's resource, by OpenTelemetry's conventions where they have one."""
    return {
        "service.name": "portside-agent",
        "service.version": __version__,
        "service.instance.id": f"{agent.site}/{agent.node}",
        "host.name": agent.node,
        "portside.site": agent.site,
    }


def headers_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The headers that the environment adds. Raises PortsideError, which does not tell their values."""
    found = {}
    for each in filter(None, (each.strip() for each in environment.get(HEADERS, "").split(","))):
        name, separator, value = each.partition("=")
        name, value = name.strip(), unquote(value.strip())
        is_name = separator and _NAME.fullmatch(name) and name.lower() not in _NOT_TAKEN
        if not is_name or not value.isascii() or not value.isprintable():
            raise PortsideError(HEADERS, "it is not NAME=VALUE,NAME=VALUE, percent-encoded")
        found[name] = value
    return found
