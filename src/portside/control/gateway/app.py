"""The application of a page in a process of its own: each request is passed on to the API of the servers.

A request is taken as it is written here, and no further: who asks is checked before (``security``), and what it means
by the server that answers.
"""

import asyncio
import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from portside.control.app import contained_app, needs_websocket, page_routes
from portside.control.client.finder import ApiClient, Find
from portside.control.client.http_client import ApiError, Silent, Unreachable
from portside.control.client.merged_events import EVENTS
from portside.control.client.server_info import SERVER, ask_server
from portside.control.dispatch import websocket_of
from portside.control.event_streams import MOST_STREAMS
from portside.control.gateway.stream import StreamReader
from portside.control.own_thread import AllThreadsBusy, OwnThreads
from portside.control.problem import Problem
from portside.control.routes.events import send_frames
from portside.control.security import App, WebAccess
from portside.errors import PortsideError
from portside.json_text import encode_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_PATH: Final = re.compile(r"/api/v1/([A-Za-z0-9_.-]+/)*[A-Za-z0-9_.-]+")
"""What a client writes into its request as it is. With a slash at its end a server would lead elsewhere."""
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_STATUSES: Final = frozenset(HTTPStatus)


class Gateway:
    """The servers behind the page: at first those of ``client``, and when they have gone those that ``find`` finds."""

    def __init__(self, client: ApiClient, find: Find, *, read_only: bool) -> None:
        self._client = client
        self._find = find
        self._read_only = read_only
        self._info: Mapping[str, Any] | None = None
        self._threads = OwnThreads()
        self._streams: set[StreamReader] = set()

    def app(self, access: WebAccess) -> App:
        """The application, in the running loop."""
        routes = [
            WebSocketRoute(EVENTS, websocket_of(self._follow)),
            Route(EVENTS, needs_websocket),
            Route("/api/v1/{path:path}", self._answer, methods=list(_METHODS)),
            *page_routes(),
        ]
        return contained_app(routes, asyncio.get_running_loop(), access)

    def close(self) -> None:
        """End the streams; what is asked now is not waited for."""
        for stream in tuple(self._streams):
            stream.close()

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        if _PATH.fullmatch(path) is None:
            raise Problem(404, "there is no such place")
        method = "GET" if request.method == "HEAD" else request.method
        ask = self._ask_server if path == SERVER else partial(self._ask, method, path)
        answer = await self._on_thread(ask, dict(request.query_params), _decode(await request.body()))
        if answer is None:
            return Response(status_code=204)
        return Response(encode_json(answer), media_type="application/json")

    async def _follow(self, socket: WebSocket) -> None:
        if len(self._streams) >= MOST_STREAMS:
            raise Problem(503, f"{MOST_STREAMS} streams of events are open already", code="streams")
        try:
            lines = self._client.lines(EVENTS, query=dict(socket.query_params))
        except ApiError as error:
            raise _problem_of(error) from None
        stream = StreamReader(lines)
        self._streams.add(stream)
        try:
            await send_frames(socket, _frames(stream))
        finally:
            self._streams.discard(stream)
            stream.close()

    async def _on_thread(self, ask: Any, query: dict[str, str], body: Any) -> Any:
        """The answer to a blocking question. Raises Problem."""
        try:
            return await self._threads.call(ask, query=query, body=body)
        except AllThreadsBusy:
            raise Problem(503, "too many questions wait for a server that does not answer", code="server") from None
        except ApiError as error:
            raise _problem_of(error) from None
        except PortsideError as error:
            raise Problem(503, str(error), code="server") from None

    def _ask(self, method: str, path: str, *, query: dict[str, str], body: Any) -> Any:
        return self._client.request(method, path, query=query, body=body)

    def _ask_server(self, *, query: dict[str, str], body: Any) -> dict[str, Any]:
        """The server about itself; where it has gone it is looked for."""
        try:
            info = ask_server(self._client, query)
        except Silent:  # it is there
            raise
        except Unreachable:
            self._client = self._find(self._info)
            info = ask_server(self._client, query)
        self._info = info
        return {**info, "read_only": self._read_only or bool(info.get("read_only"))}


async def _frames(stream: StreamReader) -> "AsyncIterator[bytes]":
    """The frames of a stream until the server has gone. Raises Problem."""
    try:
        async for frame in stream.frames():
            yield frame
    except ApiError as error:
        raise _problem_of(error) from None
    except PortsideError:
        return


def _problem_of(error: ApiError) -> Problem:
    """The refusal of a server as this page's."""
    is_ours = error.http_status in _STATUSES and error.http_status != 401  # the token of this page is good
    status = error.http_status if is_ours else 502
    length = error.length if error.position is not None else None
    return Problem(status, error.why, code=error.code, position=error.position, length=length)


def _decode(body: bytes) -> Any:
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise Problem(400, f"body: {error}") from None
