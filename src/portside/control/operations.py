"""How an operation of the API is declared: a function whose annotations say what it takes and gives.

    @routes.get("/api/v1/connections/{conn}", summary="One connection", example={…}, problems={404: "not there"})
    async def connection(console: Console, *, path: ConnPath, query: Fields, by: By) -> ConnectionDetails: …

``console`` comes first. Of the others each is taken by those that want it: ``path``, ``query`` and ``body`` are msgspec
structs, which are validated; ``by`` says who asks, for the event of an act. The annotation of the return value is the
type of the answer; None is an answer without a body (204). A ``Response`` is sent as it is, and documented by
``media_type``. Raise ``Problem`` for what cannot be done, with a status that ``problems`` documents.
"""

import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NewType, TypeVar

import msgspec

By = NewType("By", str)
"""Who asks: ``unix uid 0`` or ``web 127.0.0.1:5000``."""

Handler = Callable[..., Awaitable[Any]]
HandlerT = TypeVar("HandlerT", bound=Handler)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation. ``method`` is WS for a WebSocket."""

    method: str
    path: str
    summary: str
    handler: Handler
    example: object
    body_example: object = None
    problems: Mapping[int, str] = field(default_factory=dict)
    media_type: str = "application/json"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    answer: Any = None

    @property
    def name(self) -> str:
        """The name of the operation: that of its function."""
        return getattr(self.handler, "__name__", "")


class Routes:
    """The operations of one part of the API, in the order of their declaration."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        summary: str,
        example: object = None,
        body_example: object = None,
        problems: Mapping[int, str] | None = None,
        media_type: str = "application/json",
    ) -> Callable[[HandlerT], HandlerT]:
        """Declare the function below as an operation; its examples are an answer and a body of a request."""

        def declare(handler: HandlerT) -> HandlerT:
            hints = typing.get_type_hints(handler, include_extras=True)
            answer = hints.pop("return", None)
            hints.pop("console", None)
            hints.pop("socket", None)
            self.operations.append(
                Operation(
                    method=method,
                    path=path,
                    summary=summary,
                    handler=handler,
                    example=example,
                    body_example=body_example,
                    problems=problems or {},
                    media_type=media_type,
                    parameters=hints,
                    answer=None if answer is type(None) else answer,
                )
            )
            return handler

        return declare

    def get(self, path: str, **described: Any) -> Callable[[HandlerT], HandlerT]:
        """Declare a GET."""
        return self.add("GET", path, **described)

    def post(self, path: str, **described: Any) -> Callable[[HandlerT], HandlerT]:
        """Declare a POST."""
        return self.add("POST", path, **described)

    def put(self, path: str, **described: Any) -> Callable[[HandlerT], HandlerT]:
        """Declare a PUT."""
        return self.add("PUT", path, **described)

    def patch(self, path: str, **described: Any) -> Callable[[HandlerT], HandlerT]:
        """Declare a PATCH."""
        return self.add("PATCH", path, **described)

    def delete(self, path: str, **described: Any) -> Callable[[HandlerT], HandlerT]:
        """Declare a DELETE."""
        return self.add("DELETE", path, **described)

    def websocket(self, path: str, **described: Any) -> Callable[[HandlerT], HandlerT]:
        """Declare a WebSocket: its function takes ``console`` and ``socket``, which is accepted."""
        return self.add("WS", path, **described)


def struct_fields(kind: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a struct of parameters; none for what is no struct."""
    return msgspec.structs.fields(kind) if kind is not None else ()
