"""uvicorn's HTTP protocol with the limits of this API: who asks, how many at once, how long a request may take."""

import asyncio
import os
import socket
import struct
from http import HTTPStatus
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

MOST_CONNECTIONS = 300
MOST_HEADER_BYTES = 32 * 1024
HEADER_TIMEOUT_S = 10.0
"""From the first byte of a request, or from the connection, to the last one of its headers."""
BODY_TIMEOUT_S = 30.0
"""From the headers to the last byte of the body."""
MOST_DROPPED_BYTES = 8 << 20
DROP_TIMEOUT_S = 2.0
"""What is read of a body after the answer that it is too large: a close would reset, and take the answer with it."""
MOST_FRAMING_BYTES = 64 * 1024
"""Of what is no body, after the headers: the sizes of chunks and their extensions, trailers, blank lines."""
MOST_PIPELINED = 32
"""Requests that wait for the answers to those before them."""
STALLED_S = 60.0
"""After so long without taking anything of its answer a client is disconnected."""
MOST_REFUSED = 32
REFUSED_S = 2.0
"""Clients beyond those that are served who may send their request, in this time, before they are refused: whoever still
writes to a connection that is closed does not read the answer."""

_PEER_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7): pid, uid, gid


class _TooManyWait(Exception):
    """A request behind more of them than may wait."""


class ControlProtocol(HttpToolsProtocol):
    """One client of the API. ``server_state`` has the clients of one socket: those of the page leave ctl its room."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_headers = True
        self._header_bytes = 0  # that the parser has told of
        self._unparsed_bytes = 0  # since the read in which the request began: a header is told of when it is whole
        self._body_bytes = 0
        self._dropped_bytes = 0  # of a body, after the answer
        self._running: RequestResponseCycle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._is_one_too_many = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        if peer.family == socket.AF_UNIX:
            _, uid, _ = _PEER_CREDENTIALS.unpack(
                peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
            )
            if uid not in (0, os.geteuid()):
                transport.abort()
                return
            self.app_state = {"by": f"unix uid {uid}", "is_web": False, "abort": transport.abort}
        else:
            who = f"{self.client[0]}:{self.client[1]}" if self.client else "unknown"
            self.app_state = {"by": f"web {who}", "is_web": True, "abort": transport.abort}
        clients = len(self.connections)
        self._is_one_too_many = clients > MOST_CONNECTIONS
        if clients > MOST_CONNECTIONS + MOST_REFUSED:
            self._refuse_one_too_many()
            return
        self._set_deadline(REFUSED_S if self._is_one_too_many else HEADER_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_deadline(None)
        self._set_stalled(None)
        self._tell_request()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._is_one_too_many:
            self._refuse_one_too_many()
            return
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._in_headers and max(self._header_bytes, self._unparsed_bytes) > MOST_HEADER_BYTES:
            self._refuse(431, f"the headers of a request have at most {MOST_HEADER_BYTES} bytes")
        elif not self._in_headers and self._unparsed_bytes > 2 * self._body_bytes + MOST_FRAMING_BYTES:
            self._cut_off()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._set_stalled(STALLED_S)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._set_stalled(None)

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MOST_PIPELINED:
            raise _TooManyWait
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = self._unparsed_bytes = self._body_bytes = self._dropped_bytes = 0
        self._set_deadline(HEADER_TIMEOUT_S)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._header_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_headers:  # and no trailer, which would become one of the headers that are kept
            super().on_header(name, value)
            self._header_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._set_deadline(BODY_TIMEOUT_S)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._body_bytes += len(body)
        if self.cycle is not None and self.cycle.response_complete:
            self._dropped_bytes += len(body)
            if self._dropped_bytes > MOST_DROPPED_BYTES:
                self.transport.close()

    def on_message_complete(self) -> None:
        self._set_deadline(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._set_deadline(DROP_TIMEOUT_S)
        if self.pipeline and not self.transport.is_closing():
            # It would read on now, and requests come faster than they are answered.
            self.flow.pause_reading()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _set_deadline(self, seconds: float | None) -> None:
        """Close after so many seconds, in place of what was set before."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._timed_out) if seconds is not None else None

    def _set_stalled(self, seconds: float | None) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
        self._stalled = self.loop.call_later(seconds, self._cut_off) if seconds is not None else None

    def _timed_out(self) -> None:
        self._deadline = None
        if self._is_one_too_many:
            self._refuse_one_too_many()
        elif self._in_headers:
            self._refuse(408, f"the headers of a request take at most {HEADER_TIMEOUT_S:g} s")
        else:
            self._cut_off()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle  # where requests wait, `cycle` is that of the last one
        super()._start_asgi_task(cycle, app)

    def _cut_off(self) -> None:
        """Close at once."""
        self._tell_request()
        self.transport.abort()

    def _tell_request(self) -> None:
        """Tell the request under way that its client has gone: it would read or write what is closed."""
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()

    def _refuse_one_too_many(self) -> None:
        self._refuse(503, f"{MOST_CONNECTIONS} clients of the API are connected already")

    def _refuse(self, status: int, detail: str) -> None:
        """Answer what has not become a request, and close."""
        self._set_deadline(None)
        self._tell_request()
        self.transport.write(refusal(status, detail))
        self.transport.close()


def refusal(status: int, detail: str) -> bytes:
    """A whole answer to what has not become a request."""
    from portside.control.problem import Problem, problem_response

    response = problem_response(Problem(status, detail), {"Connection": "close"})
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(response.body)
