"""The server that a console shows, as an API; which one it is, at first and after it was started anew."""

import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from portside.control.client.http_client import ControlClient, Query
from portside.control.client.servers import choose_server, local_servers
from portside.errors import PortsideError


class ApiClient(Protocol):
    """The API of one server, as ``ControlClient`` is; its methods block."""

    def request(self, method: str, path: str, *, query: Query | None = None, body: Any = None) -> Any:
        """One request: the JSON of its answer. Raises ApiError and Unreachable."""

    def lines(self, path: str, *, query: Query | None = None) -> "Lines":
        """The objects of a stream, until the server or its ``close`` ends it."""


class Lines(Protocol):
    """The objects of a stream, as ``LineStream`` gives them. To iterate raises ApiError and Unreachable."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The objects as they come."""

    def close(self) -> None:
        """End the stream, on any thread."""


Find = Callable[[Mapping[str, Any] | None], ApiClient]
"""Finds the server: at first, and again, by what it last said of itself. Blocks; raises PortsideError."""


class ServerFinder:
    """Finds the server of a name: a process, an address, the link of a page, or None for the only one that runs."""

    def __init__(self, which: str | None, tls: ssl.SSLContext | None = None) -> None:
        self._which = which
        self._tls = tls

    def __call__(self, last: Mapping[str, Any] | None) -> ControlClient:
        """The server; ``last`` is what it said of itself before it went away. Raises PortsideError.

        Started anew, it is another process and has the same addresses.
        """
        which = self._which
        if last is None or (which is not None and "://" in which):
            return choose_server(which, self._tls, asked_by="console")
        addresses = {each["address"] for each in last["listeners"]}
        for server in local_servers():
            if server.pid == last["pid"] or addresses & set(server.addresses):
                return server.client
        raise PortsideError("no server", f"none listens on {', '.join(sorted(addresses))}")
