"""The web stack: everything that is loaded for the first client of the API, and not before.

Importing this module takes some 200 ms; ``endpoint`` does it on a thread.
"""

import asyncio
import logging
import socket
import ssl
from contextlib import suppress

from uvicorn import Config
from uvicorn.server import ServerState

from portside.control.http_protocol import ControlProtocol
from portside.control.security import App
from portside.control.websocket_protocol import ControlWebSocket

_BACKLOG = 64
_HANDSHAKE_TIMEOUT_S = 10.0
_GRACE_S = 0.5  # that answers under way get at the end of the run

for _name in ("uvicorn", "uvicorn.error", "uvicorn.access", "websockets"):  # standard error is Portside's
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


class Stack:
    """An application on some sockets, in the running loop."""

    def __init__(self, app: App) -> None:
        self._config = Config(
            app,
            http=ControlProtocol,
            ws=ControlWebSocket,
            ws_max_size=4096,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
        )
        self._config.load()
        self._states: list[ServerState] = []
        self._servers: list[asyncio.Server] = []

    async def serve(self, sock: socket.socket, context: ssl.SSLContext | None = None) -> None:
        """Serve the clients of a listening socket, those that wait there too; the socket is this object's now."""
        loop = asyncio.get_running_loop()
        timeout = _HANDSHAKE_TIMEOUT_S if context is not None else None
        state = ServerState()
        self._states.append(state)

        def make_protocol() -> ControlProtocol:
            return ControlProtocol(self._config, state, {}, loop)

        if sock.family == socket.AF_UNIX:
            server = await loop.create_unix_server(make_protocol, sock=sock, backlog=_BACKLOG)
        else:
            server = await loop.create_server(
                make_protocol, sock=sock, backlog=_BACKLOG, ssl=context, ssl_handshake_timeout=timeout
            )
        self._servers.append(server)

    async def stop(self) -> None:
        """Close the sockets, tell subscribers, and let answers that are under way be finished for a moment."""
        for server in self._servers:
            server.close()
        for connection in self._connections():
            connection.shutdown()
        await self._wait_for_tasks()
        for task in self._tasks():
            task.cancel()
        await self._wait_for_tasks()
        await self._wait_for_subscribers()
        for connection in self._connections():
            with suppress(Exception):
                connection.transport.abort()

    def _connections(self) -> list[ControlProtocol | ControlWebSocket]:
        return [connection for state in self._states for connection in state.connections]  # type: ignore[misc]

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [task for state in self._states for task in state.tasks]

    async def _wait_for_tasks(self) -> None:
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=_GRACE_S)

    async def _wait_for_subscribers(self) -> None:
        """Let those who were told the end answer: a client that cannot may lose what came just before."""
        lost = [each.lost for each in self._connections() if isinstance(each, ControlWebSocket)]
        if lost:
            await asyncio.wait(lost, timeout=_GRACE_S)
