"""Addresses to listen on and to connect to, parsed from what users write, and peers formatted for display."""

import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

from portside.errors import InvalidValue

NEEDS_INTERFACE = "a link-local address needs its interface: [fe80::1%eth0]:PORT"
"""The hint where such an address is used without one (RFC 4007, section 6)."""

ANY_PORT = range(1)
"""The port 0, for which the kernel picks one that is free."""

_LAST_PORT = 65535
_SOCAT_HOW = ("l", "listen", "connect", "client")  # TCP-LISTEN:PORT, UNIX-CONNECT:PATH …


class Address(NamedTuple):
    """An address to listen on or to connect to.

    ``host`` is None where the user gave none; ``ports`` is empty for a unix socket, whose ``path`` is then set
    (an abstract one begins with ``@``). ``fd`` is the descriptor of a socket that was passed in, to listen on.
    """

    host: str | None
    ports: range
    path: str | None = None
    fd: int | None = None

    @property
    def port(self) -> int:
        """The port, where there is just one."""
        return self.ports[0]

    @property
    def is_abstract(self) -> bool:
        """Whether this is a unix socket without a file (unix(7))."""
        return self.path is not None and self.path.startswith("@")

    @property
    def unix_name(self) -> str:
        """The path as bind(2) and connect(2) take it; that of an abstract socket begins with NUL (unix(7))."""
        path = self.path or ""
        return "\0" + path[1:] if self.is_abstract else path

    def __str__(self) -> str:
        if self.fd is not None:
            return f"fd:{self.fd}"
        if self.path is not None:
            return _show_path(self.path)
        ports = str(self.port) if len(self.ports) == 1 else f"{self.ports[0]}-{self.ports[-1]}"
        if self.host is None:
            return ports
        return f"[{self.host}]:{ports}" if ":" in self.host else f"{self.host}:{ports}"


def parse_addresses(words: Sequence[str]) -> tuple[Address, ...]:
    """Read some addresses to listen on: words as ``parse_address`` reads them, a host and its port, or ``fd:N``."""
    addresses: list[Address] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("fd:"):
            addresses.append(_parse_descriptor(word, addresses))
            continue
        try:
            address = parse_address(word)
        except InvalidValue:
            if not rest or not is_bare_host(word):
                raise
            address = parse_address(join_host_port(word, rest.pop(0)))
        if address in addresses and address.ports != ANY_PORT:
            raise InvalidValue(f"{word!r} is there twice")
        addresses.append(address)
    return tuple(addresses)


def parse_target(words: Sequence[str]) -> Address:
    """Read the one address that a client connects to: as ``parse_address`` reads it, or a host and its port."""
    match words:
        case [text]:
            return parse_address(text)
        case []:
            raise InvalidValue("it names nobody to connect to")
        case [host, port] if is_bare_host(host):
            return parse_address(join_host_port(host, port))
        case [first, second] if first and ":" in first:
            raise InvalidValue(f"{first!r} has its port already, and {second!r} follows: write HOST:PORT or HOST PORT")
    raise InvalidValue("write HOST:PORT or HOST PORT")


def _parse_descriptor(text: str, before: Sequence[Address]) -> Address:
    """Read ``fd:N``, which stands once: whoever closes a socket closes it for both."""
    digits = text.removeprefix("fd:")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 7) or int(digits) <= 2:
        raise InvalidValue(f"{text!r} is no socket that was passed in: write fd:N, N from 3 on")
    address = Address(None, range(0), fd=int(digits))
    if address in before:
        raise InvalidValue(f"{text!r} is there twice")
    return address


def is_bare_host(text: str) -> bool:
    """Whether a word that is no address may be a host without a port: ``localhost``, ``::1``, ``[::1]``."""
    bare = text.removeprefix("[").removesuffix("]")
    if ":" in bare:
        try:
            socket.inet_pton(socket.AF_INET6, bare.partition("%")[0])
        except OSError:
            return False
    return _may_be_host(bare) and bare[0] != "-"


def join_host_port(host: str, port: str) -> str:
    """``HOST PORT`` as one address; an IPv6 address may come with its brackets or without."""
    bare = host.removeprefix("[").removesuffix("]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def parse_address(text: str) -> Address:
    """Read ``12345``, ``:12345``, ``HOST:PORT``, ``[::1]:PORT``, ``tcp://HOST:PORT`` or ``unix:PATH``.

    A port is a number, a range (``8000-8010``) or the name of a service.
    """
    scheme, slashes, rest = text.partition("://")
    if slashes:
        if scheme.lower() != "tcp":
            raise InvalidValue(f"{text!r}: TCP only, write tcp://HOST:PORT or HOST:PORT")
        text = rest.removesuffix("/")
    elif text.startswith("fd:"):
        raise InvalidValue(f"{text!r} is a socket to listen on; a host of this name is tcp://{text}")
    _check_notation(text)
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path or "\0" in path:
            raise InvalidValue(f"{text!r} names no path")
        return Address(None, range(0), path)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":") or not _may_be_host(host):
            raise InvalidValue(f"{text!r} is no address: write [::1]:PORT")
        return Address(host, parse_ports(rest[1:]))
    host, colon, ports = text.rpartition(":")
    if ":" in host:
        raise InvalidValue(f"{text!r} is no address: write an IPv6 address in brackets, [::1]:PORT")
    if host and not _may_be_host(host):
        raise InvalidValue(f"{text!r} is no address: a host name has no spaces, brackets or slashes")
    try:
        return Address(host or None, parse_ports(ports if colon else text))
    except InvalidValue:
        if colon or not _is_host_alone(text):
            raise
        raise InvalidValue(f"{text!r} names no port: write {text}:PORT") from None


