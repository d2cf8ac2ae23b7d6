"""Connecting: resolve a name, try its addresses in order, and with --retry do all of that again."""

import errno
import os
import socket
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from portside.addresses import NEEDS_INTERFACE, Address, format_sockaddr, lacks_interface, unknown_interface
from portside.client.log import log_info
from portside.errors import InvalidValue, PortsideError, UsageError, reason_of
from portside.hostnames import resolver_host
from portside.sockopts import MANY_DESCRIPTORS, probe_times, set_keepalive, set_probe_times, timeval

if TYPE_CHECKING:
    from portside.events import Tls

Result = TypeVar("Result")

_probe_times = lru_cache(16)(probe_times)  # connections that are told the same take them in turn
NO_ANSWER = "a firewall on the way may drop what we send; -w says how long to wait"
NOTHING_LISTENS = "nothing listens there"
_HINTS = {
    errno.ECONNREFUSED: NOTHING_LISTENS,
    errno.ETIMEDOUT: NO_ANSWER,
    socket.EAI_NONAME: "is the name spelled right, and does DNS know it?",
    socket.EAI_AGAIN: "the name server did not answer: is the network up?",
}
_UNIX_HINTS = {
    errno.ENOENT: "no socket has this path: does its server run?",
    errno.ECONNREFUSED: "the path is there, but nobody listens on it: does its server run?",
    errno.EACCES: "connecting takes the right to write to the socket and to enter its folders",
    errno.EPROTOTYPE: "the socket of this path is no stream socket",
    errno.EAGAIN: "its server is there and accepts nobody; -w says how long to wait",
}


class ConnectOptions(NamedTuple):
    """Options of connecting that apply to each address of a peer."""

    timeout: float = 10.0  # seconds for one address
    family: int = socket.AF_UNSPEC  # AF_INET or AF_INET6: only that one
    source: Address | None = None  # the local address to connect from
    keepalive: float | None = None  # seconds of silence before the peer is probed


class ClientConnection(NamedTuple):
    """A connected socket, and the addresses of both ends as text."""

    sock: socket.socket  # blocking
    peer: str
    local: str
    tls: "Tls | None" = None  # what the handshake agreed on; None without TLS


class Candidate(NamedTuple):
    """One address of a peer, from the resolver."""

    family: int
    sockaddr: Any  # as connect(2) takes it: a tuple, or the name of a unix socket

    def __str__(self) -> str:
        return format_sockaddr(self.family, self.sockaddr)


def connect(address: Address, options: ConnectOptions) -> ClientConnection:
    """Connect to the first candidate of an address that takes the connection.

    Raises PortsideError where none does, with the reason for each.
    """
    if address.path is not None:
        return _connect_unix(address, options)
    failures: list[tuple[Candidate, OSError]] = []
    for candidate in resolve(address, options):
        try:
            return _connect_one(candidate, options)
        except OSError as error:
            log_info("dial", "%s: %s", candidate, describe_failure(error, options))
            failures.append((candidate, error))
    raise PortsideError(f"cannot connect to {display_name(address)}", *describe_failures(failures, options))


def retry(
    attempt: Callable[[], Result], *, tries: int | None, interval: float, on_failure: Callable[[str], None]
) -> Result:
    """Call ``attempt``, and where it raises PortsideError again, at most ``tries`` times: its result.

    ``tries`` None means for ever; ``interval`` is in seconds; ``on_failure`` gets the reason of each failure that is
    followed by another attempt. UsageError ends the attempts.
    """
    while True:
        try:
            return attempt()
        except UsageError:
            raise
        except PortsideError as error:
            if tries is not None:
                if tries <= 0:
                    raise
                tries -= 1
            on_failure(f"{error}; trying again in {interval:g}s")
        time.sleep(interval)


def display_name(address: Address) -> str:
    """An address to connect to, as text: a bare port is one of localhost."""
    return str(address if address.host or address.path is not None else address._replace(host="localhost"))


def resolve(address: Address, options: ConnectOptions) -> list[Candidate]:
    """Resolve an address to its candidates, at least one, in the order in which they should be tried.

    Raises PortsideError where the name is unknown or has no address of the wanted family.
    """
    host = address.host or "localhost"
    try:
        found = socket.getaddrinfo(resolver_host(host), address.port, options.family, socket.SOCK_STREAM)
    except OSError as error:
        why: OSError | str = error
        if options.family and error.errno in (socket.EAI_ADDRFAMILY, socket.EAI_NODATA):
            flag, name = ("-4", "IPv4") if options.family == socket.AF_INET else ("-6", "IPv6")
            why = f"{flag} was given, and it has no {name} address"
        hint = unknown_interface(host) or _hint(error, _HINTS)
        raise PortsideError(f"cannot connect to {display_name(address)}", why, hint) from None
    except InvalidValue as problem:
        raise PortsideError(f"cannot connect to {display_name(address)}", str(problem)) from None
    except UnicodeError:
        raise PortsideError(f"cannot connect to {display_name(address)}", f"{host!r} is no host name") from None
    # Where /etc/hosts names localhost for ::1 too, as Debian's does, its IPv4 address comes twice.
    return list(dict.fromkeys(Candidate(family, sockaddr) for family, _, _, _, sockaddr in found))


