"""IP and TCP headers: values in, bytes out.

Sources: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 9293 (TCP), RFC 7323 (window scale).

The TCP checksum covers the pseudo-header alone, as in a capture on a sending machine whose network card computes the
rest ("checksum offload"). Wireshark recognises and accepts it. The full checksum would cost more than all other work
on a byte of an exported recording.
"""

import socket
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10

WINDOW: Final = 65_535
WINDOW_SCALE: Final = 7  # what Linux announces; in bytes: WINDOW << WINDOW_SCALE
SEGMENT_BYTES: Final = 32_768  # MSS. Half of the usual read, so that no read leaves a few bytes for a segment
SYN_OPTIONS: Final = struct.pack(">BBHBBBB", 2, 4, SEGMENT_BYTES, 1, 3, 3, WINDOW_SCALE)  # MSS, nothing, window scale

_TCP_BYTES = 20
_PROTOCOL = 6
_HOPS = 64
_DONT_FRAGMENT = 0x4000
_IPV4 = struct.Struct(">BBHHHBBH8sHH")  # up to the ports of TCP
_IPV6 = struct.Struct(">IHBB32sHH")
_NUMBERS = struct.Struct(">II")  # sequence and acknowledgement number
_TCP = struct.Struct(">BBHHH")  # what follows them
_IPV4_BYTES = 20
_MOST_REMEMBERED = 4  # the segments of a large read have one size and flags, the last of them others
_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291, section 2.5.5.2

_PEERS = bytes.fromhex("20010db800000001")  # 2001:db8:0:1::/64, for documentation (RFC 3849)
_LOCAL = bytes.fromhex("20010db8000000000000000000000001")
_DYNAMIC_PORTS = range(49_152, 65_536)  # dynamic ports (RFC 6335): no dissector expects a protocol there

HeaderBuilder = Callable[[int, int, int, int], bytes]


class Endpoint(NamedTuple):
    """One end of a connection: 4 or 16 bytes of address, and the port."""

    address: bytes
    port: int


def parse_endpoint(text: str) -> Endpoint | None:
    """Read ``127.0.0.1:80`` or ``[fe80::1%eth0]:80``; None for anything else, such as a unix socket."""
    host, _, digits = text.rpartition(":")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and int(digits) <= 65_535):
        return None
    try:
        if not host.startswith("["):
            return Endpoint(socket.inet_pton(socket.AF_INET, host), int(digits))
        address = socket.inet_pton(socket.AF_INET6, host[1:-1].partition("%")[0] if host.endswith("]") else host)
    except (OSError, ValueError):
        return None
    return Endpoint(address.removeprefix(_MAPPED), int(digits))


def placeholder(conn: int, *, peer: bool) -> Endpoint:
    """A unique endpoint for an end without an IP address, from the documentation prefix (RFC 3849)."""
    if peer:
        return Endpoint(_PEERS + (conn & (1 << 64) - 1).to_bytes(8), _DYNAMIC_PORTS[conn % len(_DYNAMIC_PORTS)])
    return Endpoint(_LOCAL, _DYNAMIC_PORTS[0])


def header_builder(source: Endpoint, destination: Endpoint) -> HeaderBuilder:
    """A function of payload size, sequence number, acknowledgement number and flags, which returns IP and TCP headers.

    A SYN's headers end with SYN_OPTIONS, which are not part of the payload size.
    Where one end is IPv4 and the other IPv6, the IPv4 address is mapped into IPv6.
    """
    if len(source.address) == len(destination.address) == 4:
        return _ipv4(source.address + destination.address, source.port, destination.port)
    both = b"".join(each if len(each) == 16 else _MAPPED + each for each in (source.address, destination.address))
    return _ipv6(both, source.port, destination.port)


def _ipv4(addresses: bytes, source: int, destination: int) -> HeaderBuilder:
    fixed = struct.pack(">BBHHHBBH", 0x45, 0, 0, 0, _DONT_FRAGMENT, _HOPS, _PROTOCOL, 0)
    ip_sum = checksum_sum(fixed + addresses)
    pseudo_sum = checksum_sum(addresses) + _PROTOCOL

    def around_numbers(size: int, flags: int) -> tuple[bytes, bytes]:
        tcp = _tcp_bytes(flags) + size
        ip = ip_sum + _IPV4_BYTES + tcp
        checksum = ~((ip & 0xFFFF) + (ip >> 16)) & 0xFFFF
        ip_header = 0x45, 0, _IPV4_BYTES + tcp, 0, _DONT_FRAGMENT, _HOPS, _PROTOCOL, checksum, addresses
        before = _IPV4.pack(*ip_header, source, destination)
        return before, _after_numbers(flags, pseudo_sum + tcp)

    return _with_numbers(around_numbers)


def _ipv6(addresses: bytes, source: int, destination: int) -> HeaderBuilder:
    pseudo_sum = checksum_sum(addresses) + _PROTOCOL

    def around_numbers(size: int, flags: int) -> tuple[bytes, bytes]:
        tcp = _tcp_bytes(flags) + size
        before = _IPV6.pack(0x60000000, tcp, _PROTOCOL, _HOPS, addresses, source, destination)
        return before, _after_numbers(flags, pseudo_sum + tcp)

    return _with_numbers(around_numbers)


def _tcp_bytes(flags: int) -> int:
    return _TCP_BYTES + (len(SYN_OPTIONS) if flags & SYN else 0)


def _after_numbers(flags: int, pseudo_sum: int) -> bytes:
    checksum = (pseudo_sum & 0xFFFF) + (pseudo_sum >> 16)
    return _TCP.pack(_tcp_bytes(flags) << 2, flags, WINDOW, checksum, 0) + (SYN_OPTIONS if flags & SYN else b"")


def _with_numbers(around_numbers: Callable[[int, int], tuple[bytes, bytes]]) -> HeaderBuilder:
    """A header builder that remembers the bytes around the two numbers for the last few payload sizes and flags."""
    remembered: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    def header(size: int, seq: int, ack: int, flags: int) -> bytes:
        around = remembered.get((size, flags))
        if around is None:
            if len(remembered) >= _MOST_REMEMBERED:
                remembered.clear()
            around = remembered[size, flags] = around_numbers(size, flags)
        return around[0] + _NUMBERS.pack(seq & 0xFFFFFFFF, ack & 0xFFFFFFFF) + around[1]

    return header


def checksum_sum(data: bytes) -> int:
    """The one's complement sum of 16-bit words (RFC 1071), not complemented; ``data`` has an even length."""
    total = int.from_bytes(data)
    return total % 65_535 or (65_535 if total else 0)
