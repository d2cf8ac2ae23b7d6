"""What happens and what was said: streams of events, and the messages of a connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from portside.control.console import Console
from portside.control.dispatch import accept_websocket
from portside.control.event_filter import make_event_filter
from portside.control.event_streams import MOST_STREAMS, Selection
from portside.control.message_page import make_page
from portside.control.operations import Routes
from portside.control.problem import Problem
from portside.control.schema import ConnPath
from portside.control.schema_events import EventsQuery, HeldEventsQuery, MessagePage, MessagesQuery
from portside.errors import InvalidValue
from portside.kernel.filter.errors import FilterError

if TYPE_CHECKING:
    from portside.control.security import Receive, Scope, Send

routes = Routes()
JSON_LINES: Final = "application/jsonl"
STALLED_S: Final = 60.0  # after so long without reading a subscriber is disconnected
_GOING_AWAY = 1001  # the close code of a WebSocket whose server ends (RFC 6455, section 7.4.1)
_PROBLEMS = {400: "a parameter is unknown or wrong; for a filter with its place", 503: "no stream is free"}
_EXAMPLE = (
    '{"seq":1,"event":"opened","at":"2026-11-22T12:00:03.456789Z","conn":1,"peer":"127.0.0.1:33406",'
    '"local":"127.0.0.1:12345"}\n'
    '{"seq":2,"event":"received","at":"2026-11-22T12:00:04.001234Z","conn":1,"peer":"127.0.0.1:33406","size":6,'
    '"text":"hello\\n"}\n'
    '{"seq":5,"event":"missed","count":3}\n'
)
_MESSAGES_EXAMPLE = {
    "items": [
        {"seq": 2, "at": "2026-11-22T12:00:04.001234Z", "direction": "in", "size": 6, "text": "hello\n"},
        {"seq": 3, "at": "2026-11-22T12:00:04.002345Z", "direction": "out", "size": 2, "base64": "//4="},
    ],
    "missed": 0,
    "next": "3.2",
}


@routes.get(
    "/api/v1/events",
    summary="What happens, as it happens",
    example=_EXAMPLE,
    problems=_PROBLEMS,
    media_type=JSON_LINES,
)
async def events(console: Console, *, query: HeldEventsQuery) -> Response:
    """The events that the query selects, a line each."""
    return _EventLines(console, _frames(console, query, follow=query.follow))


@routes.websocket(
    "/api/v1/events", summary="What happens, as it happens (WebSocket)", example=_EXAMPLE, problems=_PROBLEMS
)
async def follow_events(console: Console, socket: WebSocket, *, query: EventsQuery) -> None:
    """Send the events that the query selects until the subscriber or the run ends."""
    frames = _frames(console, query)
    with console.streams.open():
        await send_frames(socket, frames)


@routes.get(
    "/api/v1/connections/{conn}/messages",
    summary="What was said on a connection, as far as it is held",
    example=_MESSAGES_EXAMPLE,
    problems={404: "there is no such connection, or it closed too long ago"},
)
async def messages(console: Console, *, path: ConnPath, query: MessagesQuery) -> MessagePage:
    """The newest messages of a connection, or those after or before one."""
    if path.conn not in console.messages:
        raise Problem(404, f"there is no connection {path.conn}, or it closed too long ago", code="connection")
    console.run.bus.flush()
    try:
        return make_page(console.messages.held(path.conn), query)
    except InvalidValue as error:
        raise Problem(400, str(error)) from None


class _EventLines(Response):
    """A body that goes on as long as there are events."""

    def __init__(self, console: Console, frames: AsyncIterator[bytes]) -> None:
        super().__init__(media_type=JSON_LINES)
        del self.headers["content-length"]
        self._console = console
        self._frames = frames

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Send the body until there are no more events, or nobody reads it."""

        async def send_frame(frame: bytes) -> None:
            await send({"type": "http.response.body", "body": frame, "more_body": True})

        with self._console.streams.open():
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] == "HEAD" or await deliver(self._frames, send_frame, receive, scope):
                await send({"type": "http.response.body", "body": b"", "more_body": False})


def _frames(console: Console, query: EventsQuery, *, follow: bool = True) -> AsyncIterator[bytes]:
    """The stream that a query asks for. Raises Problem."""
    try:
        wanted = make_event_filter(query.filter)
    except FilterError as error:
        raise Problem(400, error.problem, code="filter", position=error.at, length=error.width) from None
    if console.streams.count >= MOST_STREAMS:
        raise Problem(503, f"{MOST_STREAMS} streams of events are open already", code="streams")
    selection = Selection(query.payload, query.filter)
    console.run.bus.flush()  # what has happened before the request
    return console.streams.frames(selection, wanted, query.after, follow=follow)


async def send_frames(socket: WebSocket, frames: AsyncIterator[bytes]) -> None:
    """Accept a WebSocket, and send it frames until they end or it is gone."""
    await accept_websocket(socket)

    async def send(frame: bytes) -> None:
        await socket.send_text(frame.decode())

    if await deliver(frames, send, socket.receive, socket.scope):
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.close(_GOING_AWAY, "the server ends")


async def deliver(
    frames: AsyncIterator[bytes],
    send: Callable[[bytes], Awaitable[None]],
    receive: Callable[[], Awaitable[object]],
    scope: "Scope",
) -> bool:
    """Send frames until they end (True) or their reader has gone (False), which is cut off where it reads nothing."""

    async def send_all() -> None:
        async for frame in frames:
            async with asyncio.timeout(STALLED_S):
                await send(frame)

    sending, leaving = asyncio.create_task(send_all()), asyncio.create_task(_left(receive))
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            return False
        try:
            sending.result()
        except TimeoutError:
            scope["state"]["abort"]()
            return False
        except (OSError, WebSocketDisconnect):
            return False
        return True
    finally:
        for task in (sending, leaving):
            task.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _left(receive: Callable[[], Awaitable[object]]) -> None:
    """Wait until the other side has gone; what it sends is of no interest."""
    while True:
        message = await receive()
        if isinstance(message, dict) and message["type"].endswith("disconnect"):
            return