def _is_host_alone(text: str) -> bool:
    """Whether a word that is no port reads as a host: ``localhost``, ``10.0.0.1``, ``*``."""
    return text == "*" or (is_bare_host(text) and (text[0].isalpha() or text.count(".") == 3))


def _check_notation(text: str) -> None:
    """Raise InvalidValue for a path alone, and for an address as socat writes it: ``TCP-LISTEN:80,fork``."""
    kind, colon, rest = text.partition(":")
    if not colon:
        if "/" in text or text.endswith(".sock"):
            raise InvalidValue(f"{text!r} is no address: a unix socket is written unix:{text}")
        return
    name, _, how = kind.lower().partition("-")
    name = name.rstrip("46")
    place = rest.partition(",")[0]
    is_socats = how in _SOCAT_HOW or (not how and ":" in rest and name != "unix")
    if not is_socats or name not in ("tcp", "udp", "unix", "ssl", "openssl"):
        return
    if name == "udp":
        raise InvalidValue(f"{text!r}: TCP only, there is nothing here about UDP")
    wanted = f"unix:{place}" if name == "unix" else place
    raise InvalidValue(f"{text!r} is socat's way to write {wanted}" + ("; --tls speaks TLS" if "ssl" in name else ""))


def _may_be_host(text: str) -> bool:
    """Whether a name could be one; to an HTTP proxy a line feed in it would begin another header, ``/`` a path."""
    name = text.partition("%")[0]  # an interface may be called almost anything
    return bool(text) and text.isprintable() and not set(" []") & set(text) and not set("/?#@") & set(name)


def parse_ports(text: str) -> range:
    """Read a port, a range of them or the name of a service: ``22``, ``8000-8010``, ``ssh``."""
    first, dash, last = text.partition("-")
    if not (first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit()))):
        try:
            return _one_port(socket.getservbyname(text, "tcp"))
        except (OSError, ValueError):
            raise InvalidValue(f"{text!r} is no port: write a number from 0 to {_LAST_PORT}") from None
    low, high = _port(first), _port(last if dash else first)
    if dash and (low == 0 or high < low):
        raise InvalidValue(f"{text!r} is no range of ports: write the lower one first, from 1")
    return range(low, high + 1)


def _one_port(port: int) -> range:
    return range(port, port + 1)


def _port(digits: str) -> int:
    if len(digits) > 5 or int(digits) > _LAST_PORT:
        raise InvalidValue(f"there is no port {digits[:12]}: the last one is {_LAST_PORT}")
    return int(digits)


def format_sockaddr(family: int, address: object) -> str:
    """Show the address of a socket: ``127.0.0.1:33406``, ``[::1]:33406``, ``unix:/run/x``, ``unix:@x``.

    An IPv4 address that comes mapped into IPv6 is shown as the IPv4 address that it is.
    """
    if family == socket.AF_UNIX:
        return _show_path(address if isinstance(address, bytes) else str(address))
    if not isinstance(address, tuple):
        return str(address)
    host, port = str(address[0]), address[1]
    if family != socket.AF_INET6:
        return f"{host}:{port}"
    host = ip_of(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _show_path(path: str | bytes) -> str:
    """A unix socket as it is shown: text that every encoder takes, with ``\\xff`` for a byte that is not UTF-8."""
    name = path if isinstance(path, bytes) else path.encode("utf-8", "surrogateescape")
    if name.startswith(b"\0"):
        name = b"@" + name[1:]
    return "unix:" + name.decode("utf-8", "backslashreplace")


def ip_of(sockaddr: tuple[Any, ...]) -> str:
    """The IP address of a socket's end: a mapped one as the IPv4 address that it is, a link-local one with its link."""
    host = str(sockaddr[0])
    if host.startswith("::ffff:") and "." in host:
        return host[7:]
    scope = sockaddr[3] if len(sockaddr) > 3 else 0
    return f"{host}%{_interface(scope)}" if scope and "%" not in host else host


def lacks_interface(host: str) -> bool:
    """Whether a host is an IPv6 address that is link-local, fe80::/10, and names no interface."""
    first, colon, _ = host.lower().partition(":")
    return bool(colon) and len(first) == 4 and first[:3] in ("fe8", "fe9", "fea", "feb") and "%" not in host


def unknown_interface(host: str) -> str | None:
    """The hint for an address that names an interface that does not exist; None for any other host."""
    name = host.partition("%")[2] if ":" in host else ""
    if not name:
        return None
    try:
        socket.if_nametoindex(name)
    except (OSError, ValueError):
        return f"no interface is called {name!r}; `ip link` lists those that there are"
    return None


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)


def is_shorthand(text: str) -> bool:
    """Whether resolvers take a text for an IPv4 address, inet_aton(3), that is not written as four decimal numbers.

    ``10.1`` is 10.0.0.1 to them, where its author may mean a network; ``0177.0.0.1`` is 127.0.0.1.
    """
    try:
        socket.inet_aton(text)
    except (OSError, ValueError):
        return False
    try:
        socket.inet_pton(socket.AF_INET, text)
    except OSError:
        return True
    return False
