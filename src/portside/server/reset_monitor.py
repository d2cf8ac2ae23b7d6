"""Resets of peers that have sent FIN already.

The loop does not watch a socket that it neither reads nor writes, and after FIN there is nothing to read. So a reset
would go unnoticed while this side takes its time to answer. epoll(7) reports EPOLLERR whether it is asked for or not:
an epoll descriptor of ours, which the loop watches, registers such sockets for no other event.
"""

import asyncio
import select
from collections.abc import Callable

_EVENTS_PER_POLL = 256


class ResetMonitor:
    """Calls back once for each watched socket that is reset. A socket that is closed has to be forgotten before."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll: select.epoll | None = None  # made with the first socket
        self._watched: dict[int, Callable[[], None]] = {}

    def watch(self, fd: int, on_reset: Callable[[], None]) -> None:
        """Have ``on_reset`` called when the peer resets this socket; the kernel may have no room for that."""
        try:
            if self._epoll is None:
                self._epoll = select.epoll()
                self._loop.add_reader(self._epoll.fileno(), self._poll)
            self._epoll.register(fd, select.EPOLLET)
        except OSError:
            return
        self._watched[fd] = on_reset

    def forget(self, fd: int) -> None:
        """Stop watching a socket that is being closed."""
        if self._watched.pop(fd, None) is not None and self._epoll is not None:
            try:
                self._epoll.unregister(fd)
            except OSError:
                pass  # closing the socket has unregistered it

    def _poll(self) -> None:
        for fd, events in self._epoll.poll(0, _EVENTS_PER_POLL) if self._epoll is not None else ():
            if events & select.EPOLLERR and (on_reset := self._watched.get(fd)) is not None:
                on_reset()