# linux/in.h. The port is chosen while connecting, when it only has to be unique for that peer.
_IP_BIND_ADDRESS_NO_PORT = 24


def open_socket(candidate: Candidate, options: ConnectOptions) -> socket.socket:
    """Make a socket for a candidate, bound to ``options.source``. Raises OSError."""
    sock = socket.socket(candidate.family, socket.SOCK_STREAM)
    try:
        if options.source is not None:
            _bind(sock, candidate.family, options.source)
        # Input that comes in small pieces leaves at once; large pieces fill segments anyway.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.keepalive is not None:
            set_keepalive(sock, options.keepalive)
            if sock.fileno() >= MANY_DESCRIPTORS:
                set_probe_times(sock, next(_probe_times(options.keepalive)))
    except BaseException:
        sock.close()
        raise
    return sock


def is_self_connected(sock: socket.socket) -> bool:
    """Whether a socket is connected to itself.

    Dialling a free local port from the same port number is TCP's simultaneous open (RFC 9293, section 3.5):
    it succeeds although no socket listens there.
    """
    try:
        return bool(sock.getsockname() == sock.getpeername())
    except OSError:
        return False  # the peer has reset the connection already: reading will say so


def refuse_self_connection(sock: socket.socket) -> None:
    """Raise ConnectionRefusedError, as without a simultaneous open, where a socket is connected to itself."""
    if is_self_connected(sock):
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def describe_failure(error: OSError, options: ConnectOptions) -> str:
    """The reason why connecting failed, in words."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"no answer within {options.timeout:g}s"
    return reason_of(error)


def _connect_one(candidate: Candidate, options: ConnectOptions) -> ClientConnection:
    sock = open_socket(candidate, options)
    try:
        sock.settimeout(options.timeout)
        sock.connect(candidate.sockaddr)
        sock.settimeout(None)
        local = format_sockaddr(candidate.family, sock.getsockname())
        refuse_self_connection(sock)
    except BaseException:
        sock.close()
        raise
    log_info("dial", "connected to %s from %s", candidate, local)
    return ClientConnection(sock, str(candidate), local)


def describe_failures(failures: list[tuple[Candidate, OSError]], options: ConnectOptions) -> tuple[str, str | None]:
    """The reasons why no candidate took the connection, in words, and a hint."""
    candidate, last = failures[-1]
    hint = _hint(last, _UNIX_HINTS if candidate.family == socket.AF_UNIX else _HINTS)
    if last.errno == errno.EINVAL and needs_interface(candidate, options):
        hint = NEEDS_INTERFACE
    if len(failures) == 1:
        return describe_failure(last, options), hint
    reasons = (f"{candidate} {describe_failure(error, options)}" for candidate, error in failures)
    return ", ".join(reasons), hint


def needs_interface(candidate: Candidate, options: ConnectOptions) -> bool:
    """Whether neither a link-local address nor the one to connect from says on which interface it is."""
    source = options.source.host if options.source is not None else None
    if source is not None and lacks_interface(source):
        return True
    scope = candidate.sockaddr[3] if candidate.family == socket.AF_INET6 else 0
    return not scope and lacks_interface(str(candidate.sockaddr[0])) and "%" not in (source or "")


def _bind(sock: socket.socket, family: int, source: Address) -> None:
    try:
        found = socket.getaddrinfo(resolver_host(source.host or ""), source.port, family, socket.SOCK_STREAM)
    except (OSError, ValueError):
        name = "IPv6" if family == socket.AF_INET6 else "IPv4"
        raise OSError(errno.EADDRNOTAVAIL, f"{source.host} is no {name} address") from None
    if source.port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    try:
        sock.bind(found[0][4])
    except OSError as error:
        where = source if source.port else source.host
        raise OSError(error.errno, f"{reason_of(error)} (from {where})") from None


def _connect_unix(address: Address, options: ConnectOptions) -> ClientConnection:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The kernel waits for a place in the listener's accept queue only in a blocking call.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(options.timeout))
        sock.connect(address.unix_name)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(0))
        return ClientConnection(sock, str(address), f"unix:pid={os.getpid()}")
    except OSError as error:
        sock.close()
        # The kernel returns EAGAIN if the accept queue stayed full until the timeout.
        failure = TimeoutError() if error.errno == errno.EAGAIN else error
        what = f"cannot connect to {address}"
        raise PortsideError(what, describe_failure(failure, options), _hint(error, _UNIX_HINTS)) from None
    except BaseException:
        sock.close()
        raise


def _hint(error: OSError, hints: dict[int, str]) -> str | None:
    if isinstance(error, TimeoutError):
        return NO_ANSWER
    return hints.get(error.errno) if error.errno is not None else None
