"""``tcp_leaks``: the TCP sockets that a test leaves open in this process."""

import fcntl
import gc
import os
import socket
import stat
import struct
import termios
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from portside.addresses import format_sockaddr
from portside.kernel.states import NAMES
from portside.socket_class import Socket

Identity = tuple[int, int]
"""A socket of this process, as device and inode."""

_HINTS = {
    "CLOSE_WAIT": "the peer has closed, and close() is missing here",
    "LISTEN": "a listening socket",
    "CLOSE": "not connected",
}


class OpenSocket(NamedTuple):
    """A TCP socket that is open: its descriptor, ends and state; ``peer`` is None where it is not connected."""

    fd: int
    local: str
    peer: str | None
    state: str
    unread: int  # bytes

    def __str__(self) -> str:
        ends = self.local if self.peer is None else f"{self.local} to {self.peer}"
        hint = f": {_HINTS[self.state]}" if self.state in _HINTS else ""
        unread = f", {self.unread} bytes not read" if self.unread else ""
        return f"descriptor {self.fd}  {ends}  {self.state}{hint}{unread}"


def open_sockets() -> dict[Identity, int]:
    """The sockets of this process, with a descriptor of each."""
    found = {}
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # the descriptor of the listing itself
            status = os.fstat(int(name))
            if stat.S_ISSOCK(status.st_mode):
                found[status.st_dev, status.st_ino] = int(name)
    return found


def find_leaks(before: Iterable[Identity], own: Iterable[Identity]) -> list[OpenSocket]:
    """The TCP sockets that are open now and were not before; ``own`` are those of the plugin.

    Objects in cycles of references are collected first: what only they hold is closed by that.
    """
    known = {*before, *own}
    if not _find(known):
        return []
    gc.collect()
    return _find(known)


def _find(known: set[Identity]) -> list[OpenSocket]:
    found = [_describe(fd) for identity, fd in open_sockets().items() if identity not in known]
    return sorted(each for each in found if each is not None)


def _describe(fd: int) -> OpenSocket | None:
    """A socket's ends and state; None for one that is not TCP, or is closed meanwhile."""
    try:
        sock = Socket(fileno=os.dup(fd))
    except OSError:
        return None
    with sock:
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
            return None
        local = format_sockaddr(sock.family, sock.getsockname())
        peer = None
        with suppress(OSError):
            peer = format_sockaddr(sock.family, sock.getpeername())
        unread = 0
        state = "open"
        with suppress(OSError, AttributeError):  # other kernels than Linux
            state = NAMES[sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]]
            if state != "LISTEN":
                unread = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]
        return OpenSocket(fd, local, peer, state, unread)


def leaks_text(leaks: list[OpenSocket]) -> str:
    """The text of a failure about sockets that are left open."""
    count = len(leaks)
    title = f"tcp_leaks: the test leaves {count} TCP socket{'s' if count != 1 else ''} open"
    return "\n".join([title, "", *(f"  {each}" for each in leaks[:50]), *(["  …"] if count > 50 else [])])
