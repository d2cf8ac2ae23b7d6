"""The control API as a client uses it: requests and streams over a unix socket or TCP, JSON in and out.

A request has a connection of its own: the API may belong to a server that was started anew since the last one.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from portside.errors import PortsideError, reason_of
from portside.json_text import encode_json

TIMEOUT_S = 10.0  # of a request; a stream may be silent for as long as nothing happens
_MOST_ANSWER_BYTES = 64 << 20
_MOST_LINE_BYTES = 8 << 20  # of a stream


class Api(NamedTuple):
    """Where an API is: the path of a unix socket, or a host and a port with the token that its link has."""

    name: str  # as errors show it
    path: str | None = None
    host: str = "localhost"
    port: int = 0
    token: str | None = None
    tls: ssl.SSLContext | None = None


class ApiError(PortsideError):
    """A request that was refused: the problem that the server sent. ``position`` and ``length`` are in a filter."""

    def __init__(self, name: str, problem: Mapping[str, Any], status: int) -> None:
        detail = problem.get("detail")
        super().__init__(name, detail if isinstance(detail, str) else f"HTTP status {status}")
        self.http_status = status
        self.code = problem.get("code")
        position, length = problem.get("position"), problem.get("length")
        self.position = position if isinstance(position, int) else None
        self.length = length if isinstance(length, int) else 1


class Unreachable(PortsideError):
    """A server that does not answer, or not as the API of Portside does."""


def api_of_link(link: str, tls: ssl.SSLContext | None = None) -> Api:
    """The API behind the link that ``listen --web`` prints. Raises PortsideError where the text is no link."""
    try:
        parts = urlsplit(link)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise PortsideError(link, error) from None
    if parts.scheme not in ("http", "https") or not host:
        raise PortsideError(link, "it is no link of a page: write http://HOST:PORT/#TOKEN, as `listen --web` prints it")
    secure = parts.scheme == "https"
    name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"  # without the token
    context = (tls or ssl.create_default_context()) if secure else None
    return Api(name, None, host, port or (443 if secure else 80), parts.fragment or None, context)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


class StreamEnd:
    """Ends a stream for whoever reads it, on any thread."""

    def __init__(self) -> None:
        self.is_set = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def attach(self, sock: socket.socket) -> None:
        """Take the socket of the stream; it is shut down at once where the end has come already."""
        with self._lock:
            self._socket = sock
        if self.is_set:
            self.set()

    def set(self) -> None:
        """End the stream."""
        with self._lock:
            self.is_set = True
            if self._socket is not None:
                with suppress(OSError):  # it is closed by now
                    self._socket.shutdown(socket.SHUT_RDWR)


class ControlClient:
    """The API of one server. Its methods raise ApiError for a refusal and Unreachable for anything else."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def request(self, method: str, path: str, *, query: Mapping[str, str | int] | None = None, body: Any = None) -> Any:
        """One request; the JSON of its answer, None where it has none."""
        connection = self._connection(TIMEOUT_S)
        try:
            response = self._send(connection, method, path, query, body)
            data = response.read(_MOST_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()
        self._check(response, data)
        return self._decode(data) if data else None

    def lines(
        self, path: str, *, query: Mapping[str, str | int] | None = None, end: StreamEnd | None = None
    ) -> Iterator[dict[str, Any]]:
        """The objects of a stream of JSON Lines, as they come, until the server or ``end`` ends it."""
        connection = self._connection(None)
        try:
            if end is not None:
                connection.connect()
                end.attach(connection.sock)
            response = self._send(connection, "GET", path, query, None)
            if response.status != 200:
                self._check(response, response.read(_MOST_ANSWER_BYTES))
            while line := response.readline(_MOST_LINE_BYTES):
                if not line.isspace():
                    yield self._decode(line)
        except (OSError, http.client.HTTPException) as error:
            if end is None or not end.is_set:
                raise self._unreachable(error) from None
        finally:
            connection.close()

    def pages(self, path: str, query: Mapping[str, str | int]) -> Iterator[dict[str, Any]]:
        """The answers of a list, page by page."""
        after: dict[str, str | int] = {}
        while True:
            page = self.request("GET", path, query={**query, **after})
            yield page
            if page.get("next") is None:
                return
            after = {"after": page["next"]}

    def _connection(self, timeout: float | None) -> http.client.HTTPConnection:
        api = self.api
        if api.path is not None:
            return _UnixConnection(api.path, timeout)
        if api.tls is not None:
            return http.client.HTTPSConnection(api.host, api.port, timeout=timeout, context=api.tls)
        return http.client.HTTPConnection(api.host, api.port, timeout=timeout)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Any,
    ) -> http.client.HTTPResponse:
        target = quote(path) + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "Connection": "close"}
        data = None
        if body is not None:
            data = encode_json(body)
            headers["Content-Type"] = "application/json"
        if self.api.token is not None:
            headers["Authorization"] = f"Bearer {self.api.token}"
        connection.request(method, target, data, headers)
        return connection.getresponse()

    def _check(self, response: http.client.HTTPResponse, data: bytes) -> None:
        if response.status < 400:
            return
        kind = response.headers.get_content_type()
        problem = self._decode(data) if kind == "application/problem+json" else {}
        raise ApiError(self.api.name, problem if isinstance(problem, dict) else {}, response.status)

    def _decode(self, data: bytes) -> Any:
        try:
            return msgspec.json.decode(data)
        except msgspec.DecodeError as error:
            raise Unreachable(self.api.name, f"it does not answer as Portside does: {error}") from None

    def _unreachable(self, error: BaseException) -> Unreachable:
        if isinstance(error, http.client.HTTPException):
            return Unreachable(self.api.name, f"it does not answer as Portside does: {error or type(error).__name__}")
        if isinstance(error, TimeoutError):
            return Unreachable(self.api.name, f"no answer within {TIMEOUT_S:g}s")
        return Unreachable(self.api.name, reason_of(error))
