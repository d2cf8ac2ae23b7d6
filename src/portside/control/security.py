"""Who may ask what: the outermost layer of the API.

On the unix socket the kernel has said who asks. On TCP a request needs the token, and a browser is held to one origin:
``Host`` names an address or a name of this server, so that a name of somebody else's that is made to lead here (DNS
rebinding) is refused, and ``Origin`` is none or the same.
"""

import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from portside.control.problem import Problem, problem_response

MOST_BODY_BYTES = 1 << 20
TOKEN_PROTOCOL = "token."  # noqa: S105 -- before the token in Sec-WebSocket-Protocol: a page can set no other header
_ONCE = (b"host", b"origin", b"authorization")
_READING = frozenset(("GET", "HEAD", "OPTIONS"))
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NO_STORE = (b"cache-control", b"no-store")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class WebAccess:
    """The conditions that a request over TCP must meet. ``name`` is the host of the page, where it is a name."""

    def __init__(self, token: str, *, name: str | None, read_only: bool) -> None:
        self.token = token
        self.read_only = read_only
        self._token = token.encode()
        self._names = {"localhost", socket.gethostname().lower(), (name or "localhost").lower()}

    def check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Raise Problem where a request may not be answered."""
        names = [name for name, _ in scope["headers"]]
        if any(names.count(name) > 1 for name in _ONCE):  # which of them is meant?
            raise Problem(400, "one of the headers Host, Origin and Authorization is there twice", code="headers")
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._is_host(host):
            raise Problem(403, "the Host header names no address and no name of this server", code="host")
        scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower() != f"{scheme}://{host}".lower():
            raise Problem(403, "the request comes from a page of another origin", code="origin")
        path = scope["path"]
        if (path.startswith("/api/") or path == "/metrics") and not self._has_token(scope, headers):
            raise Problem(401, "the token is missing or wrong: Authorization: Bearer TOKEN", code="token")
        if self.read_only and scope["type"] == "http" and scope["method"] not in _READING:
            raise Problem(403, "this page may only look (--web-read-only)", code="read_only")

    def _is_host(self, text: str) -> bool:
        host = text.rpartition(":")[0] if text.rpartition(":")[2].isdigit() else text
        host = host.removeprefix("[").removesuffix("]").lower()
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host.removesuffix(".") in self._names
        return True

    def _has_token(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scope["type"] == "websocket" and not given:
            scheme = b"bearer"
            offered = (each for each in scope["subprotocols"] if each.startswith(TOKEN_PROTOCOL))
            given = next(offered, "").removeprefix(TOKEN_PROTOCOL).encode("latin-1", "replace")
        return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token)


class Security:
    """The layer around an application."""

    def __init__(self, app: App, web: WebAccess | None) -> None:
        self._app = app
        self._web = web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        is_api = scope["path"].startswith(("/api/", "/metrics"))

        async def send_safely(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message["headers"] = [*message.get("headers", ()), *_HEADERS, *([_NO_STORE] if is_api else [])]
            await send(message)

        try:
            if self._web is not None and scope["state"]["is_web"]:
                self._web.check(scope, headers)
            if scope["type"] == "http":
                receive = _limited(headers, receive)
        except Problem as problem:
            extra = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else None
            response = problem_response(problem, extra)
            await response(scope, receive, send_safely)
            return
        await self._app(scope, receive, send_safely)


def _limited(headers: dict[bytes, bytes], receive: Receive) -> Receive:
    """``receive`` for a body that may be so large; raises Problem here or where it is read."""
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or int(declared[:20]) > MOST_BODY_BYTES:
        raise _too_large()
    taken = 0

    async def receive_some() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BODY_BYTES:
            raise _too_large()
        return message

    return receive_some


def _too_large() -> Problem:
    return Problem(413, f"a body has at most {MOST_BODY_BYTES} bytes", code="body")
