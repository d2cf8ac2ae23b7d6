"""One request to the control API and its answer: HTTP/1.1 over a unix socket or TCP, on a connection of its own.

The answer is read by httptools' parser, which the server's side uses too: http.client would bring a mail parser and TLS
and take 20 ms of the start of a command. What comes is bounded by size and by time, whoever answers.
"""

import re
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

if TYPE_CHECKING:
    import ssl

_MOST_HEAD_BYTES: Final = 64 << 10
_READ_BYTES: Final = 256 << 10
_CONNECT_S: Final = 10.0  # where the whole has no limit: the connection has
_UNSAFE: Final = re.compile(r"[^!-~]")  # what no line of a request may have


class Api(NamedTuple):
    """Where an API is: the path of a unix socket, or a host and a port with the token that its link has."""

    name: str  # as errors show it
    path: str | None = None
    host: str = "localhost"
    port: int = 0
    token: str | None = None
    tls: "ssl.SSLContext | None" = None


class NotHttp(Exception):
    """An answer that is none, or one that is larger than any of the API."""


class Exchange:
    """A request under way. Its methods raise OSError and NotHttp.

    ``most_s`` is how long the whole may take, in seconds; None is for ever.
    """

    status = 0
    """The status of the answer, once ``begin`` has returned."""

    def __init__(self, api: Api, most_s: float | None) -> None:
        self._api = api
        self._deadline = None if most_s is None else time.monotonic() + most_s
        self._parser = HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._is_complete = False
        self._sock = _connect(api, _CONNECT_S if most_s is None else most_s)
        self._sock.settimeout(most_s)

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def interrupt(self) -> None:
        """End the answer for the thread that reads it."""
        self._sock.shutdown(socket.SHUT_RDWR)

    @property
    def media_type(self) -> str:
        """The type of the answer, without parameters."""
        return self._headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()

    def begin(self, method: str, target: str, body: bytes | None) -> None:
        """Send the request, and read the answer up to the end of its headers."""
        self._sock.sendall(_request(self._api, method, target, body))
        read = 0
        while not self.status:
            read += self._feed()
            if read > _MOST_HEAD_BYTES and not self.status:
                raise NotHttp("the headers of its answer do not end")
        if self.status < 200:
            raise NotHttp(f"its answer has the status {self.status}")

    def body(self, most_bytes: int) -> bytes:
        """The whole body."""
        taken, size = [], 0
        for part in self.parts():
            taken.append(part)
            size += len(part)
            if size > most_bytes:
                raise NotHttp(f"its answer has more than {most_bytes >> 20} MiB")
        return b"".join(taken)

    def parts(self) -> Iterator[bytes]:
        """The body, piece by piece."""
        while True:
            while self._parts:
                yield self._parts.pop(0)
            if self._is_complete:
                return
            self._feed()

    def lines(self, most_bytes: int) -> Iterator[bytes]:
        """The lines of the body, without their ends."""
        begun: list[bytes] = []
        size = 0
        for part in self.parts():
            *whole, rest = part.split(b"\n")
            for line in whole:
                yield b"".join((*begun, line))
                begun, size = [], 0
            begun.append(rest)
            size += len(rest)
            if size > most_bytes:
                raise NotHttp(f"a line of its answer has more than {most_bytes >> 20} MiB")
        if size:
            yield b"".join(begun)

    def _feed(self) -> int:
        """Give the parser what comes next: how many bytes."""
        if self._deadline is not None:
            self._sock.settimeout(max(0.001, self._deadline - time.monotonic()))
        data = self._sock.recv(_READ_BYTES)
        if data:
            try:
                self._parser.feed_data(data)
            except HttpParserUpgrade:
                raise NotHttp("its answer goes over to another protocol") from None
            except HttpParserError as error:
                raise NotHttp(str(error)) from None
        elif self.status and not self._headers.keys() & {b"content-length", b"transfer-encoding"}:
            self._is_complete = True
        else:
            raise NotHttp("its answer ends early")
        return len(data)

    # Called by the parser.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; those that come after the body are of no interest."""
        if not self.status:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Note the status."""
        self.status = self._parser.get_status_code()

    def on_body(self, part: bytes) -> None:
        """Take a piece of the body."""
        self._parts.append(part)

    def on_message_complete(self) -> None:
        """Note that this is all."""
        self._is_complete = True


def _connect(api: Api, most_s: float) -> socket.socket:
    if api.path is None:
        sock = socket.create_connection((api.host, api.port), most_s)
    else:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if api.path is not None:
            sock.settimeout(most_s)
            sock.connect(api.path)
        elif api.tls is not None:
            sock = api.tls.wrap_socket(sock, server_hostname=api.host)
    except OSError:
        sock.close()
        raise
    return sock


def _request(api: Api, method: str, target: str, body: bytes | None) -> bytes:
    host = "localhost" if api.path is not None else f"[{api.host}]" if ":" in api.host else api.host
    port = f":{api.port}" if api.port else ""
    headers = [f"{method} {target} HTTP/1.1", f"Host: {host}{port}", "Accept: application/json", "Connection: close"]
    if api.token is not None:
        headers.append(f"Authorization: Bearer {_UNSAFE.sub('?', api.token)}")
    if body is not None:
        headers += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join((*headers, "", "")).encode("ascii") + (body or b"")
