"""The description of the API (OpenAPI 3.1), made from the operations: their types, problems and examples."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from portside.control.operations import Operation, struct_fields
from portside.control.problem import MEDIA_TYPE, ProblemDetails
from portside.version import __version__

_REFERENCE = "#/components/schemas/{name}"
_ABOUT = (
    "What a running server is asked and told. On its unix socket no token is needed; over TCP (`listen --web`) it is "
    "`Authorization: Bearer TOKEN`, for a WebSocket the protocol `token.TOKEN` beside `portside.v1`."
)
_ALWAYS = {
    401: "over TCP: the token is missing or wrong",
    403: "over TCP: a foreign page, or --web-read-only",
    408: "the request came too slowly",
    431: "path, query and headers are too large",
    503: "too many clients of the API are connected",
}


def describe(operations: Iterable[Operation]) -> dict[str, Any]:
    """The description of some operations, as JSON's own types."""
    operations = list(operations)
    kinds = [ProblemDetails, *(kind for each in operations for kind in _kinds(each))]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    problem, *rest = schemas
    schema_of = iter(rest)
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        found = {name: next(schema_of) for name in _kind_names(each)}
        described = _operation(each, found, problem)
        path = paths.setdefault(each.path, {})
        if each.method == "WS" and "get" in path:  # a WebSocket begins as a GET, and the path may have another
            path["get"]["responses"]["101"] = described["responses"]["101"]
        else:
            path["get" if each.method == "WS" else each.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "Portside control API", "version": __version__, "description": _ABOUT},
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _kind_names(operation: Operation) -> list[str]:
    names = ["body"] if "body" in operation.parameters else []
    return [*names, "answer"] if operation.answer is not None and operation.media_type == "application/json" else names


def _kinds(operation: Operation) -> list[Any]:
    return [operation.answer if name == "answer" else operation.parameters[name] for name in _kind_names(operation)]


def _operation(operation: Operation, schemas: Mapping[str, Any], problem: Any) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*_parameters(operation, "path"), *_parameters(operation, "query")],
        "responses": _responses(operation, schemas.get("answer"), problem),
    }
    if "body" in schemas:
        content = {"schema": schemas["body"], "example": operation.body_example}
        is_required = any(each.required for each in struct_fields(operation.parameters["body"]))
        described["requestBody"] = {"required": is_required, "content": {"application/json": content}}
    return described


def _parameters(operation: Operation, place: str) -> list[dict[str, Any]]:
    described = []
    for each in struct_fields(operation.parameters.get(place)):
        schema = msgspec.json.schema(each.type)
        words = schema.pop("description", None)
        if not each.required and each.default not in (msgspec.NODEFAULT, None):
            schema["default"] = each.default
        one = {"name": each.encode_name, "in": place, "required": place == "path" or each.required, "schema": schema}
        described.append(one | ({"description": words} if words else {}))
    return described


def _responses(operation: Operation, answer: Any, problem: Any) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    if operation.method == "WS":
        responses["101"] = {"description": "a WebSocket; each message is one object a line, as in the example",
                            "content": {"application/json": {"example": operation.example}}}  # fmt: skip
    elif answer is None and operation.media_type == "application/json":
        responses["204"] = {"description": "done"}
    else:
        content: dict[str, Any] = {"example": operation.example}
        content["schema"] = answer if answer is not None else {"type": "string"}
        responses["200"] = {"description": operation.summary, "content": {operation.media_type: content}}
    problems = dict(_ALWAYS) | {400: "a parameter is unknown or wrong"} | dict(operation.problems)
    if re.search(r"\{", operation.path):
        problems.setdefault(404, "nothing is there")
    if operation.method == "WS":
        problems[426] = "the request is for no WebSocket"
    if "body" in operation.parameters:
        problems[413] = "the body is too large"
    for status in sorted(problems):
        content = {MEDIA_TYPE: {"schema": problem}}
        words = problems[status] or HTTPStatus(status).phrase
        responses[str(status)] = {"description": words, "content": content}
    return responses
