"""The HTTP server of ``/metrics``: httptools over asyncio, and nothing that a scrape does not need.

The web stack of the consoles would take 5 MB of an agent that has 60. A request has a limit of bytes and of time, a
client one request at a time; who does not take its answer is cut off. The text is made at most once a second.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Self

import httptools

from portside.addresses import Address
from portside.errors import PortsideError
from portside.fleet.metrics.exposition import CONTENT_TYPE, metrics_text
from portside.fleet.metrics.facts import MachineFacts
from portside.server.listener import SocketOptions, open_listeners

PATH: Final = "/metrics"
DEFAULT_HOST: Final = "127.0.0.1"
MOST_CONNECTIONS: Final = 16
"""Where one more comes, the one goes that was connected or answered longest ago."""
MOST_REQUEST_BYTES: Final = 16 * 1024
REQUEST_S: Final = 10.0
"""From the first byte of a request, or from the connection, to its last byte; and for its answer to be taken."""
IDLE_S: Final = 180.0
FRESH_S: Final = 1.0

_PLAIN: Final = "text/plain; charset=utf-8"

Facts = Callable[[], MachineFacts]
"""The call by which an agent hands in its facts. It is made on the loop's thread, and has to return at once."""


class MetricsServer:
    """Serves ``/metrics`` in the running loop until ``close``. ``addresses`` are where it listens, as text."""

    def __init__(self, facts: Facts) -> None:
        self.addresses: tuple[str, ...] = ()
        self.clients: dict[_Client, None] = {}  # the one that was served longest ago first
        self._facts = facts
        self._servers: list[asyncio.Server] = []
        self._text, self._made_at = b"", -FRESH_S

    @classmethod
    async def start(cls, address: Address, facts: Facts) -> Self:
        """Listen at the address that ``--metrics`` gave; a bare port is of 127.0.0.1. Raises PortsideError."""
        where = address if address.host is not None else Address(DEFAULT_HOST, address.ports)
        try:
            listeners = open_listeners(
                (where,), families=(socket.AF_INET, socket.AF_INET6), options=SocketOptions(backlog=MOST_CONNECTIONS)
            )
        except PortsideError as error:
            raise PortsideError(f"--metrics {address}: {error.what}", error.why, error.hint) from None
        server = cls(facts)
        server.addresses = tuple(each.name for each in listeners)
        loop = asyncio.get_running_loop()
        for each in listeners:
            server._servers.append(
                await loop.create_server(lambda: _Client(server), sock=each.socket, backlog=MOST_CONNECTIONS)
            )
        return server

    async def close(self) -> None:
        """Listen no more, and end all connections."""
        for each in self._servers:
            each.close()
        for client in list(self.clients):
            client.abort()
        for each in self._servers:
            await each.wait_closed()

    def text(self) -> bytes:
        """The metrics, at most a second old."""
        now = time.monotonic()
        if now - self._made_at >= FRESH_S:
            self._text = metrics_text(self._facts())
            self._made_at = now
        return self._text

    def make_room(self) -> None:
        """End the connection that was answered longest ago, where there are too many."""
        while len(self.clients) >= MOST_CONNECTIONS:
            next(iter(self.clients)).abort()


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: MetricsServer) -> None:
        self._server = server
        self._is_idle = False  # between an answer and the next request
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._method = b""
        self._bytes = 0
        self._is_whole = self._is_closing = False
        self._transport: asyncio.Transport
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- for mypy
        self._transport = transport
        self._server.make_room()
        self._server.clients[self] = None
        self._set_deadline(REQUEST_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.clients.pop(self, None)
        self._set_deadline(None)

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return
        if self._is_idle:
            self._is_idle = False
            self._set_deadline(REQUEST_S)
        self._bytes += len(data)
        if self._bytes > MOST_REQUEST_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request has at most {MOST_REQUEST_BYTES} bytes"
            )
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_closing = True  # after the answer: what follows is another protocol's
        except httptools.HttpParserError:
            if not self._is_whole:  # else what follows a whole request is another one, or none
                self._refuse(HTTPStatus.BAD_REQUEST, "this is no HTTP request")
                return
            self._is_closing = True
        if self._is_whole:
            self._answer()

    def pause_writing(self) -> None:
        self._transport.pause_reading()
        self._set_deadline(REQUEST_S)

    def resume_writing(self) -> None:
        if not self._is_closing:
            self._transport.resume_reading()
            self._set_deadline(IDLE_S)

    # What the parser tells.

    def on_message_begin(self) -> None:
        if self._is_whole:
            raise RuntimeError("a request that does not wait for the answer to the one before")
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_message_complete(self) -> None:
        self._is_whole = True
        self._method = self._parser.get_method()
        self._is_closing |= not self._parser.should_keep_alive()

    def _answer(self) -> None:
        path, _, _ = self._url.partition(b"?")
        has_body = self._method != b"HEAD"
        if path != PATH.encode():
            self._write(HTTPStatus.NOT_FOUND, f"metrics are at {PATH}\n".encode(), _PLAIN, has_body=has_body)
        elif self._method not in (b"GET", b"HEAD"):
            self._write(
                HTTPStatus.METHOD_NOT_ALLOWED, b"GET is what metrics are read with\n", _PLAIN, "Allow: GET, HEAD"
            )
        else:
            self._write(HTTPStatus.OK, self._server.text(), CONTENT_TYPE, has_body=has_body)
        self._is_whole, self._bytes = False, 0
        if self._is_closing:
            self._close()
            return
        self._is_idle = True
        self._server.clients.pop(self, None)
        self._server.clients[self] = None
        if self._transport.is_reading():  # else the answer has to be taken first
            self._set_deadline(IDLE_S)

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        self._is_closing = True
        self._write(status, f"{words}\n".encode(), _PLAIN)
        self._close()

    def _write(self, status: HTTPStatus, body: bytes, content_type: str, *more: str, has_body: bool = True) -> None:
        lines = [
            f"HTTP/1.1 {status} {status.phrase}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            *more,
            *(("Connection: close",) if self._is_closing else ()),
        ]
        self._transport.write("\r\n".join([*lines, "", ""]).encode() + (body if has_body else b""))

    def _close(self) -> None:
        """Close once the answer was taken, which has its time too."""
        self._transport.close()
        if self in self._server.clients:
            self._set_deadline(REQUEST_S)

    def abort(self) -> None:
        """Close at once."""
        self._server.clients.pop(self, None)
        self._set_deadline(None)
        self._transport.abort()

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(seconds, self.abort) if seconds is not None else None
