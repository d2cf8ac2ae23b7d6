"""IP networks: whether an address belongs to one of them."""

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def contains(ip: str, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of these. Its scope does not matter, and one mapped into IPv6 is an IPv4 address."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
