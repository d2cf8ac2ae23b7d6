"""The server that a console shows: requests to its API, and what happens when it goes away and comes back."""

import time
from collections.abc import Mapping
from typing import Any

from portside.control.client.finder import ApiClient, Find
from portside.control.client.http_client import Query
from portside.control.client.server_info import ask_server
from portside.errors import PortsideError
from portside.tui.worker import Worker

THREADS = 4  # requests at once: a slow one holds up neither the others nor a key

ConnName = int | str
"""The number of a connection; of one of several servers ``PID/7``."""


Run = tuple[int, str]
"""Which run of a server it is: its process, and when it started."""


class ServerLink:
    """The server, and whether it answers.

    ``info`` is what the server last said of itself (``GET /api/v1/server``), ``problem`` is why it does not answer now,
    ``lost_at`` since when (``time.monotonic``).
    """

    def __init__(self, find: Find, client: ApiClient, info: Mapping[str, Any], worker: Worker) -> None:
        self._find = find
        self._worker = worker
        self.client = client
        self.info = info
        self.problem: str | None = None
        self.lost_at = 0.0

    @property
    def is_fleet(self) -> bool:
        """Whether this is a fleet of machines, which is read alone."""
        return "nodes" in self.info

    @property
    def run(self) -> Run:
        """Which run of the server answers: another one has other connections under the same numbers."""
        return self.info["pid"], self.info["started"]

    async def ask(self, method: str, path: str, *, query: Query | None = None, body: Any = None) -> Any:
        """One request, on a thread. Raises ApiError and Unreachable."""
        client = self.client
        return await self._worker.run(lambda: client.request(method, path, query=query, body=body))

    async def look(self) -> None:
        """Ask the server how it is; where it has gone, look for it once more. Raises PortsideError."""
        if self.problem is not None:
            info = self.info
            self.client = await self._worker.run(lambda: self._find(info))
        client = self.client
        self.info = await self._worker.run(lambda: ask_server(client))
        self.problem = None

    def lost(self, error: PortsideError) -> None:
        """Take note that the server did not answer."""
        if self.problem is None:
            self.lost_at = time.monotonic()
        self.problem = error.why
