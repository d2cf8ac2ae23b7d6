"""The control API as a client uses it: requests and streams over a unix socket or TCP, JSON in and out.

A request has a connection of its own: the API may belong to a server that was started anew since the last one.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from portside.control.client.exchange import Api, Exchange, NotHttp
from portside.errors import PortsideError, reason_of
from portside.hostnames import ascii_host

if TYPE_CHECKING:
    import ssl

TIMEOUT_S = 10.0  # of a request; a stream may be silent for as long as nothing happens
_UNTRUSTED = (
    "--tls-ca FILE trusts the certificate that the server has by --web-tls-cert; a throw-away one is another in each "
    "run, and `ssh -L` needs none"
)
_MOST_ANSWER_BYTES = 16 << 20
_MOST_LINE_BYTES = 12 << 20  # of a stream: the ring holds events of 8 MiB, in base64 a third more
_MOST_ITEMS = 1_000_000  # of all pages of a list
NOT_OURS = "it does not answer as Portside does"
_UNAUTHORIZED = 401
_WHOLE_LINK = "give the whole link that `listen --web` printed: what follows # is the token, and each run has another"


Query = Mapping[str, str | int]
"""The parameters of a request, by their names."""


class ApiError(PortsideError):
    """A request that was refused: the problem that the server sent. ``position`` and ``length`` are in a filter."""

    def __init__(self, name: str, problem: Mapping[str, Any], status: int) -> None:
        detail = problem.get("detail")
        hint = _WHOLE_LINK if status == _UNAUTHORIZED else None
        super().__init__(name, detail if isinstance(detail, str) else f"HTTP status {status}", hint)
        self.http_status = status
        self.code = problem.get("code")
        position, length = problem.get("position"), problem.get("length")
        self.position = position if isinstance(position, int) else None
        self.length = length if isinstance(length, int) else 1


class Unreachable(PortsideError):
    """A server that does not answer, or not as the API of Portside does."""


class Silent(Unreachable):
    """A server that is there and does not answer in time."""


def api_of_link(link: str, tls: "ssl.SSLContext | None" = None) -> Api:
    """The API behind the link that ``listen --web`` prints. Raises PortsideError where the text is no link."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(link)
        host, port = parts.hostname, parts.port
        host = ascii_host(host) if host else None  # as the request names it
        if host is not None:
            host.encode("idna")  # refuses labels that are empty or too long
    except ValueError as error:
        raise PortsideError(link, error) from None
    if parts.scheme not in ("http", "https") or not host:
        raise PortsideError(link, "it is no link of a page: write http://HOST:PORT/#TOKEN, as `listen --web` prints it")
    secure = parts.scheme == "https"
    if secure and tls is None:
        import ssl

        tls = ssl.create_default_context()
    name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"  # without the token
    return Api(name, None, host, port or (443 if secure else 80), parts.fragment or None, tls if secure else None)


