"""The network that the remote end of each socket is in, as a number: a /24 of IPv4, a /56 of IPv6, or the loopback."""

from socket import AF_INET, AF_INET6, inet_ntop
from typing import Final

import numpy as np
import numpy.typing as npt

from portside.kernel.address_text import is_mapped
from portside.kernel.inet_diag import IPV4
from portside.kernel.inet_diag_types import Rows

Networks = npt.NDArray[np.uint64]

NO_NETWORK: Final = 0
LOOPBACK: Final = 1 << 56
_IPV4: Final = 4 << 56
_IPV6: Final = 6 << 56
_ONE: Final = bytes(15) + b"\x01"  # ::1


def remote_networks(base: Rows) -> Networks:
    """For each socket the network of its remote end; NO_NETWORK where it has none."""
    remote = np.ascontiguousarray(base["remote"]).view("u1").reshape(len(base), 16)
    mapped = is_mapped(base, "remote")
    short = (base["family"] == IPV4) | mapped
    v4 = np.where(mapped[:, None], remote[:, 12:], remote[:, :4]).astype("u8")
    wide = remote[:, :7].astype("u8")
    networks = np.full(len(base), _IPV6, "u8")
    for at in range(7):
        networks |= wide[:, at] << np.uint64(8 * (6 - at))
    of_v4 = np.uint64(_IPV4) | v4[:, 0] << np.uint64(16) | v4[:, 1] << np.uint64(8) | v4[:, 2]
    networks = np.where(short, of_v4, networks)
    own = np.where(short, v4[:, 0] == 127, (remote == np.frombuffer(_ONE, "u1")).all(axis=1))
    networks[own] = LOOPBACK
    networks[~remote.any(axis=1)] = NO_NETWORK
    return networks


def network_text(number: int) -> str | None:
    """``10.1.2.0/24``, ``2001:db8:1:200::/56``, ``loopback``; None for NO_NETWORK."""
    if number == NO_NETWORK:
        return None
    if number == LOOPBACK:
        return "loopback"
    address = (number & ((1 << 56) - 1)).to_bytes(7, "big")
    if number >> 56 == _IPV4 >> 56:
        return f"{inet_ntop(AF_INET, address[4:] + bytes(1))}/24"
    return f"{inet_ntop(AF_INET6, address + bytes(9))}/56"
