"""The files of the page: those in ``web/`` at the start, and no others, whatever a path says."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).with_name("web")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"


def file_routes(folder: Path = FOLDER) -> list[Route]:
    """A route for each file of a folder that has a type known here; ``/`` is its index."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in _TYPES and path.is_file())
    routes = [Route(f"/{path.relative_to(folder).as_posix()}", _sends(path)) for path in files]
    return [*routes, *(Route("/", _sends(path)) for path in files if path == folder / _INDEX)]


def _sends(path: Path) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        return cached(request, await asyncio.to_thread(path.read_bytes), _TYPES[path.suffix])

    return send


def cached(request: Request, body: bytes, media_type: str) -> Response:
    """A response with a body, or 304 where the browser has it: it asks each time, and after an update gets the new."""
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if tag in known:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)
