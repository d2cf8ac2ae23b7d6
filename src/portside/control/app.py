"""The application: the operations of all parts, their description, and what answers when something goes wrong."""

from asyncio import AbstractEventLoop
from collections.abc import Iterable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from portside.control.console import Console
from portside.control.dispatch import http_endpoint, websocket_endpoint
from portside.control.docs_page import docs_page
from portside.control.finding_page import PATH as FINDING_PATH
from portside.control.finding_page import finding_page
from portside.control.openapi import describe
from portside.control.operations import Operation
from portside.control.problem import Problem, problem_response
from portside.control.routes import acts, connections, events, findings, server, server_acts, sockets
from portside.control.security import App, Receive, Scope, Security, Send, WebAccess
from portside.control.static_files import cached, file_routes
from portside.json_text import encode_json

PARTS = (
    server.routes,
    connections.routes,
    events.routes,
    acts.routes,
    server_acts.routes,
    sockets.routes,
    findings.routes,
)


def operations() -> list[Operation]:
    """The operations of all parts."""
    return [operation for part in PARTS for operation in part.operations]


def make_app(console: Console, web: WebAccess | None) -> App:
    """The ASGI application for the consoles of one run; ``web`` is None where nothing is served over TCP."""
    described = describe(operations())
    description, page = encode_json(described), docs_page(described)

    async def openapi(request: Request) -> Response:
        return cached(request, description, "application/json")

    async def docs(request: Request) -> Response:
        return cached(request, page, "text/html; charset=utf-8")

    routes = [*_routes(console, operations()), Route("/openapi.json", openapi), Route("/docs", docs)]
    return contained_app([*routes, *page_routes()], console.run.loop, web)


def page_routes() -> list[BaseRoute]:
    """The routes of the page: its files, and what it shows beside the API."""
    return [Route(FINDING_PATH, finding_page), *file_routes()]


def contained_app(routes: Sequence[BaseRoute], loop: AbstractEventLoop, web: WebAccess | None) -> App:
    """An application of some routes, which says what went wrong, and answers only who may ask."""
    app = Starlette(
        routes=routes,
        exception_handlers={
            Problem: _answer_problem,
            HTTPException: _answer_http_error,
            Exception: _answer_failure,
        },
    )
    return Security(Contained(app, loop), web)


class Contained:
    """An application whose errors end here, and are reported: those that were answered, and those of a stream.

    Starlette raises an error again that it has answered. For a WebSocket it is raised further, so that it is closed.
    """

    def __init__(self, app: App, loop: AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except (ClientDisconnect, WebSocketDisconnect):
            pass  # whoever asked has gone in the middle of it
        except Exception as error:
            self._loop.call_exception_handler({"message": "a request to the control API failed", "exception": error})
            if scope["type"] != "http":
                raise


def _routes(console: Console, described: Iterable[Operation]) -> list[BaseRoute]:
    by_path: dict[str, dict[str, Operation]] = {}
    routes: list[BaseRoute] = []
    upgrades: list[BaseRoute] = []  # asked for without an upgrade, where the path has no other operation
    for operation in described:
        if operation.method == "WS":
            routes.append(WebSocketRoute(operation.path, websocket_endpoint(console, operation)))
            upgrades.append(Route(operation.path, needs_websocket))
        else:
            by_path.setdefault(operation.path, {})[operation.method] = operation
    routes += [Route(path, http_endpoint(console, methods), methods=list(methods)) for path, methods in by_path.items()]
    return [*routes, *upgrades]


async def needs_websocket(_request: Request) -> Response:
    """Answer a request for a WebSocket that asked for no upgrade."""
    return problem_response(Problem(426, "this is a WebSocket"), {"Upgrade": "websocket", "Connection": "Upgrade"})


def _internal_error() -> Response:
    return problem_response(Problem(500, "an internal error; standard error of the server says more"))


async def _answer_failure(_request: Request, _error: Exception) -> Response:
    return _internal_error()


async def _answer_problem(_request: Request, error: Exception) -> Response:
    return problem_response(error) if isinstance(error, Problem) else _internal_error()


async def _answer_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return _internal_error()
    words = {404: f"nothing is at {request.url.path}", 405: f"{request.method} is not for {request.url.path}"}
    problem = Problem(error.status_code, words.get(error.status_code, error.detail))
    return problem_response(problem, dict(error.headers or {}))
