"""Listening sockets that another process opened and passed in: ``fd:N``, and socket activation by systemd.

systemd passes sockets from descriptor 3 on and says how many in LISTEN_FDS; LISTEN_PID is the process that they are
for (sd_listen_fds(3)).
"""

import os
import socket
import stat
from collections.abc import MutableMapping

from portside.addresses import Address
from portside.errors import PortsideError

_FIRST_FD = 3  # SD_LISTEN_FDS_START
_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def are_for_another_process(environ: MutableMapping[str, str]) -> bool:
    """Whether the environment tells of sockets that were passed to another process, whose environment ours once was."""
    return "LISTEN_FDS" in environ and environ.get("LISTEN_PID") != str(os.getpid())


def take_from_systemd(environ: MutableMapping[str, str]) -> tuple[Address, ...]:
    """The sockets that systemd passed to this process; programs that it starts get neither them nor the variables.

    Raises PortsideError.
    """
    if "LISTEN_FDS" not in environ or are_for_another_process(environ):
        return ()
    number = environ["LISTEN_FDS"]
    for variable in _VARIABLES:
        environ.pop(variable, None)
    if not (number.isascii() and number.isdigit() and len(number) <= 4):
        raise PortsideError("LISTEN_FDS", f"{number!r} is no number of sockets")
    descriptors = range(_FIRST_FD, _FIRST_FD + int(number))
    for fd in descriptors:
        try:
            os.set_inheritable(fd, False)
        except OSError as error:
            raise PortsideError(f"LISTEN_FDS={number}, and descriptor {fd}", error) from None
    return tuple(Address(None, range(0), fd=fd) for fd in descriptors)


def take_socket(fd: int) -> socket.socket:
    """The listening stream socket behind a descriptor, owned by the result. Raises PortsideError where it is none."""
    what = f"cannot listen on fd:{fd}"
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        hint = "the program that starts this one must leave it open; the first one that systemd passes is fd:3"
        raise PortsideError(what, "no descriptor of this number was passed in", hint) from None
    if not stat.S_ISSOCK(mode):
        raise PortsideError(what, "it is no socket")
    sock = socket.socket(fileno=fd)
    try:
        _check(sock, what)
        os.set_inheritable(fd, False)
        sock.setblocking(False)
    except BaseException:
        sock.detach()
        raise
    return sock


def _check(sock: socket.socket, what: str) -> None:
    if sock.family not in _FAMILIES:
        raise PortsideError(what, "it is a socket of another kind than IPv4, IPv6 or unix")
    if sock.type != socket.SOCK_STREAM or (sock.family != socket.AF_UNIX and sock.proto != socket.IPPROTO_TCP):
        raise PortsideError(what, "TCP only, and it is a socket of another protocol")
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        try:
            sock.getpeername()
        except OSError:
            raise PortsideError(what, "it is a socket that does not listen") from None
        raise PortsideError(what, "it is a connection, not a socket that listens", "a socket unit needs Accept=no")


def is_dual_stack(sock: socket.socket) -> bool:
    """Whether a listening socket of IPv6 takes IPv4 clients as well (IPV6_V6ONLY, ipv6(7))."""
    return sock.family == socket.AF_INET6 and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
