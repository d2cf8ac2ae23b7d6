"""Finds peers that have vanished while data for them is under way.

The kernel probes silent connections by itself (``sockopts.set_keepalive``), but not one with unacknowledged data: that
it sends again for a quarter of an hour. TCP_USER_TIMEOUT would end it sooner, and would end a peer that is alive and
does not read as well, though it answers each probe of its closed window. So the times are compared here: a peer that
has acknowledged nothing, not even a probe, for as long as a silent one may is closed.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from portside.sockopts import vanished_after_s

_LOOKS = 8  # in the time after which a peer has vanished


class WatchedLeg(Protocol):
    """The part of a leg, to a client or to an upstream server, that is looked at."""

    @property
    def outstanding_bytes(self) -> int: ...
    def seconds_since_ack(self) -> float: ...
    def peer_vanished(self) -> None: ...


class VanishedPeers:
    """Looks at all legs every now and then: one system call for each, two for those with data under way."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, legs: Callable[[], Iterable[WatchedLeg]], keepalive: float
    ) -> None:
        self._loop = loop
        self._legs = legs
        self._limit_s = vanished_after_s(keepalive)
        self._waiting: dict[WatchedLeg, tuple[int, float]] = {}  # bytes outstanding, and since when
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
        for leg in list(self._legs()):
            outstanding = leg.outstanding_bytes
            if not outstanding:
                continue
            was, since = before.get(leg, (0, now))
            if outstanding != was:
                since = now
            self._waiting[leg] = outstanding, since
            if now - since >= self._limit_s and leg.seconds_since_ack() >= self._limit_s:
                leg.peer_vanished()
        self.start()
