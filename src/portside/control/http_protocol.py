"""uvicorn's HTTP protocol with the limits of this API: who asks, how many at once, how long a request may take."""

import asyncio
import os
import socket
import struct
from http import HTTPStatus
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

MOST_CONNECTIONS = 200
MOST_HEADER_BYTES = 32 * 1024
REQUEST_TIMEOUT_S = 10.0
"""From the first byte of a request, or the connection, to the last one of its headers."""

_PEER_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7): pid, uid, gid


class ControlProtocol(HttpToolsProtocol):
    """One client of the API."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._header_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

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
            self.app_state = {"by": f"unix uid {uid}", "is_web": False}
        else:
            who = f"{self.client[0]}:{self.client[1]}" if self.client else "unknown"
            self.app_state = {"by": f"web {who}", "is_web": True}
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(503, f"{MOST_CONNECTIONS} clients of the API are connected already")
            return
        self._begin_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._deadline is not None:
            self._header_bytes += len(data)
            if self._header_bytes > MOST_HEADER_BYTES + len(data):
                self._refuse(431, f"the headers of a request have at most {MOST_HEADER_BYTES} bytes")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0
        self._begin_deadline()

    def on_headers_complete(self) -> None:
        self._end_deadline()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _begin_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_TIMEOUT_S, self._timed_out)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _timed_out(self) -> None:
        self._deadline = None
        self._refuse(408, f"a request takes at most {REQUEST_TIMEOUT_S:g} s")

    def _refuse(self, status: int, detail: str) -> None:
        """Answer what has not become a request, and close."""
        from portside.control.problem import Problem, problem_response

        self._end_deadline()
        response = problem_response(Problem(status, detail), {"Connection": "close"})
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        lines += [name + b": " + value for name, value in response.raw_headers]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + bytes(response.body))
        self.transport.close()
