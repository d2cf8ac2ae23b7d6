"""The sockets of a server in one epoll set, which is itself a reader of the asyncio loop (epoll(7) allows the nesting).

The loop stays for timers, programs, name look-ups and everything else. A turn of it costs one callback for all sockets
that are ready, whatever their number, and a socket costs no transport, task or handle of the loop. Rules:

1. A file descriptor is registered by its owner and unregistered by its owner before it is closed.
2. ``ready`` of the owner is called with the epoll events, once a turn at most. Descriptors are reused at once, so an
   event may be meant for an earlier socket of the same number: an owner treats events as hints and asks the socket.
3. At most ``EVENTS_PER_TURN`` sockets are served a turn. The set is level-triggered and so is the loop's view of it:
   what is left is served in the next turn, after the loop's own timers and callbacks.
4. An owner that raises is unregistered and reported to the loop's exception handler; the others are served.
"""

import select
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Protocol

EVENTS_PER_TURN = 512


class SocketOwner(Protocol):
    """Owner of a registered descriptor."""

    def ready(self, events: int, /) -> None:
        """Serves the socket, for the epoll events that it has."""

    def failed(self, error: Exception, /) -> None:
        """Ends the socket after ``ready`` raised an error; must not raise."""


class SocketPoller:
    """The epoll set of one server. All methods belong to the loop's thread; OSError where the kernel has no room."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self._epoll = select.epoll()
        self._owners: dict[int, SocketOwner] = {}
        self._later: list[Callable[[], None]] = []
        self._is_serving = False
        self._is_scheduled = False
        loop.add_reader(self._epoll.fileno(), self._serve)

    def register(self, fd: int, owner: SocketOwner, events: int) -> None:
        """Have ``owner.ready`` called for these events; EPOLLERR and EPOLLHUP are always among them."""
        self._epoll.register(fd, events)
        self._owners[fd] = owner

    def modify(self, fd: int, events: int) -> None:
        """Change the events of a registered descriptor."""
        self._epoll.modify(fd, events)

    def unregister(self, fd: int) -> None:
        """Forget a descriptor; a second time does nothing."""
        if self._owners.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_later_this_turn(self, callback: Callable[[], None]) -> None:
        """Call back when the sockets of this turn are served, or in the next turn of the loop where none is served now.

        This is how a transport tells of its end: never from within a call of its user.
        """
        self._later.append(callback)
        if not self._is_serving and not self._is_scheduled:
            self._is_scheduled = True
            self.loop.call_soon(self._finish_turn)

    def abandon(self) -> None:
        """Call nothing back before ``close``: the loop is closed, and has no next turn."""
        self._is_scheduled = True

    def close(self) -> None:
        """Give the set back to the kernel. Sockets that are still registered stay open, and are served no more."""
        if not self._epoll.closed:
            self._finish_turn()
            if not self.loop.is_closed():
                self.loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._owners.clear()

    def _serve(self) -> None:
        owners = self._owners
        self._is_serving = True
        try:
            for fd, events in self._epoll.poll(0, EVENTS_PER_TURN):
                owner = owners.get(fd)
                if owner is None:
                    continue  # an owner that was served before has closed it
                try:
                    owner.ready(events)
                except Exception as error:  # noqa: BLE001 -- one socket's error must not stop the others
                    self.report(owner, error)
        finally:
            self._is_serving = False
            if self._later:
                self._finish_turn()

    def _finish_turn(self) -> None:
        self._is_scheduled = False
        while self._later:
            callbacks, self._later = self._later, []
            for callback in callbacks:
                try:
                    callback()
                except Exception as error:  # noqa: BLE001
                    self.report(None, error)

    def report(self, owner: SocketOwner | None, error: Exception) -> None:
        """Report an error that the code of an owner has raised to the loop, and end the owner's socket."""
        context = {"message": "an error while a socket was served", "exception": error}
        self.loop.call_exception_handler(context)
        if owner is not None:
            owner.failed(error)
