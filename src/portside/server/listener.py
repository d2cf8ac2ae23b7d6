"""Open ports: from an address to listening sockets, before anything else of the server is loaded."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from portside.addresses import NEEDS_INTERFACE, Address, format_sockaddr, unknown_interface
from portside.errors import PortsideError
from portside.hostnames import resolver_host
from portside.sockopts import ProbeTimes, probe_times, set_keepalive, set_probe_times

MAX_BACKLOG = (1 << 31) - 1  # the kernel lowers it to net.core.somaxconn
_UNKNOWN_HOST = "is the name spelled right, and does DNS know it? an interface is named by its address"
_SAME_PORT_TRIES = 32
_ALL: dict[int, str] = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104


class Listener(NamedTuple):
    """A listening socket; ``path`` is the file of a unix socket, to be removed at the end.

    ``everywhere`` says that it listens on every interface, so that its connections have local addresses of their own.
    """

    socket: socket.socket
    family: int  # of its clients too
    name: str
    path: str | None = None
    everywhere: bool = False
    inode: tuple[int, int] | None = None  # of a unix socket's file: another server may have put its own there since
    probe_times: Iterator[ProbeTimes] | None = None  # None: its clients are not probed

    def accept(self) -> tuple[int, object]:
        """A descriptor of the next client, and the client's address. Raises OSError; BlockingIOError where none waits.

        The method of ``socket`` makes a socket of the descriptor, which costs as much as accepting it.
        """
        return self.socket._accept()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001

    def vary_probes(self) -> None:
        """Have the clients that come next probed at other times: see ``sockopts.probe_times``."""
        if self.probe_times is not None:
            set_probe_times(self.socket, next(self.probe_times))

    def close(self) -> None:
        """Close the port."""
        if self.path is not None:
            with suppress(OSError):
                if _inode(self.path) == self.inode:
                    os.unlink(self.path)
        self.socket.close()


class SocketOptions(NamedTuple):
    """How the sockets of listeners are set up; ``keepalive`` (s) is for the connections that will be accepted."""

    backlog: int | None = None  # None: the kernel's most
    keepalive: float | None = None
    reuse_port: bool = False  # SO_REUSEPORT (socket(7))
    unix_mode: int | None = None  # of a socket file; None: what the umask leaves
    unix_group: int | None = None  # its number
    socket_class: type[socket.socket] | None = None  # None: what ``socket.socket`` is


def open_listeners(
    addresses: tuple[Address, ...], *, families: tuple[int, ...], options: SocketOptions
) -> list[Listener]:
    """Open every port of every address; all or none.

    Raises PortsideError, one line that names the address; PortInUseError where another socket has the port.
    """
    listeners: list[Listener] = []
    try:
        for address in addresses:
            if address.fd is not None:
                listeners.append(_take_passed(address.fd, options))
            elif address.path is not None:
                listeners.append(_open_unix(address, options))
            else:
                for port in address.ports:
                    listeners += _open_port(address.host, port, families, options)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _open_port(host: str | None, port: int, families: tuple[int, ...], options: SocketOptions) -> list[Listener]:
    """One port at every address of a host; None is every interface, each family in a socket of its own."""
    if host is None or host == "*":
        sockaddrs = [(family, (_ALL[family], port)) for family in families]
    else:
        sockaddrs = _resolve(host, port, families)
    for attempt in range(_SAME_PORT_TRIES):
        listeners: list[Listener] = []
        chosen = port
        for family, sockaddr in sockaddrs:
            try:
                sock = _bind(family, (sockaddr[0], chosen, *sockaddr[2:]), options)
            except OSError as error:
                beside_ipv4 = family == socket.AF_INET6 and sockaddrs[0][0] == socket.AF_INET
                if beside_ipv4 and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    continue  # this machine has no IPv6
                for listener in listeners:
                    listener.close()
                if port == 0 and listeners and error.errno == errno.EADDRINUSE and attempt < _SAME_PORT_TRIES - 1:
                    break  # free in one family, taken in the other: pick again
                where = format_sockaddr(family, (sockaddr[0], chosen, *sockaddr[2:]))
                raise _cannot_listen(where, error, family, chosen) from None
            chosen = sock.getsockname()[1]
            everywhere = sockaddr[0] == _ALL[family]
            name = format_sockaddr(family, sock.getsockname())
            listeners.append(Listener(sock, family, name, everywhere=everywhere, probe_times=_probe_times(options)))
        else:
            return listeners
    raise AssertionError("unreachable")


def _resolve(host: str, port: int, families: tuple[int, ...]) -> list[tuple[int, tuple[str, int]]]:
    where = Address(host, range(port, port + 1))
    if (numeric := _numeric(host, port)) is not None and numeric[0] in families:
        return [numeric]
    try:
        found = socket.getaddrinfo(resolver_host(host), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, ValueError) as error:
        unknown = isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME
        hint = unknown_interface(host) or (_UNKNOWN_HOST if unknown else None)
        raise PortsideError(f"cannot listen on {where}", error, hint) from None
    sockaddrs = [(family, sockaddr) for family, _, _, _, sockaddr in found if family in families]
    if not sockaddrs:
        asked, other = ("-4", "IPv6") if families == (socket.AF_INET,) else ("-6", "IPv4")
        raise PortsideError(f"cannot listen on {where}", f"{asked} was given, and it has {other} addresses alone")
    return sorted(dict.fromkeys(sockaddrs), key=lambda sockaddr: sockaddr[0] != socket.AF_INET)  # type: ignore[arg-type]


def _numeric(host: str, port: int) -> tuple[int, tuple[str, int]] | None:
    """The address of a host that is written as an IPv4 address; None for any other, which may need a look-up."""
    try:
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, ValueError):
        return None
    return socket.AF_INET, (host, port)


def _bind(family: int, sockaddr: tuple[object, ...], options: SocketOptions) -> socket.socket:
    sock = (options.socket_class or socket.socket)(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
        if options.keepalive is not None:
            set_keepalive(sock, options.keepalive)
        if options.reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(sockaddr)
        sock.listen(options.backlog or MAX_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _open_unix(address: Address, options: SocketOptions) -> Listener:
    path = address.path or ""
    abstract = address.is_abstract
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not abstract:
            _remove_stale(path)
        _bind_unix(sock, address, options)
        sock.listen(options.backlog or MAX_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _cannot_listen(str(address), error, socket.AF_UNIX) from None
    except PortsideError:
        sock.close()
        raise
    return Listener(
        sock, socket.AF_UNIX, str(address), None if abstract else path, inode=None if abstract else _inode(path)
    )


def _bind_unix(sock: socket.socket, address: Address, options: SocketOptions) -> None:
    """Bind a unix socket. Its file has the mode and the group asked for before the socket listens.

    The file is made with its mode, so that chmod(2) need not follow a name that another user may have replaced.
    """
    if options.unix_mode is None:
        sock.bind(address.unix_name)
    else:
        umask = os.umask(~options.unix_mode & 0o777)
        try:
            sock.bind(address.unix_name)
        finally:
            os.umask(umask)
    if options.unix_group is not None and not address.is_abstract:
        try:
            os.chown(address.unix_name, -1, options.unix_group, follow_symlinks=False)
        except OSError as error:
            os.unlink(address.unix_name)
            hint = (
                "a file may get a group that its owner is in; `id` lists them" if error.errno == errno.EPERM else None
            )
            raise PortsideError(f"cannot give {address} to the group {options.unix_group}", error, hint) from None


def _take_passed(fd: int, options: SocketOptions) -> Listener:
    """A socket that was passed in. Its file, if it has one, belongs to whoever made it, and stays."""
    from portside.server.passed_sockets import take_socket

    sock = take_socket(fd)
    if options.backlog is not None:
        sock.listen(options.backlog)
    bound_to = sock.getsockname()
    name = format_sockaddr(sock.family, bound_to)
    if sock.family == socket.AF_UNIX:
        inode = None
        if isinstance(bound_to, str):
            with suppress(OSError):  # a path in another folder or namespace, or removed
                inode = _inode(bound_to)
        return Listener(sock, socket.AF_UNIX, name, inode=inode)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if options.keepalive is not None:
        set_keepalive(sock, options.keepalive)
    everywhere = bound_to[0] == _ALL[sock.family]
    return Listener(sock, sock.family, name, everywhere=everywhere, probe_times=_probe_times(options))


def _probe_times(options: SocketOptions) -> Iterator[ProbeTimes] | None:
    return None if options.keepalive is None else probe_times(options.keepalive)


def _inode(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _remove_stale(path: str) -> None:
    """Remove the file of a unix socket that nobody listens on any more; leave any other file."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except BlockingIOError:
            return  # its backlog is full: it is alive


