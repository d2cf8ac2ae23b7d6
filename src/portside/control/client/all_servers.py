"""The servers of this user on this machine as one, for a console: the API of each, asked at once and put together.

A connection is named ``PID/7``. Lists are merged in their order, counts are added up, and those of a server that has
ended stay in the sums. What is about the whole machine, its sockets and findings, one server is asked for.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from portside.control.client.http_client import ApiError, ControlClient, Unreachable
from portside.control.client.merged_events import MergedEvents
from portside.control.client.merging import CONNECTIONS, MOST_ON_A_PAGE, merged_connections
from portside.control.client.named_server import NamedServer
from portside.control.client.servers import FoundServer, ask_servers, named_servers
from portside.errors import PortsideError

_NAME: Final = "all servers"
_ONE_CONNECTION: Final = re.compile(r"(/api/v1/connections/)(\d+)/(\d+)(/.*|)")
_OF_THE_MACHINE: Final = ("/api/v1/sockets", "/api/v1/findings")
_SILENT_S: Final = 30.0  # for which a server that does not answer is left alone: each question would wait for it
_SUMMED: Final = ("opened", "received", "sent")

Query = Mapping[str, str | int]


class AllServers:
    """The servers as one, with the methods of ``ControlClient`` that a console uses, on any thread.

    Raises PortsideError where there is none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: dict[int, FoundServer] = {}
        self._silent: dict[int, float] = {}  # until when each is not asked
        self._stuck: dict[int, FoundServer] = {}  # of these, as they last were
        self._ended: Counter[str] = Counter()  # counts of servers that have gone
        self._began_at = time.monotonic()
        self._earlier_s = 0.0  # the uptime of the oldest server when this began
        self._look()
        self._earlier_s = max(each.info["uptime"] for each in self._servers.values())

    def request(self, method: str, path: str, *, query: Query | None = None, body: Any = None) -> Any:
        """One request: the JSON of its answer. Raises ApiError and Unreachable."""
        if path == "/api/v1/server":
            self._look()
            return self._info()
        if path == CONNECTIONS:
            return self._connections(dict(query or {}))
        if (found := _ONE_CONNECTION.fullmatch(path)) is not None:
            head, pid, conn, rest = found.groups()
            answer = self._client(int(pid)).request(method, f"{head}{conn}{rest}", query=query, body=body)
            return {**answer, "conn": f"{pid}/{conn}"} if isinstance(answer, dict) and "conn" in answer else answer
        if path in _OF_THE_MACHINE:
            return _without_numbers(self._first().client.request(method, path, query=query, body=body))
        raise ApiError(_NAME, {"detail": f"{path} is of one server"}, 404)

    def lines(self, path: str, *, query: Query | None = None) -> "AllLines":
        """The events of all servers."""
        if path != "/api/v1/events":
            raise ApiError(_NAME, {"detail": f"{path} is of one server"}, 404)
        return AllLines(dict(query or {}))

    # The servers.

    def _look(self) -> None:
        """See which servers there are. Raises PortsideError where there is none."""
        now = time.monotonic()
        with self._lock:
            waiting = {pid for pid, until in self._silent.items() if until > now}
        found, silent = ask_servers(waiting)
        with self._lock:
            self._silent = {pid: until for pid, until in self._silent.items() if pid in waiting}
            self._silent |= dict.fromkeys(silent, now + _SILENT_S)
            before = self._servers | self._stuck
            self._servers = {each.pid: each for each in found}
            self._stuck = {pid: each for pid, each in before.items() if pid in self._silent}
            for pid, each in before.items():
                if pid not in self._servers and pid not in self._stuck:
                    self._ended.update(_summed(each))
        if not found:
            raise Unreachable(_NAME, "none runs here that answers")

    def _all(self) -> list[FoundServer]:
        with self._lock:
            return sorted(self._servers.values(), key=lambda each: each.pid)

    def _first(self) -> FoundServer:
        servers = self._all()
        if not servers:
            raise Unreachable(_NAME, "none runs here that answers")
        return servers[0]

    def _client(self, pid: int) -> ControlClient:
        with self._lock:
            server = self._servers.get(pid)
        if server is None:
            raise ApiError(_NAME, {"detail": f"server {pid} has ended, or does not answer"}, 404)
        return server.client

    def _info(self) -> dict[str, Any]:
        """The answers of the servers about themselves, as one."""
        infos = [each.info for each in self._all()]
        counts = [info["counts"] for info in infos]
        with self._lock:
            silent = sorted(self._silent)
            sums = sum(map(_summed, (*self._servers.values(), *self._stuck.values())), self._ended)
        return {
            **infos[0],
            "pid": 0,
            "servers": [info["pid"] for info in infos],
            "silent": silent,
            "started": "",
            "uptime": self._earlier_s + time.monotonic() - self._began_at,
            "listeners": list({each["address"]: each for info in infos for each in info["listeners"]}.values()),
            "counts": {
                "open": sum(each["open"] for each in counts),
                **{name: sums[name] for name in _SUMMED},
                **{
                    name: dict(sum((Counter(each[name]) for each in counts), Counter()))
                    for name in ("closed", "refused")
                },
            },
            "read_only": any(info.get("read_only") for info in infos),
        }

    # The list.

    def _connections(self, query: dict[str, str | int]) -> dict[str, Any]:
        """A page of the connections of all servers: as many rows of each as the page reaches to, merged.

        One that has ended since is left out: the next look says so.
        """
        if "fields" not in query:
            raise ApiError(_NAME, {"detail": "fields: they have to be named, for several servers"}, 400)
        offset, limit = int(query.pop("offset", 0)), int(query.pop("limit", MOST_ON_A_PAGE))
        reach = offset + limit
        query["limit"] = max(1, min(reach, MOST_ON_A_PAGE))
        servers = [NamedServer(each.client, each.pid) for each in self._all()]
        merged = merged_connections(servers, query, most=reach)
        items = merged.items[offset:reach]
        for item in items:
            item["conn"] = f"{item['server']}/{item['conn']}"
        totals = [page["totals"] for page in merged.first_pages]
        return {
            "items": items,
            "total": sum(page["total"] for page in merged.first_pages),
            "totals": {name: _sum(each[name] for each in totals) for name in (totals[0] if totals else ())},
            "next": None,
        }


class AllLines:
    """The events of all servers as they come, each with its ``server``; ``close``, on any thread, ends them."""

    def __init__(self, query: dict[str, str | int]) -> None:
        self._query = query
        self._lock = threading.Lock()
        self._events: MergedEvents | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        servers = named_servers()
        if not servers:
            raise Unreachable(_NAME, "none runs here that answers")
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


def _summed(server: FoundServer) -> Counter[str]:
    """The counts of a server that never become less."""
    return Counter({name: server.info["counts"][name] for name in _SUMMED})


def _ignore(_: PortsideError) -> None:
    """Say nothing of a server that went away: the list shows it."""


def _without_numbers(page: dict[str, Any]) -> dict[str, Any]:
    """A page of findings without the numbers that its connections have on the server that was asked."""
    return {
        **page,
        "items": [{**each, "conns": [], "conns_total": 0} if "conns" in each else each for each in page["items"]],
    }


def _sum(values: Iterator[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
