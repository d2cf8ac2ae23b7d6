"""Ports and hosts as ss writes them, as leaves of the tree. Invalid ones raise InvalidValue."""

from socket import AF_INET, AF_INET6, inet_pton

from portside.errors import InvalidValue
from portside.kernel.filter.columns import name_or_number, parse_integer
from portside.kernel.filter.resolver import NameResolver
from portside.kernel.filter.tree import EVERYTHING, And, Filter, HostIn, Number, Or, PortIn, Side

LAST_PORT = 65535


def parse_port_range(text: str, names: NameResolver) -> tuple[int, int]:
    """Read ``:443``, ``443``, ``https``, ``8000-8010`` or ``*``: the first port and the last."""
    port = text.removeprefix(":")
    if port == "*":
        return 0, LAST_PORT
    first, dash, last = port.partition("-")
    if _is_number(first) and (not dash or _is_number(last)):
        low, high = _port(first), _port(last if dash else first)
        if high < low:
            raise InvalidValue(f"{port!r} is no range of ports: write the lower one first")
        return low, high
    if not port or ":" in port:
        raise InvalidValue(f"{text!r} is no port: write :443, 443, 8000-8010 or the name of a service")
    service = names.port(port)
    return service, service


def parse_host(text: str, side: Side, names: NameResolver) -> Filter:
    """Read what is after ``src`` or ``dst``: ``10.0.0.0/8``, ``[fe80::1%eth0]:80``, ``*:443``, ``:80``, a name.

    After ``%`` is an interface, by its name or its number: the socket has to be bound to it, as it is where the address
    is link-local, and as ss shows it for others.
    """
    family, rest = _family(text)
    host, port = _split(rest)
    host, zone = _split_zone(host)
    terms: list[Filter] = []
    if host not in ("", "*", "any", "all"):
        terms.append(_any_of(side, host, family, names))
    elif family is not None:
        terms.append(HostIn(side, bytes(4 if family == AF_INET else 16), 0))
    if zone is not None:
        terms.append(_bound_to(int(name_or_number(zone, names.interface, parse_integer))))
    if port is not None and port not in ("", "*"):
        terms.append(PortIn(side, *parse_port_range(port, names)))
    return terms[0] if len(terms) == 1 else And(tuple(terms)) if terms else EVERYTHING


def _any_of(side: Side, host: str, family: int | None, names: NameResolver) -> Filter:
    prefix = _prefix(host)
    found = [(*prefix, 0)] if prefix else [(each, 8 * len(each), scope) for each, scope in names.addresses(host)]
    length = None if family is None else 4 if family == AF_INET else 16
    leaves = tuple(_leaf(side, *each) for each in found if length in (None, len(each[0])))
    if not leaves:
        raise InvalidValue(f"{host!r} has no address of this family")
    return leaves[0] if len(leaves) == 1 else Or(leaves)


def _family(text: str) -> tuple[int | None, str]:
    """``inet:`` and ``inet6:`` before a host say which family it is of."""
    for word, family in (("inet6:", AF_INET6), ("inet:", AF_INET)):
        if text.startswith(word):
            return family, text.removeprefix(word)
    return None, text


def _leaf(side: Side, address: bytes, bits: int, interface: int) -> Filter:
    leaf = HostIn(side, address, bits)
    return And((leaf, _bound_to(interface))) if interface else leaf


def _bound_to(interface: int) -> Number:
    return Number("interface", "=", interface)


def _split(text: str) -> tuple[str, str | None]:
    """Host and port. What is after the last colon is a port where what is before it is a host: as ss and netstat do.

    No port has a slash: then what is after the last colon is the end of a network, ``fd00::1:0/112``. ss writes the
    zone of an address after the bracket, watch before it.
    """
    if text.startswith("["):
        inside, bracket, after = text[1:].rpartition("]")  # the name of an interface may have a bracket
        more, colon, port = after.partition(":")
        if not bracket or (more and (more[0] not in "%/" or more[0] in inside)):
            raise InvalidValue(f"{text!r} is no host: write [::1]:PORT")
        return inside + more, port if colon else None
    host, colon, port = text.rpartition(":")
    if not colon or "/" in port or "%" in port:
        return text, None
    if ":" in host and not _is_address(host) and _is_address(text):
        return text, None
    return host, port


def _is_address(text: str) -> bool:
    return _prefix(_split_zone(text)[0]) is not None


def _split_zone(host: str) -> tuple[str, str | None]:
    """An address and its zone (RFC 4007, section 11): ``fe80::1%eth0``, ``fe80::%eth0/64``. A name may have none."""
    address, percent, after = host.partition("%")
    if not percent:
        return host, None
    zone, slash, bits = after.partition("/")
    if not zone:
        raise InvalidValue(f"{host!r} lacks the name of an interface after %")
    return address + slash + bits, zone


def _prefix(text: str) -> tuple[bytes, int] | None:
    """An address and how many of its bits count; None where it is no address but maybe a name."""
    host, slash, bits = text.partition("/")
    address = _address(host, partial=bool(slash))
    if address is None and not slash:
        return None
    most = 8 * len(address or bytes(16))
    if address is None or (slash and not (_is_number(bits) and len(bits) < 4 and int(bits) <= most)):
        raise InvalidValue(f"{text!r} is no network: write an address, a slash and a number of bits up to {most}")
    return address, int(bits) if slash else most


def _address(host: str, *, partial: bool) -> bytes | None:
    """The bytes of an address. ``partial``: an IPv4 address may lack its last numbers, as in ``10/8``."""
    if partial and host.count(".") < 3 and _is_number(host.replace(".", "")):
        host += ".0" * (3 - host.count("."))
    try:
        return inet_pton(AF_INET6 if ":" in host else AF_INET, host)
    except (OSError, ValueError):  # ValueError: a NUL character
        return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _port(digits: str) -> int:
    if len(digits) > 5 or int(digits) > LAST_PORT:
        raise InvalidValue(f"there is no port {digits[:12]}: the last one is {LAST_PORT}")
    return int(digits)