_HINTS = {
    errno.EADDRINUSE: "another program has that port; port 0 picks a free one",
    errno.EACCES: "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE; take a higher one",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address; `ip address` lists those it has",
    errno.EAFNOSUPPORT: "this machine has no IPv6; use -4",
    errno.EINVAL: NEEDS_INTERFACE,
}
_NO_PORT_FREE = (
    "all of net.ipv4.ip_local_port_range are taken; `portside watch --summary` counts the sockets, "
    "and a port beyond that range can be named"
)
_UNIX_HINTS = {errno.EADDRINUSE: "a live server or another file is there; `ss -lxp` names the server"}


class PortInUseError(PortsideError):
    """Another socket has the port, on an address that includes ours."""

    def __init__(self, where: str, error: OSError, port: int) -> None:
        super().__init__(where, error, _HINTS[errno.EADDRINUSE])
        self.port = port


def _cannot_listen(where: str, error: OSError, family: int, port: int | None = None) -> PortsideError:
    what = f"cannot listen on {where}"
    if error.errno == errno.EADDRINUSE and port == 0:
        return PortsideError(what, "no port is free", _NO_PORT_FREE)
    if error.errno == errno.EADDRINUSE and port is not None:
        return PortInUseError(what, error, port)
    hints = _UNIX_HINTS if family == socket.AF_UNIX else _HINTS
    return PortsideError(what, error, hints.get(error.errno or 0))
