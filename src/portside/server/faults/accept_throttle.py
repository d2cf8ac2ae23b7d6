"""Faults of a port, before there is a connection: ``accept-delay`` and ``never-accept``.

The kernel completes handshakes all the same (that is what the backlog is for): clients wait there, and what they send
waits with them. User space cannot see which clients wait in a backlog, so these faults concern every client of every
port.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from portside.server.listener import Listener
from portside.wire.faults.model import AcceptDelay, FaultSpec, NeverAccept


class Accept(Protocol):
    """A function that accepts clients of a listener, up to a given number."""

    def __call__(self, listener: Listener, most: int = ..., /) -> None: ...


class AcceptThrottle:
    """Decides when a listener's clients are accepted.

    ``stop_watching`` is called with a listener whose next client waits for the end of a delay. ``on_change`` is called
    when the server has to look again which listeners it watches: ``is_closed`` has changed, or a delay is over.
    ``on_report`` gets the fault, the listener that it concerned (None: all) and whether the fault is over.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        faults: Sequence[FaultSpec],
        *,
        accept: Accept,
        stop_watching: Callable[[Listener], None],
        on_change: Callable[[], None],
        on_report: Callable[[FaultSpec, Listener | None, bool], None],
    ) -> None:
        self._loop = loop
        self._accept = accept
        self._stop_watching = stop_watching
        self._on_change = on_change
        self._on_report = on_report
        self._delays = [fault for fault in faults if isinstance(fault.effect, AcceptDelay)]
        self._delay_s = sum(fault.effect.delay for fault in faults if isinstance(fault.effect, AcceptDelay))
        self._never = [fault for fault in faults if isinstance(fault.effect, NeverAccept)]
        self._active = 0  # faults that accept no client at the moment
        self._delayed: set[Listener] = set()

    @property
    def is_closed(self) -> bool:
        """Whether no client is accepted at the moment."""
        return self._active > 0

    def start(self) -> None:
        """Begin the faults, and the time of those that begin later: the ports are open."""
        for fault in self._never:
            if fault.window.after:
                self._loop.call_later(fault.window.after, self._begin, fault)
            else:
                self._begin(fault)

    def _begin(self, fault: FaultSpec) -> None:
        self._active += 1
        self._on_report(fault, None, False)
        if fault.window.lasts is not None:
            self._loop.call_later(fault.window.lasts, self._finish, fault)
        self._on_change()

    def _finish(self, fault: FaultSpec) -> None:
        self._active -= 1
        self._on_report(fault, None, True)
        self._on_change()

    def on_acceptable(self, listener: Listener) -> None:
        """Accept the clients that wait at a listener; with a delay, one of them later."""
        if not self._delays:
            self._accept(listener)
            return
        self._stop_watching(listener)
        if listener not in self._delayed:
            self._delayed.add(listener)
            self._loop.call_later(self._delay_s, self._accept_one, listener)

    def _accept_one(self, listener: Listener) -> None:
        self._delayed.discard(listener)
        if listener.socket.fileno() < 0:
            return  # the port was closed meanwhile
        for fault in self._delays:
            self._on_report(fault, listener, False)
        try:
            self._accept(listener, 1)
        finally:
            self._on_change()  # which watches the listener again
