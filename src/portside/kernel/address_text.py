"""Addresses of many sockets as text.

A table has many sockets and few distinct addresses, so each distinct address is formatted once.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from portside.kernel import states
from portside.kernel.host_text import LINK_LOCAL, MAPPED_PREFIX, host_text, zoned
from portside.kernel.inet_diag import IPV4, IPV6
from portside.kernel.inet_diag_types import Rows

Side = Literal["local", "remote"]


def is_mapped(base: Rows, side: Side) -> npt.NDArray[np.bool_]:
    """Which IPv6 sockets have an IPv4 address (RFC 4291, section 2.5.5.2) on a side."""
    prefix = np.frombuffer(MAPPED_PREFIX, "u1")
    mapped: npt.NDArray[np.bool_] = (base["family"] == IPV6) & (base[side][:, :12] == prefix).all(axis=1)
    return mapped


def endpoints(base: Rows, side: Side, interfaces: Mapping[int, str], *, bound: bool = False) -> list[str]:
    """``127.0.0.1:12345`` or ``[::1]:12345`` for each socket: its ``local`` or its ``remote`` end.

    An IPv4 address that is mapped into IPv6 is written as the IPv4 address that it is; a link-local one is followed by
    its interface, whose name comes from ``interfaces``. With ``bound`` so is every address of a socket that is bound to
    an interface (SO_BINDTODEVICE), as ss shows local addresses: ``127.0.0.1%lo:12345``.
    """
    ports = base[f"{side}_port"].tolist()
    return [f"{host}:{port}" for host, port in zip(hosts(base, side, interfaces, bound=bound), ports, strict=True)]


def hosts(base: Rows, side: Side, interfaces: Mapping[int, str], *, bound: bool = False) -> list[str]:
    """The address of each socket's ``local`` or ``remote`` end without the port, as in ``endpoints``."""
    known: dict[bytes, str] = {}
    raw = base[side].tobytes()
    texts = []
    at = 0
    for family, interface in zip(base["family"].tolist(), base["interface"].tolist(), strict=True):
        address = raw[at : at + (4 if family == IPV4 else 16)]
        at += 16
        host = known.get(address)
        if host is None:
            host = known[address] = host_text(address)
        if interface and (bound or (family == IPV6 and address.startswith(LINK_LOCAL))):
            host = zoned(host, interfaces.get(interface, interface))
        texts.append(host)
    return texts


def remotes(base: Rows, interfaces: Mapping[int, str]) -> list[str | None]:
    """The remote end of each socket, None for a listener."""
    listening = (base["state"] == states.LISTEN).tolist()
    ends = endpoints(base, "remote", interfaces)
    return [None if is_listener else end for end, is_listener in zip(ends, listening, strict=True)]
