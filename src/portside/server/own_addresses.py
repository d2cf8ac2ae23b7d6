"""Whether an address to connect to is one on which this server listens itself, under whatever name.

A relay that connects to itself would accept its own connection and connect again, without an end.
"""

import os
import socket
from collections.abc import Sequence
from typing import Any

from portside.addresses import ip_of
from portside.server.listener import Listener
from portside.server.passed_sockets import is_dual_stack

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a connection to these goes


class OwnAddresses:
    """The addresses of listeners."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._unix = [listener for listener in listeners if listener.family == socket.AF_UNIX]
        self._tcp = [
            (listener, listener.socket.getsockname()) for listener in listeners if listener.family != socket.AF_UNIX
        ]

    def contains(self, family: int, sockaddr: Any) -> bool:
        """Whether connecting to this address, as connect(2) takes it, reaches one of the listeners."""
        if family == socket.AF_UNIX:
            return any(_is_same_path(listener, sockaddr) for listener in self._unix)
        ip = ip_of(sockaddr)
        if ip in _LOOPBACK:
            ip = _LOOPBACK[ip]
            family, sockaddr = socket.AF_INET6 if ":" in ip else socket.AF_INET, (ip, sockaddr[1])
        own = [
            (listener, ip_of(address))
            for listener, address in self._tcp
            if address[1] == sockaddr[1]
            and ((":" in ip) == (listener.family == socket.AF_INET6) or is_dual_stack(listener.socket))
        ]
        return any(address == ip or (listener.everywhere and _is_local(family, sockaddr)) for listener, address in own)


def _is_same_path(listener: Listener, name: str) -> bool:
    if listener.inode is None or name.startswith("\0"):
        return bool(listener.socket.getsockname() == name.encode())
    try:
        status = os.stat(name)  # follows links
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == listener.inode


def _is_local(family: int, sockaddr: tuple[Any, ...]) -> bool:
    """Whether an IP address is one of this machine: then the kernel would send from it what is sent to it.

    From 127.0.0.1, for the rest of 127.0.0.0/8.
    """
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(sockaddr)
        except OSError:
            return False
        source = ip_of(probe.getsockname())
    return source == ip_of(sockaddr) or source == "127.0.0.1"
