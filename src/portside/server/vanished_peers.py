"""Finds peers that have vanished while data for them is under way.

The kernel probes silent connections by itself (``sockopts.set_keepalive``), but not one with unacknowledged data: that
it sends again for a quarter of an hour. TCP_USER_TIMEOUT would end it sooner, and would end a peer that is alive and
does not read as well, though it answers each probe of its closed window. So the times are compared here: a peer that
has acknowledged nothing, not even a probe, for as long as a silent one may is closed.
"""

import asyncio
from collections.abc import Callable, Iterable

from portside.server.connection import Connection
from portside.sockopts import vanished_after_s

_LOOKS = 8  # in the time after which a peer has vanished


class VanishedPeers:
    """Looks at all connections every now and then: one system call for each, two for those with data under way."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connections: Callable[[], Iterable[Connection]], keepalive: float
    ) -> None:
        self._loop = loop
        self._connections = connections
        self._limit_s = vanished_after_s(keepalive)
        self._waiting: dict[Connection, tuple[int, float]] = {}  # bytes outstanding, and since when
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look from now on."""
        self._timer = self._loop.call_later(self._limit_s / _LOOKS, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        before, self._waiting = self._waiting, {}
        for connection in list(self._connections()):
            if not connection.sent or connection.info.ip is None:
                continue
            outstanding = connection.outstanding_bytes
            if not outstanding:
                continue
            was, since = before.get(connection, (0, now))
            if outstanding != was:
                since = now
            self._waiting[connection] = outstanding, since
            if now - since >= self._limit_s and connection.seconds_since_ack() >= self._limit_s:
                connection.reset("peer_vanished")
        self.start()
