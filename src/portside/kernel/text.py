"""Addresses of the table as text, many at a time.

The table has few different addresses and many sockets, so each address is written once.
"""

from socket import AF_INET, AF_INET6, inet_ntop

import numpy as np

from portside.kernel import states
from portside.kernel.layout import IPV4, IPV6
from portside.kernel.table import Mask, SocketTable

MAPPED_PREFIX = bytes(10) + b"\xff\xff"
_LINK_LOCAL = b"\xfe\x80"


def mapped(table: SocketTable, side: str) -> Mask:
    """Which IPv6 sockets have an IPv4 address (RFC 4291, section 2.5.5.2) on a side, ``local`` or ``remote``."""
    address = table.base[side]
    prefix = np.frombuffer(MAPPED_PREFIX, "u1")
    is_mapped: Mask = (table.base["family"] == IPV6) & (address[:, :12] == prefix).all(axis=1)
    return is_mapped


def endpoints(table: SocketTable, side: str) -> list[str]:
    """``127.0.0.1:12345`` and ``[::1]:12345`` for each socket: the ``local`` or the ``remote`` end.

    An IPv4 address that is mapped into IPv6 is shown as the IPv4 address that it is; a link-local one has its
    interface after it.
    """
    ports = table.base[f"{side}_port"].tolist()
    return [f"{host}:{port}" for host, port in zip(hosts(table, side), ports, strict=True)]


def hosts(table: SocketTable, side: str) -> list[str]:
    """The address of each socket's ``local`` or ``remote`` end alone, as in ``endpoints``."""
    base = table.base
    known: dict[bytes, str] = {}
    raw = base[side].tobytes()
    texts = []
    at = 0
    for family, interface in zip(base["family"].tolist(), base["interface"].tolist(), strict=True):
        address = raw[at : at + (4 if family == IPV4 else 16)]
        at += 16
        host = known.get(address)
        if host is None:
            host = known[address] = _host(address)
        if interface and family == IPV6 and address.startswith(_LINK_LOCAL):
            host = f"{host[:-1]}%{table.interfaces.get(interface, interface)}]"
        texts.append(host)
    return texts


def remotes(table: SocketTable) -> list[str | None]:
    """The remote end of each socket, None for a listener."""
    listening = (table.base["state"] == states.LISTEN).tolist()
    return [None if nobody else end for end, nobody in zip(endpoints(table, "remote"), listening, strict=True)]


def _host(address: bytes) -> str:
    if len(address) == 4:
        return inet_ntop(AF_INET, address)
    if address.startswith(MAPPED_PREFIX):
        return inet_ntop(AF_INET, address[12:])
    return f"[{inet_ntop(AF_INET6, address)}]"
