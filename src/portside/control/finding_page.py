"""``/findings/CODE``: the page of a finding's code, for people: what it means, how to prove it, what to do."""

import asyncio
from html import escape

from starlette.requests import Request
from starlette.responses import Response

from portside.app.documentation import finding_codes, read_finding_page
from portside.control.problem import Problem
from portside.control.static_files import cached

PATH = "/findings/{code}"
_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - Portside</title>
<link rel="stylesheet" href="/docs.css">
<main>
"""


async def finding_page(request: Request) -> Response:
    """The page of the code in the path. Raises Problem where there is none."""
    code = request.path_params["code"]
    markdown = await asyncio.to_thread(_read, code)
    if markdown is None:
        raise Problem(404, f"no finding has the code {code!r}: GET /api/v1/findings names those that were found")
    return cached(request, make_page(code, markdown.decode()), "text/html; charset=utf-8")


def _read(code: str) -> bytes | None:
    return read_finding_page(code) if code in finding_codes() else None


def make_page(title: str, markdown: str) -> bytes:
    """A document with the text of a page, which is ours: comments and tables in it stay what they are."""
    from markdown_it import MarkdownIt  # for the first who asks

    text = MarkdownIt("commonmark").enable("table").render(markdown)
    return f"{_HEAD.format(title=escape(title))}{text}</main>\n</html>\n".encode()
