"""From a request to the function of its operation, and back: parameters checked, the answer encoded."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from portside.control.console import Console
from portside.control.operations import By, Operation, struct_fields
from portside.control.problem import Problem, problem_response
from portside.json_text import encode_json
from portside.nearest import nearest

WEBSOCKET_PROTOCOL = "portside.v1"
_UNKNOWN_FIELD = re.compile("Object contains unknown field `(.*)`", re.DOTALL)  # in the words of msgspec
_POLICY_VIOLATION = 1008  # the close code of a WebSocket whose client did something wrong (RFC 6455, section 7.4.1)

HttpEndpoint = Callable[[Request], Awaitable[Response]]
WebSocketEndpoint = Callable[[WebSocket], Awaitable[None]]


def http_endpoint(console: Console, operations: Mapping[str, Operation]) -> HttpEndpoint:
    """The endpoint of one path, with its operations by method."""

    async def answer(request: Request) -> Response:
        operation = operations["GET" if request.method == "HEAD" else request.method]
        arguments = _parameters(operation, request)
        if "body" in operation.parameters:
            arguments["body"] = _decode(await request.body() or b"{}", operation.parameters["body"])
        result = await operation.handler(console, **arguments)
        if isinstance(result, Response):
            return result
        if operation.answer is None:
            return Response(status_code=204)
        return Response(encode_json(result), media_type=operation.media_type)

    return answer


def websocket_endpoint(console: Console, operation: Operation) -> WebSocketEndpoint:
    """The endpoint of a WebSocket; a mistake in its parameters is answered as for HTTP, before it is accepted."""

    async def follow(socket: WebSocket) -> None:
        await operation.handler(console, socket, **_parameters(operation, socket))

    return websocket_of(follow)


def websocket_of(follow: WebSocketEndpoint) -> WebSocketEndpoint:
    """An endpoint that says what went wrong: as for HTTP, or once it is accepted with the close code."""

    async def serve(socket: WebSocket) -> None:
        try:
            await follow(socket)
        except Problem as problem:
            if socket.application_state == WebSocketState.CONNECTING:
                await socket.send_denial_response(problem_response(problem))
            else:
                await socket.close(_POLICY_VIOLATION, str(problem)[:120])

    return serve


async def accept_websocket(socket: WebSocket) -> None:
    """Accept a WebSocket, with the protocol that a browser offers beside its token."""
    offered = WEBSOCKET_PROTOCOL in socket.scope["subprotocols"]
    await socket.accept(subprotocol=WEBSOCKET_PROTOCOL if offered else None)


def _parameters(operation: Operation, request: HTTPConnection) -> dict[str, Any]:
    """The path, the query and who asks, as far as the operation takes them. Raises Problem."""
    wanted = operation.parameters
    query = dict(request.query_params)
    known = [each.encode_name for each in struct_fields(wanted.get("query"))]
    for name in query:
        if name not in known:
            near = nearest(name, known)
            raise Problem(400, f"there is no parameter {name!r}" + (f"; did you mean {near}?" if near else ""))
    arguments: dict[str, Any] = {}
    if "path" in wanted:
        try:
            arguments["path"] = msgspec.convert(request.path_params, wanted["path"], strict=False)
        except msgspec.ValidationError as error:
            raise Problem(404, f"no such place: {error}") from None
    if "query" in wanted:
        try:
            arguments["query"] = msgspec.convert(query, wanted["query"], strict=False)
        except msgspec.ValidationError as error:
            raise Problem(400, f"query: {error}") from None
    if "by" in wanted:
        arguments["by"] = By(request.scope["state"]["by"])
    return arguments


def _decode(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        unknown = _UNKNOWN_FIELD.match(str(error))
        if unknown is None:
            raise Problem(400, f"body: {error}") from None
        near = nearest(unknown[1], kind.__struct_fields__)
        words = f"; did you mean {near}?" if near else f": there are {', '.join(kind.__struct_fields__)}"
        raise Problem(400, f"body: there is no field {unknown[1]!r}{words}", code="field") from None
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise Problem(400, f"body: {error}") from None
