"""A host as a user writes it, in the one form that each protocol needs.

    for             a name                                  an IP address
    getaddrinfo(3)  in ASCII, as IDNA writes it             in its usual form, with its zone
    TLS             the same, without a dot at its end      without its zone (SNI leaves it out: RFC 6066, section 3)
    SOCKS5          in ASCII, at most 255 bytes             without a zone, which is an interface of this machine
    HTTP CONNECT    in ASCII                                the same, an IPv6 address in brackets (RFC 9110, 7.2)

IDNA is that of 2008 with the mapping of UTS 46 (non-transitional, as in browsers: ß is not ss); a name that it forbids,
with an emoji for example, is written by the rules of 2003. An IPv4 address is also one in a form of inet_aton(3)
(``127.1``), or mapped into IPv6.
"""

import socket

from portside.errors import InvalidValue

_MAPPED_PREFIX = bytes(10) + b"\xff\xff"
_MOST_SOCKS_BYTES = 255


def ip_of_host(host: str) -> str | None:
    """The IP address that a host is, in its usual form and with its zone; None for a name."""
    address, percent, zone = host.partition("%")
    try:
        if ":" not in address:
            return None if percent else socket.inet_ntoa(socket.inet_aton(host))
        packed = socket.inet_pton(socket.AF_INET6, address)
    except (OSError, ValueError):
        return None
    if packed.startswith(_MAPPED_PREFIX):
        return socket.inet_ntoa(packed[12:])
    return f"{socket.inet_ntop(socket.AF_INET6, packed)}{percent}{zone}"


def ascii_host(host: str) -> str:
    """A host in ASCII: an IP address in its usual form, a name as IDNA writes it. Raises InvalidValue."""
    name = host if host.isascii() else _idna(host)
    return ip_of_host(name) or name


def resolver_host(host: str) -> bytes:
    """A host for getaddrinfo(3). Raises InvalidValue.

    Bytes, because Python would load its own tables of names for a str.
    """
    return ascii_host(host).encode("ascii")


def tls_host(host: str) -> str:
    """A host as a client names it to TLS: for SNI and to check the server's certificate. Raises InvalidValue."""
    inside = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    return ascii_host(inside).partition("%")[0].removesuffix(".")


def socks_host(host: str) -> str:
    """A host as a SOCKS5 proxy is told it. Raises InvalidValue."""
    name = ascii_host(host)
    if "%" in name and ":" in name:
        raise InvalidValue("the zone of an address is an interface of this machine, which no proxy knows")
    if len(name) > _MOST_SOCKS_BYTES:
        raise InvalidValue("this name of a host cannot be sent to a proxy")
    return name


def connect_host(host: str) -> str:
    """A host as an HTTP proxy is told it in CONNECT, before the colon and the port. Raises InvalidValue."""
    name = socks_host(host)
    return f"[{name}]" if ":" in name else name


def _idna(host: str) -> str:
    import idna  # loads large tables

    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError:  # IDNAError too
        pass
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise InvalidValue(f"{host!r} is no host name") from None
