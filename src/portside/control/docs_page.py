"""``/docs``: the operations of the API as a page for people, from the OpenAPI description; without any script."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from portside.json_text import encode_json

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Portside control API</title>
<link rel="stylesheet" href="/docs.css">
"""


def docs_page(description: Mapping[str, Any]) -> bytes:
    """The page of a description."""
    return "".join(_page(description)).encode()


def _page(description: Mapping[str, Any]) -> Iterator[str]:
    info, schemas = description["info"], description["components"]["schemas"]
    yield _HEAD
    yield f"<main>\n<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>\n"
    yield f"<p>{_words(info['description'])} <a href='/openapi.json'>/openapi.json</a> is the same for programs.</p>\n"
    yield "<h2>Operations</h2>\n"
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield from _operation(method.upper() if "101" not in operation["responses"] else "WS", path, operation)
    yield "<h2>Types</h2>\n"
    for name, schema in schemas.items():
        yield from _schema(name, schema)
    yield "</main>\n</html>\n"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<details id='{escape(operation['operationId'])}'>\n<summary><b>{method}</b> <code>{escape(path)}</code> "
    yield f"{_words(operation['summary'])}</summary>\n"
    if operation["parameters"]:
        yield "<table><tr><th>parameter</th><th>type</th><th>meaning</th></tr>\n"
        for each in operation["parameters"]:
            words = each.get("description", "")
            yield f"<tr><td><code>{escape(each['name'])}</code></td><td>{_kind(each['schema'])}</td>"
            yield f"<td>{_words(words)}</td></tr>\n"
        yield "</table>\n"
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]
        yield f"<p>Body: {_kind(body['schema'])}</p>\n{_example(body['example'])}"
    for status, response in operation["responses"].items():
        content: Mapping[str, Any] = next(iter(response.get("content", {}).values()), {})
        kind = f": {_kind(content['schema'])}" if "schema" in content else ""
        yield f"<p><b>{status}</b> {_words(response['description'])}{kind}</p>\n"
        if "example" in content:
            yield _example(content["example"])
    yield "</details>\n"


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"<details id='{escape(name)}'>\n<summary><code>{escape(name)}</code> "
    yield f"{_words(schema.get('description', ''))}</summary>\n"
    if schema.get("properties"):
        yield "<table><tr><th>field</th><th>type</th><th>meaning</th></tr>\n"
        for field, kind in schema["properties"].items():
            yield f"<tr><td><code>{escape(field)}</code></td><td>{_kind(kind)}</td>"
            yield f"<td>{_words(kind.get('description', ''))}</td></tr>\n"
        yield "</table>\n"
    yield "</details>\n"


def _kind(schema: Mapping[str, Any]) -> str:
    """A type in words."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    match schema.get("type"):
        case "array":
            return f"list of {_kind(schema.get('items', {}))}"
        case "object":
            return f"object of {_kind(schema.get('additionalProperties') or {})}"
        case None:
            return "anything"
        case kind:
            return escape(str(kind))


def _example(value: object) -> str:
    text = value if isinstance(value, str) else encode_json(value).decode()
    return f"<pre>{escape(text)}</pre>\n"


def _words(text: str) -> str:
    """A sentence; what stands in `...` is code."""
    parts = escape(text.replace("``", "`")).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))
