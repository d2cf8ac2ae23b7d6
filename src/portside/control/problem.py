"""Errors of the API as problem details (RFC 9457)."""

from http import HTTPStatus

import msgspec
from starlette.responses import Response

from portside.json_text import encode_json

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The details of a problem. ``position`` and ``length`` are the place in a filter, in characters."""

    type: str
    title: str
    status: int
    detail: str
    code: str | None = None
    position: int | None = None
    length: int | None = None


class Problem(Exception):
    """A request that cannot be answered as asked; ``code`` names the kind of mistake for programs.

    ``retry_after_s`` says when it can be asked again, as the header Retry-After (RFC 9110, section 10.2.3).
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str | None = None,
        position: int | None = None,
        length: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        self.status = status
        self.details = ProblemDetails(
            type="about:blank",
            title=HTTPStatus(status).phrase,
            status=status,
            detail=detail,
            code=code,
            position=position,
            length=length,
        )


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """The response that says what went wrong."""
    body = encode_json(msgspec.to_builtins(problem.details) | {"type": problem.details.type})
    return Response(body, problem.status, {**problem.headers, **(headers or {})}, MEDIA_TYPE)
