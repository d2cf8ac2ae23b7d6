"""Attaching connected sockets to the event loop, which makes a transport for each."""

import asyncio
import socket
from collections.abc import Callable


async def attach(loop: asyncio.AbstractEventLoop, sock: socket.socket, protocol: asyncio.Protocol) -> None:
    """Return when ``protocol.connection_made`` was called. Raises OSError; the socket is the caller's then."""
    await loop.connect_accepted_socket(lambda: protocol, sock)


class Attacher:
    """Attaches sockets without waiting, each by a task that lives for one turn of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, sock: socket.socket, protocol: asyncio.Protocol, failed: Callable[[OSError], object]) -> None:
        """Attach a socket; where the loop cannot take it, close it and call ``failed``."""
        task = self._loop.create_task(self._attach(sock, protocol, failed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attach(
        self, sock: socket.socket, protocol: asyncio.Protocol, failed: Callable[[OSError], object]
    ) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError as error:
            sock.close()
            failed(error)
