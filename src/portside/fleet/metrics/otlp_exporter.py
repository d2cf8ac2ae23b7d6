"""The export of an agent's metrics by OTLP over HTTP, at intervals, on a thread of its own.

The exporter of OpenTelemetry's SDK is not used: it takes the memory of a registry of its own and of an HTTP client that
reads answers of any length. What is exported is there already, so opentelemetry-proto and ``urllib`` are enough.
An export that fails is not repeated: counters are sums since the start, so the next one has all that it had.
"""

import gzip
import os
import threading
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import unquote
from urllib.request import HTTPRedirectHandler, Request, build_opener

from portside.app.notices import Notify
from portside.errors import PortsideError, reason_of
from portside.fleet.metrics.exposition import families
from portside.fleet.metrics.facts import AgentFacts, MachineFacts
from portside.version import __version__

EXTRA: Final = "portside[otlp]"
HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
"""The variable with more headers for each request: ``name=value``, with commas between them, percent-encoded."""

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
        self._headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "User-Agent": f"portside/{__version__}",
            **headers_of(os.environ),
        }
        self._opener = build_opener(_NoRedirect)
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
        while not self._ended.wait(self._every_s):
            self._export()
        self._export()

    def _export(self) -> None:
        try:
            why = self._send(self._body())
        except (OSError, HTTPException, ValueError) as error:
            cause = getattr(error, "reason", error)  # of a URLError; it may be a text
            why = reason_of(cause if isinstance(cause, OSError) else error)
        if why is None:
            if self._is_failing:
                self._notify(f"metrics are exported to {self._url} again", None)
        elif not self._is_failing:
            self._notify(f"cannot export metrics to {self._url}: {why}", "the next ones have what these had")
        self._is_failing = why is not None

    def _body(self) -> bytes:
        facts = self._facts()
        exported = self._otlp.Exported(families(facts), attributes_of(facts.agent), self._started_ns, time.time_ns())
        return gzip.compress(self._otlp.request_of(exported), 6)

    def _send(self, body: bytes) -> str | None:
        """Send a request: why points were not taken, None where all were.

        Raises OSError, HTTPException and ValueError.
        """
        until = time.monotonic() + _ANSWER_S
        answer = b""
        request = Request(self._url, body, self._headers)  # noqa: S310 -- the option takes http and https alone
        with self._opener.open(request, timeout=_ANSWER_S) as reply:
            while len(answer) <= _MOST_ANSWER and (more := reply.read1(_MOST_ANSWER)):
                answer += more
                if time.monotonic() > until:
                    raise TimeoutError("its answer does not end")
        if len(answer) > _MOST_ANSWER:
            raise ValueError("its answer is too long")
        return self._otlp.rejection(answer)


class _NoRedirect(HTTPRedirectHandler):
    """A redirection is a failure: followed, it would be a GET without the metrics, to whom the user did not name."""

    def redirect_request(self, *_: Any) -> None:
        """None, so that it is raised as an HTTPError."""


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
        is_name = separator and name.isascii() and name.replace("-", "").isalnum()
        if not is_name or not value.isascii() or not value.isprintable():
            raise PortsideError(HEADERS, "it is not NAME=VALUE,NAME=VALUE, percent-encoded")
        found[name] = value
    return found
