"""IP addresses and networks, compared in one normal form: ``::ffff:10.0.0.1`` is 10.0.0.1, however it is written.

Both sides of a comparison come through here: the lists of users through ``parse_network``, the addresses of peers
through ``contains`` or ``normal_ip``. A network of mapped addresses (RFC 4291, section 2.5.5.2), at least /96, is the
IPv4 network that it stands for; a shorter one, ``::/0`` for example, holds IPv6 addresses alone.
"""

import ipaddress
import socket
from collections.abc import Iterable
from contextlib import suppress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def parse_network(text: str) -> Network:
    """Read an address or a network; one that names an interface, ``fe80::1%eth0/64``, is of that link alone.

    Raises ValueError, also for an interface with an address that is not link-local: no peer is shown like that.
    """
    network = ipaddress.ip_network(text, strict=False)
    link = getattr(ipaddress.ip_interface(text), "scope_id", None)  # a network made of a host's address has lost it
    if link is not None:
        if not network.is_link_local:
            raise ValueError(f"{text!r} names an interface, and is not link-local")
        return ipaddress.IPv6Network(
            f"{ipaddress.IPv6Address(int(network.network_address))}%{link}/{network.prefixlen}"
        )
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        return ipaddress.IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def normal_ip(ip: str) -> str:
    """An address in the form in which equal ones are equal as text; text that is no address is returned as it is."""
    try:
        return str(_parse(ip))
    except ValueError:
        return ip


def contains(ip: str, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of these networks, which ``parse_network`` has read. Raises ValueError.

    A network that names no interface holds addresses of any link.
    """
    address = _parse(ip)
    return any(address in network and _link(network.network_address) in ("", _link(address)) for network in networks)


def _parse(ip: str) -> _Ip:
    address = ipaddress.ip_address(ip)
    return getattr(address, "ipv4_mapped", None) or address


def _link(address: _Ip) -> str:
    """The name of the interface that an address is limited to (RFC 4007, section 11), "" without one."""
    zone = getattr(address, "scope_id", None) or ""
    if zone.isdecimal() and zone not in (name for _, name in socket.if_nameindex()):
        with suppress(OSError, OverflowError):
            return socket.if_indextoname(int(zone))
    return zone
