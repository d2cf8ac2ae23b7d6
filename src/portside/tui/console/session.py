"""What the screens of a console share: the server, the threads, the rates of the last minute, and what is wrong."""

from collections.abc import Callable
from typing import Any

from portside.control.client.http_client import Query
from portside.tui.console.findings import Findings
from portside.tui.console.link import ServerLink
from portside.tui.console.rates import RateSeries
from portside.tui.worker import Worker

MOST_NOTICES = 200


class ConsoleSession:
    """A console's server, and what is known of it.

    ``wake`` polls at once. ``ends_server`` says that the server runs for this console alone and ends with it;
    ``notices`` are what such a server has written to standard error, the newest last.
    """

    def __init__(self, link: ServerLink, worker: Worker, wake: Callable[[], None], *, ends_server: bool) -> None:
        self.link = link
        self.worker = worker
        self.wake = wake
        self.ends_server = ends_server
        self.rates = RateSeries()
        self.findings = Findings(link, worker, wake)
        self.notices: list[str] = []

    async def ask(self, method: str, path: str, *, query: Query | None = None, body: Any = None) -> Any:
        """One request to the server. Raises ApiError and Unreachable."""
        return await self.link.ask(method, path, query=query, body=body)
