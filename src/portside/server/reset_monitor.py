"""Resets of peers that have sent FIN already.

The loop does not watch a socket that it neither reads nor writes, and after FIN there is nothing to read. So while the
other side takes its time to answer, nobody would hear of a reset. epoll(7) reports EPOLLERR whether it is asked for
or not, so one descriptor of ours, which the loop watches, is asked for nothing else.
"""

import asyncio
import select
from collections.abc import Callable

_AT_ONCE = 256


class ResetMonitor:
    """Calls back once for each watched socket that is reset. A socket that is closed has to be forgotten before."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll: select.epoll | None = None  # made with the first socket
        self._watched: dict[int, Callable[[], None]] = {}

    def watch(self, fd: int, on_reset: Callable[[], None]) -> None:
        """Have ``on_reset`` called when the peer of this socket resets it; where the kernel has no room, it is not."""
        try:
            if self._epoll is None:
                self._epoll = select.epoll()
                self._loop.add_reader(self._epoll.fileno(), self._look)
            self._epoll.register(fd, select.EPOLLET)
        except OSError:
            return
        self._watched[fd] = on_reset

    def forget(self, fd: int) -> None:
        """It is being closed."""
        if self._watched.pop(fd, None) is not None and self._epoll is not None:
            try:
                self._epoll.unregister(fd)
            except OSError:
                pass  # it is closed, which does the same

    def _look(self) -> None:
        for fd, events in self._epoll.poll(0, _AT_ONCE) if self._epoll is not None else ():
            if events & select.EPOLLERR and (on_reset := self._watched.get(fd)) is not None:
                on_reset()