class ControlClient:
    """The API of one server. Its methods raise ApiError for a refusal and Unreachable for anything else."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def request(self, method: str, path: str, *, query: Query | None = None, body: Any = None) -> Any:
        """One request; the JSON of its answer, None where it has none."""
        exchange = None
        try:
            exchange = Exchange(self.api, TIMEOUT_S)
            exchange.begin(method, _target(path, query), None if body is None else _encode(body))
            answer = exchange.body(_MOST_ANSWER_BYTES)
        except (OSError, NotHttp) as error:
            raise self.unreachable(error) from None
        finally:
            if exchange is not None:
                exchange.close()
        self.check(exchange, answer)
        return self.decode(answer) if answer else None

    def lines(self, path: str, *, query: Query | None = None) -> "LineStream":
        """The objects of a stream of JSON Lines, as they come, until the server ends it."""
        return LineStream(self, _target(path, query))

    def pages(self, path: str, query: Query) -> Iterator[dict[str, Any]]:
        """The answers of a list, page by page, as far as each brings something; an ``offset`` is before the first."""
        after: dict[str, str | int] = {}
        left = _MOST_ITEMS
        while True:
            page = self.request("GET", path, query={**query, **after})
            query = {name: value for name, value in query.items() if name != "offset"}
            yield page
            if page.get("next") is None or not page["items"]:
                return
            left -= len(page["items"])
            if left < 0:
                raise Unreachable(self.api.name, f"its list has more than {_MOST_ITEMS} items")
            after = {"after": page["next"]}

    def check(self, exchange: Exchange, answer: bytes) -> None:
        """Raise ApiError for an answer that is a refusal."""
        if exchange.status < 400:
            return
        problem = self.decode(answer) if exchange.media_type == "application/problem+json" else {}
        raise ApiError(self.api.name, problem if isinstance(problem, dict) else {}, exchange.status)

    def decode(self, data: bytes) -> Any:
        """The value of JSON that the server sent. Raises Unreachable where it is none."""
        try:
            return json.loads(data.decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise Unreachable(self.api.name, f"{NOT_OURS}: {error}") from None

    def unreachable(self, error: BaseException) -> Unreachable:
        """The error for the user."""
        if isinstance(error, NotHttp):
            return Unreachable(self.api.name, f"{NOT_OURS}: {error}")
        if isinstance(error, TimeoutError):
            return Silent(self.api.name, f"no answer within {TIMEOUT_S:g}s")
        if isinstance(error, BlockingIOError):  # of a unix socket whose backlog is full
            return Silent(self.api.name, "it does not answer, and as many clients wait for it as may")
        if untrusted := getattr(error, "verify_message", None):  # of ssl, which is not imported without a link
            return Unreachable(self.api.name, f"its certificate is not trusted: {untrusted}", _UNTRUSTED)
        return Unreachable(self.api.name, reason_of(error))


class LineStream(Iterator[dict[str, Any]]):
    """The objects of a stream. ``close``, on any thread, ends it for whoever iterates."""

    def __init__(self, client: ControlClient, target: str) -> None:
        self._client = client
        self._target = target
        self._lock = threading.Lock()
        self._exchange: Exchange | None = None
        self._closed = threading.Event()
        self._objects = self._read()
        self._has_begun = False

    def begin(self) -> None:
        """Send the request, and read the head of its answer: from then on, nothing is missed."""
        if not self._has_begun:
            self._has_begun = True
            next(self._objects, None)

    def __next__(self) -> dict[str, Any]:
        self.begin()
        return next(self._objects)

    def close(self) -> None:
        """End the stream: the next object is the last, or there is none."""
        with self._lock:
            self._closed.set()
            if self._exchange is not None:
                with suppress(OSError):
                    self._exchange.interrupt()

    def _read(self) -> Iterator[dict[str, Any]]:
        client = self._client
        try:
            if self._closed.is_set():
                return
            exchange = Exchange(client.api, None)  # without the lock: ``close`` does not wait for it
            with self._lock:
                self._exchange = exchange
                if self._closed.is_set():
                    return
            exchange.begin("GET", self._target, None)
            if exchange.status != 200:
                client.check(exchange, exchange.body(_MOST_ANSWER_BYTES))
            yield {}  # the head, for ``begin``
            for line in exchange.lines(_MOST_LINE_BYTES):
                if line and not line.isspace():
                    yield client.decode(line)
                if self._closed.is_set():
                    return
        except (OSError, NotHttp) as error:
            if not self._closed.is_set():
                raise client.unreachable(error) from None
        finally:
            with self._lock:
                if self._exchange is not None:
                    self._exchange.close()
                    self._exchange = None


def _target(path: str, query: Query | None) -> str:
    """The target of a request; the paths of the API need no quoting."""
    if not query:
        return path
    from urllib.parse import urlencode

    return f"{path}?{urlencode(query, errors='surrogateescape')}"


def _encode(body: Any) -> bytes:
    """The JSON of a request, which no terminal shows; msgspec would take 10 ms to load."""
    try:
        return json.dumps(body, ensure_ascii=False).encode()  # noqa: TID251
    except UnicodeEncodeError:
        from portside.json_text import encode_json

        return encode_json(body)


def _refuse_constant(name: str) -> None:
    """Refuse NaN and the infinities, which Python's parser takes for JSON."""
    raise ValueError(f"{name} is no JSON")
