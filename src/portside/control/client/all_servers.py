"""The servers of this user on this machine as one, for a console: the API of each, asked at once and put together.

A connection is named ``PID/7``. Lists are merged in their order, counts are added up. What is about the whole machine,
its sockets and findings, one server is asked for.
"""

import re
import threading
from collections.abc import Iterator
from typing import Any, Final

from portside.control.client.at_once import ask_at_once
from portside.control.client.finder import Lines
from portside.control.client.http_client import ApiError, Query, Silent, Unreachable
from portside.control.client.known_servers import ALL_SERVERS, KnownServers, sum_of_known
from portside.control.client.merged_events import EVENTS, MergedEvents
from portside.control.client.merged_list import CONNECTIONS, MOST_ON_A_PAGE, merged_page
from portside.control.client.server_info import SERVER
from portside.control.client.servers import FoundServer, named_servers
from portside.control.socket_path import MOST_PID
from portside.errors import PortsideError

_ONE_CONNECTION: Final = re.compile(r"(/api/v1/connections/)(\d{1,10})/(\d{1,18})(/.*[^/]|)")
_OF_THE_MACHINE: Final = ("/api/v1/sockets", "/api/v1/findings")
_OF_EACH: Final = ("/api/v1/broadcast", "/api/v1/drain")
_MOST_OFFSET: Final = 1 << 40


class AllServers:
    """The servers as one, with the methods of ``ControlClient`` that a console uses, on any thread.

    Raises PortsideError where there is none.
    """

    def __init__(self) -> None:
        self._servers = KnownServers()

    def request(self, method: str, path: str, *, query: Query | None = None, body: Any = None) -> Any:
        """One request: the JSON of its answer. Raises ApiError and Unreachable."""
        if path == SERVER:
            self._servers.look()
            return self._servers.info()
        if path == CONNECTIONS:
            return self._connections(dict(query or {}))
        if (found := _ONE_CONNECTION.fullmatch(path)) is not None:
            head, pid, conn, rest = found.groups()
            client = self._servers.client(int(pid))
            answer = client.request(method, f"{head}{conn}{rest}", query=query, body=body)
            return {**answer, "conn": f"{pid}/{conn}"} if isinstance(answer, dict) and "conn" in answer else answer
        if path in _OF_THE_MACHINE:
            return _without_numbers(self._servers.all()[0].client.request(method, path, query=query, body=body))
        if path in _OF_EACH:
            return self._each(method, path, body)
        raise _of_one(path)

    def lines(self, path: str, *, query: Query | None = None) -> Lines:
        """The events of all servers; those of one, with their numbers, where the query has a ``server``."""
        if path != EVENTS:
            raise _of_one(path)
        chosen = dict(query or {})
        if (server := chosen.pop("server", None)) is None:
            return AllLines(self._servers, chosen)
        return self._servers.client(_number("server", server, 1, MOST_PID)).lines(path, query=chosen)

    def _connections(self, query: dict[str, str | int]) -> dict[str, Any]:
        """A page of the connections of all servers. One that has ended since is left out: the next look says so."""
        if "fields" not in query:
            raise _refused("fields: they have to be named, for several servers")
        offset = _number("offset", query.pop("offset", 0), 0, _MOST_OFFSET)
        limit = _number("limit", query.pop("limit", MOST_ON_A_PAGE), 1, MOST_ON_A_PAGE)
        servers = [each.named for each in self._servers.all()]
        merged = merged_page(servers, query, offset, limit)
        for item in merged.items:
            item["conn"] = f"{item['server']}/{item['conn']}"
        totals = [page["totals"] for page in merged.first_pages]
        return {
            "items": merged.items,
            "total": sum(page["total"] for page in merged.first_pages),
            "totals": {name: sum_of_known(each[name] for each in totals) for name in (totals[0] if totals else ())},
            "next": None,
        }

    def _each(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """The outcome of an act on every server: numbers as sums, connections by their names.

        Raises ApiError where one gives no answer: it may do later what the others have done.
        """

        def ask(server: FoundServer) -> dict[str, Any] | Silent:
            try:
                answer: dict[str, Any] = server.client.request(method, path, body=body)
            except Silent as error:
                return error
            except Unreachable:
                return {}  # it has ended
            return {
                name: [f"{server.pid}/{conn}" for conn in value] if isinstance(value, list) else value
                for name, value in answer.items()
            }

        whole: dict[str, Any] = {}
        answers = ask_at_once(ask, self._servers.all())
        for answer in answers:
            if isinstance(answer, Silent):
                raise ApiError(ALL_SERVERS, {"detail": f"{answer}, and may do it later; the others have done it"}, 503)
            for name, value in answer.items():
                adds_up = isinstance(value, list) or (isinstance(value, int) and name != "within")
                whole[name] = whole[name] + value if adds_up and name in whole else value
        return whole


class AllLines:
    """The events of all servers as they come, each with its ``server``; ``close``, on any thread, ends them."""

    def __init__(self, servers: KnownServers, query: dict[str, str | int]) -> None:
        self._servers = servers
        self._query = query
        self._lock = threading.Lock()
        self._events: MergedEvents | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        servers = [each.named for each in self._servers.all()]
        follows = self._query.get("follow") != "false"
        with self._lock:
            if self._is_closed:
                return
            self._events = MergedEvents(servers, named_servers if follows else None, self._query, _ignore)
        for found in self._events.items():
            if found is not None:
                server, item = found
                item.pop("seq", None)  # each server counts its own
                yield server.labelled(item)

    def close(self) -> None:
        """End the stream."""
        with self._lock:
            self._is_closed = True
            if self._events is not None:
                self._events.close()


def _of_one(path: str) -> ApiError:
    return ApiError(ALL_SERVERS, {"detail": f"{path} is of one server"}, 404)


def _refused(why: str) -> ApiError:
    return ApiError(ALL_SERVERS, {"detail": why}, 400)


def _number(name: str, value: str | int, least: int, most: int) -> int:
    """A number of a query. Raises ApiError."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise _refused(f"{name}: {text!r} is no number from {least} to {most}")
    return int(text)


def _ignore(_: PortsideError) -> None:
    """Say nothing of a server that went away: the list shows it."""


def _without_numbers(page: dict[str, Any]) -> dict[str, Any]:
    """A page of findings without the numbers that its connections have on the server that was asked."""
    return {
        **page,
        "items": [{**each, "conns": [], "conns_total": 0} if "conns" in each else each for each in page["items"]],
    }
