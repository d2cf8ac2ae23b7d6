"""One stream to every client, at the pace of the slowest that still reads.

The stream waits for a client whose writing is paused as long as that client's kernel acknowledges data. It stops
waiting for a client that takes nothing for a moment, unless no other client reads: the data for this client is buffered
up to a limit. At that limit, or when the client has taken nothing for the write timeout, its connection is closed as
``write_timeout``. So a client that has stopped reading costs a bounded amount of memory, and delays the others once.
"""

import asyncio
from contextlib import suppress

from portside.events import CloseReason
from portside.server.connection import Connection
from portside.server.server import Server

LIMIT_BYTES = 16 << 20  # that may be buffered for each client
STALL_S = 0.25  # longer than a delayed acknowledgement (40 to 200 ms)


class Broadcast:
    """Sends to all clients of a server that are connected at the moment."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stalled: set[Connection] = set()
        self._seen: dict[Connection, tuple[int, float]] = {}  # while paused: outstanding bytes, and since when
        self._changed = asyncio.Event()
        server.on_writable = self._writable

    def send(self, data: bytes) -> int:
        """Send to every client; the number of them."""
        clients = [client for client in self._server.connections.values() if client.is_open]
        for client in clients:
            client.send(data)
            if client.buffered_bytes > LIMIT_BYTES:
                client.abort("write_timeout")
        return len(clients)

    async def drain(self) -> None:
        """Wait until no client that still reads is paused; where none reads, until one does again or is gone."""
        while self._must_wait():
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), STALL_S / 5)

    def _must_wait(self) -> bool:
        now, keeps_up, reads = self._server.now(), False, False
        for client in self._server.connections.values():
            if not client.write_paused:
                keeps_up = True
                continue
            outstanding = client.outstanding_bytes
            seen, since = self._seen.get(client, (-1, now))
            if outstanding < seen or seen < 0:
                self._seen[client] = outstanding, now
                self._stalled.discard(client)
            elif now - since >= STALL_S:
                self._stalled.add(client)
            reads = reads or client not in self._stalled
        return reads or (not keeps_up and bool(self._stalled))

    def closed(self, client: Connection, reason: CloseReason) -> None:
        """Wait no longer for a client that is gone."""
        self._writable(client)

    def _writable(self, client: Connection) -> None:
        if self._seen.pop(client, None) is not None:
            self._stalled.discard(client)
            self._changed.set()
