"""Faults of a port, before there is a connection: ``accept-delay`` and ``never-accept``.

Clients are connected by the kernel all the same (that is what the backlog is for): they wait, and what they send waits
with them. Nobody can tell in user space who waits there, so these concern every client of every port.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from portside.server.listener import Listener
from portside.settings.faults import Fault


class Accept(Protocol):
    """Takes clients from a listener, at most so many."""

    def __call__(self, listener: Listener, most: int = ..., /) -> None: ...


class Door:
    """Decides when a listener is asked for a client. ``on_change`` is called when ``shut`` changed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        faults: Sequence[Fault],
        *,
        accept: "Accept",
        on_change: Callable[[], None],
        on_done: Callable[[Fault, Listener | None, bool], None],
    ) -> None:
        self._loop = loop
        self._accept = accept
        self._on_change = on_change
        self._on_done = on_done
        self._delays = [fault for fault in faults if fault.kind == "accept-delay"]
        self._never = [fault for fault in faults if fault.kind == "never-accept"]
        self._shut_by = 0
        self._waited_for: set[Listener] = set()

    @property
    def shut(self) -> bool:
        """Whether nobody is accepted for now."""
        return self._shut_by > 0

    def start(self) -> None:
        """The ports are open."""
        for fault in self._never:
            if fault.after:
                self._loop.call_later(fault.after, self._shut, fault)
            else:
                self._shut(fault)

    def _shut(self, fault: Fault) -> None:
        self._shut_by += 1
        self._on_done(fault, None, False)
        if fault.lasts is not None:
            self._loop.call_later(fault.lasts, self._open, fault)
        self._on_change()

    def _open(self, fault: Fault) -> None:
        self._shut_by -= 1
        self._on_done(fault, None, True)
        self._on_change()

    def knock(self, listener: Listener) -> None:
        """A client waits at a listener: accept it, or one of them later."""
        if not self._delays:
            self._accept(listener)
            return
        self._loop.remove_reader(listener.socket)
        if listener not in self._waited_for:
            self._waited_for.add(listener)
            self._loop.call_later(sum(fault.time for fault in self._delays), self._let_in, listener)

    def _let_in(self, listener: Listener) -> None:
        self._waited_for.discard(listener)
        if listener.socket.fileno() < 0:
            return  # the port was closed meanwhile
        for fault in self._delays:
            self._on_done(fault, listener, False)
        self._accept(listener, 1)
        self._on_change()
