"""``portside.Control``: a running server as its control API shows it, and acts on it, from Python."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from portside.api.thread_stream import ThreadStream
from portside.control.client.events import Missed, event_or_gap
from portside.control.client.http_client import ApiError, ControlClient, LineStream
from portside.errors import PortsideError
from portside.kernel.filter.errors import FilterError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator

    from portside.events import Event

Result = TypeVar("Result")
Json = dict[str, Any]
"""A JSON object as the API writes it; ``docs/api.md`` and ``/openapi.json`` of the server tell its fields."""


class Control:
    """The control API of a server that runs: what ``portside ctl`` does, from Python.

    ``server`` is a process, an address that it listens on, or the link of its page; without it the only one that runs.
    Requests are made on other threads and take 10 s at most; one that is cancelled may still be carried out. The
    methods raise PortsideError where the server cannot be reached or refuses, and FilterError, a ValueError, for a
    filter that cannot be read. What they return are the JSON objects of the API as dictionaries: sizes in bytes, ages
    and durations in seconds, times as ``"2026-11-22T12:00:01.123456Z"``; ``/openapi.json`` of a server has all fields.

    >>> control = portside.Control("127.0.0.1:12345")
    >>> async for each in control.connections("conn = 1"):
    ...     print(each["conn"], each["peer"])
    1 127.0.0.1:41184
    >>> await control.send(1, b"hello\\n")
    {'conn': 1, 'sent': 6, 'buffered': 0}
    """

    def __init__(self, server: int | str | None = None, *, tls: "ssl.SSLContext | None" = None) -> None:
        """Nothing is asked yet. ``tls`` is for a link that begins with https."""
        self._server = None if server is None else str(server)
        self._tls = tls
        self._client: ControlClient | None = None

    # What is there.

    async def server(self) -> Json:
        """The server: ``pid``, ``version``, ``listeners``, ``options``, ``counts`` and ``rates`` (a second)."""
        return await self._request("GET", "/server")

    async def connections(
        self,
        filter: str | None = None,  # noqa: A002 - it is the filter, here as everywhere
        *,
        state: Literal["open", "closed", "all"] = "open",
        sort: str | None = None,
        fields: str | None = None,
    ) -> AsyncIterator[Json]:
        """The connections that a filter matches, in the order of a column (``-COLUMN``: the largest first).

        ``fields`` are the names of those that an item has, with commas between them.
        """
        given = {"filter": filter, "sort": sort, "fields": fields}
        query: dict[str, str | int] = {"state": state, "limit": 1000}
        query |= {name: value for name, value in given.items() if value is not None}
        pages: Iterator[Json] = await self._call(lambda client: client.pages("/api/v1/connections", query))
        while (page := await self._in_thread(lambda: next(pages, None), filter)) is not None:
            for item in page["items"]:
                yield item

    async def connection(self, conn: int) -> Json:
        """One connection, with the kernel's sockets of both ends, and where its bytes are.

        It has ``peer``, ``state``, ``age``, ``received``, ``sent`` and more; ``kernel`` and ``peer_socket`` are as in
        ``watch --json``, and ``bytes`` says what waits where in each direction.
        """
        return await self._request("GET", _of(conn))

    async def messages(self, conn: int, *, after: int | None = None, limit: int = 100) -> Json:
        """A page of what was said on a connection, as far as it is held, from the number ``after`` on.

        ``items`` have ``direction`` (``in``, ``out``), ``size``, and the bytes in ``text`` where they are UTF-8, else
        in ``base64``; ``next`` is what to give as ``after`` for more, and ``missed`` how many are held no more.
        """
        query = {"limit": limit} if after is None else {"limit": limit, "after": after}
        return await self._request("GET", f"{_of(conn)}/messages", query=query)

    async def findings(
        self,
        filter: str | None = None,  # noqa: A002
        *,
        min_severity: Literal["info", "warning", "critical"] = "info",
    ) -> Json:
        """The findings of ``diagnose`` for the server's machine, each with the connections that it is about.

        The first to ask waits a second: a diagnosis needs a second look. With a filter, conditions of the whole machine
        are left out. ``items`` of the answer are the findings, ``watched`` says for how many seconds the machine has
        been watched.
        """
        query = {"min_severity": min_severity} if filter is None else {"min_severity": min_severity, "filter": filter}
        return await self._request("GET", "/findings", query=query, filter_text=filter)

    def events(
        self,
        filter: str | None = None,  # noqa: A002
        *,
        payload: Literal["none", "head", "all"] = "none",
        after: int | None = None,
    ) -> "ThreadStream[Event | Missed]":
        """The events of the server as they happen, until it ends; ``Missed`` where some were skipped.

        Without ``payload`` the data of Received and Sent is empty. ``after`` is a sequence number to begin behind.
        """
        query: dict[str, str | int] = {"payload": payload}
        if filter is not None:
            query["filter"] = filter
        if after is not None:
            query["after"] = after
        lines = _Lines(lambda: self._connected().lines("/api/v1/events", query=query), filter)
        return ThreadStream(lines.read, lines.close, "portside control events")

    # Acts on a connection.

    async def send(self, conn: int, data: bytes) -> Json:
        """Send bytes to one client; the answer says how many were ``sent``, and how many are ``buffered`` for it."""
        return await self._request("POST", f"{_of(conn)}/send", {"base64": base64.b64encode(data).decode()})

    async def close(self, conn: int, how: Literal["fin", "half", "reset"] = "fin") -> Json:
        """Close a connection: in order (``fin``), our direction alone (``half``), or with RST (``reset``)."""
        return await self._request("POST", f"{_of(conn)}/close", {"how": how})

    async def pause(self, conn: int) -> Json:
        """Read nothing from a client: what it sends waits in the kernel. ``changed`` is False where that was so."""
        return await self._request("POST", f"{_of(conn)}/pause")

    async def resume(self, conn: int) -> Json:
        """Read from a client again. ``changed`` is False where it was read already."""
        return await self._request("POST", f"{_of(conn)}/resume")

    async def throttle(self, conn: int, rate: str | None) -> Json:
        """Limit both directions of a connection, in bytes a second as ``"10k/s"``; None ends that."""
        if rate is None:
            return await self._request("DELETE", f"{_of(conn)}/throttle")
        return await self._request("PUT", f"{_of(conn)}/throttle", {"rate": rate})

    async def faults(self, conn: int) -> list[Json]:
        """The faults of a connection, those of ``--fault`` too: ``id``, ``spec``, ``phase``, ``held`` (bytes)."""
        found: list[Json] = (await self._request("GET", f"{_of(conn)}/faults"))["items"]
        return found

    async def add_fault(self, conn: int, spec: str) -> Json:
        """Put a fault on an open connection, ``"latency 200ms"``; its ``id`` takes it out again."""
        return await self._request("POST", f"{_of(conn)}/faults", {"spec": spec})

    async def remove_fault(self, conn: int, fault: int) -> Json:
        """Take the fault with this ``id`` out; what it keeps back passes on first."""
        return await self._request("DELETE", f"{_of(conn)}/faults/{fault}")

    async def note(self, conn: int, text: str, *, tags: "list[str] | None" = None) -> Json:
        """Put a note, and tags, on a connection, in place of those that it has; the answer is the connection."""
        return await self._request("PATCH", _of(conn), {"note": text} if tags is None else {"note": text, "tags": tags})

    # Acts on the server.

    async def broadcast(self, data: bytes) -> Json:
        """Send bytes to every client: ``sent`` to how many, and ``skipped`` how many not."""
        return await self._request("POST", "/broadcast", {"base64": base64.b64encode(data).decode()})

    async def limits(self, /, **changes: str | float | None) -> Json:
        """The limits that can be changed while the server runs; keywords change them: ``max_conns=10``.

        They are ``max_conns``, ``max_conns_per_ip``, ``idle_timeout`` and ``half_close_timeout``; None is no limit.
        """
        return await (self._request("PATCH", "/limits", changes) if changes else self._request("GET", "/limits"))

    async def allow(self, net: str) -> Json:
        """Let clients come from a network, and from now on only from those that are allowed."""
        return await self._request("POST", "/access", {"list": "allow", "net": net})

    async def deny(self, net: str) -> Json:
        """Let no client come from a network from now on."""
        return await self._request("POST", "/access", {"list": "deny", "net": net})

    async def drain(self, within: str | float | None = None) -> Json:
        """Have the server accept nobody any more, and end with the last client, or after ``within`` (``"5s"``)."""
        return await self._request("POST", "/drain", {} if within is None else {"within": str(within)})

    # Requests.

    def _connected(self) -> ControlClient:
        """The client of the server, which is looked for once; blocks."""
        if self._client is None:
            from portside.control.client.servers import choose_server

            self._client = choose_server(self._server, self._tls)
        return self._client

    async def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str | int] | None = None,
        filter_text: str | None = None,
    ) -> Json:
        def ask() -> Json:
            answer: Json = self._connected().request(method, f"/api/v1{path}", query=query, body=body)
            return answer

        return await self._in_thread(ask, filter_text)

    async def _call(self, function: "Callable[[ControlClient], Result]") -> Result:
        return await self._in_thread(lambda: function(self._connected()), None)

    @staticmethod
    async def _in_thread(function: "Callable[[], Result]", filter_text: str | None) -> Result:
        try:
            return await asyncio.to_thread(function)
        except ApiError as error:
            raise _own_error(error, filter_text) from None


def _of(conn: int) -> str:
    return f"/connections/{int(conn)}"


def _own_error(error: ApiError, filter_text: str | None) -> PortsideError | FilterError:
    """A FilterError where the server could not read the filter."""
    if error.position is None or filter_text is None:
        return error
    return FilterError(error.why, filter_text, error.position, error.length)


class _Lines:
    """The events of a stream, on the thread that reads it."""

    def __init__(self, open_: "Callable[[], LineStream]", filter_text: str | None) -> None:
        self._open = open_
        self._filter = filter_text
        self._stream: LineStream | None = None
        self._is_closed = False

    def read(self, on_begun: "Callable[[], None]") -> "Generator[Event | Missed, None, None]":
        self._stream = self._open()
        if self._is_closed:
            return
        try:
            self._stream.begin()
            on_begun()
            for item in self._stream:
                if (event := event_or_gap(item)) is not None:
                    yield event
        except ApiError as error:
            raise _own_error(error, self._filter) from None
        finally:
            self._stream.close()

    def close(self) -> None:
        self._is_closed = True
        if self._stream is not None:
            self._stream.close()
