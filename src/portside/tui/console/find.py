"""Which server a console is for, at first and after the server was started anew."""

import ssl
from collections.abc import Mapping
from typing import Any

from portside.control.client.http_client import ControlClient
from portside.control.client.servers import choose_server, local_servers
from portside.errors import PortsideError


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
            return choose_server(which, self._tls)
        addresses = {each["address"] for each in last["listeners"]}
        for server in local_servers():
            if server.pid == last["pid"] or addresses & set(server.addresses):
                return server.client
        raise PortsideError("no server", f"none listens on {', '.join(sorted(addresses))}")
