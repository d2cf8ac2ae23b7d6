"""The PROXY protocol, versions 1 and 2: the address of a proxy's client, sent before the client's first byte.

Source: haproxy.org, doc/proxy-protocol.txt. Version 1 is a line of at most 107 bytes; version 2 is a signature of 12
bytes, 4 bytes of what follows, addresses and TLVs. A header with any deviation from the specification
is refused: reading on after it could take bytes of the client for an address.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Final, NamedTuple

from portside.errors import InvalidValue
from portside.wire.checksums import CHECKSUMS
from portside.wire.proxy_tlvs import TYPE_CRC32C, Tlv, Tlvs, cut_tlvs, named_tlvs

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
MOST_V1_BYTES: Final = 107  # the line with its CR LF, as the specification counts it
MOST_V2_BYTES: Final = 4096  # after its first 16; HAProxy's own stay below 1 KiB, certificates never come in one
_V1 = b"PROXY "
_V1_SHORTEST = len(b"PROXY UNKNOWN\r\n")
_V2_HEAD = 16
_V2_FAMILIES: Final = {0x11: socket.AF_INET, 0x12: socket.AF_INET, 0x21: socket.AF_INET6, 0x22: socket.AF_INET6,
                       0x31: socket.AF_UNIX, 0x32: socket.AF_UNIX}  # fmt: skip
_HOST_BYTES: Final[dict[int, int]] = {socket.AF_INET: 4, socket.AF_INET6: 16}
_UNIX_BYTES: Final = 108
_crc32c = CHECKSUMS["crc32c"].of
_PORT = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)

Endpoint = tuple[str, int]
"""An IP address and a port."""


class ProxyHeader(NamedTuple):
    """The fields of a PROXY header. ``source`` is None for the proxy's own connections and for unknown clients."""

    version: int
    family: int = socket.AF_UNSPEC
    source: Endpoint | bytes | None = None  # bytes: the path of a unix socket
    destination: Endpoint | bytes | None = None  # where the client connected to
    tlvs: Tlvs = {}  # by name, made to be shown; empty in version 1  # noqa: RUF012 - nobody changes it


class HeaderDecoder:
    """Decodes a header from the bytes of a connection as they arrive, and consumes no byte after the header."""

    def __init__(self) -> None:
        self._data = bytearray()  # never more than MOST_V2_BYTES + 16
        self._wanted = _V1_SHORTEST  # so many bytes belong to the header for sure
        self.header: ProxyHeader | None = None  # set when it is whole

    def feed(self, data: bytes) -> int:
        """Decode the next bytes; returns how many of them belong to the header: all until the header is complete.

        Raises InvalidValue if the bytes are not a PROXY header.
        """
        taken = 0
        while self.header is None and taken < len(data):
            piece = data[taken : taken + self._wanted - len(self._data)]
            if self._is_v1() and (end := piece.find(b"\n")) >= 0:
                piece = piece[: end + 1]
            self._data += piece
            taken += len(piece)
            self._look()
        return taken

    def _is_v1(self) -> bool:
        return self._data.startswith(_V1)

    def _look(self) -> None:
        data = self._data
        if not (_V1.startswith(data[: len(_V1)]) or SIGNATURE.startswith(data[: len(SIGNATURE)])):
            raise InvalidValue("it begins with no PROXY header")
        if self._is_v1():
            self._look_v1()
        elif len(data) >= _V2_HEAD:
            self._look_v2()
        elif len(data) >= _V1_SHORTEST:
            self._wanted = _V2_HEAD

    def _look_v1(self) -> None:
        data = self._data
        if b"\n" in data:
            self.header = _decode_v1(bytes(data))
        elif len(data) >= MOST_V1_BYTES:
            raise InvalidValue(f"the line of its PROXY header is longer than {MOST_V1_BYTES} bytes")
        else:
            self._wanted = MOST_V1_BYTES

    def _look_v2(self) -> None:
        length = int.from_bytes(self._data[14:16], "big")
        if length > MOST_V2_BYTES:
            raise InvalidValue(f"its PROXY header has {length} bytes, more than {MOST_V2_BYTES}")
        self._wanted = _V2_HEAD + length
        if len(self._data) >= self._wanted:
            self.header = _decode_v2(bytes(self._data))


def _decode_v1(line: bytes) -> ProxyHeader:
    problem = InvalidValue("its PROXY header is malformed")
    if not line.endswith(b"\r\n") or not line.isascii():
        raise problem
    words = line[:-2].decode().split(" ")
    if words[1] == "UNKNOWN":
        return ProxyHeader(1)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise problem
    kind = ipaddress.IPv4Address if words[1] == "TCP4" else ipaddress.IPv6Address
    family = socket.AF_INET if words[1] == "TCP4" else socket.AF_INET6
    ends = []
    for host, port in ((words[2], words[4]), (words[3], words[5])):
        if not _PORT.fullmatch(port) or int(port) > 65535 or "%" in host:
            raise problem
        try:
            ends.append((socket.inet_ntop(family, kind(host).packed), int(port)))
        except ValueError:
            raise problem from None
    return ProxyHeader(1, family, ends[0], ends[1])


def _decode_v2(data: bytes) -> ProxyHeader:
    version_and_command, family_and_protocol = data[12], data[13]
    if version_and_command not in (0x20, 0x21):
        raise InvalidValue(f"its PROXY header has the version and command 0x{version_and_command:02x}")
    if family_and_protocol != 0 and family_and_protocol not in _V2_FAMILIES:
        raise InvalidValue(f"its PROXY header has the family and protocol 0x{family_and_protocol:02x}")
    if version_and_command == 0x20 or family_and_protocol == 0:
        return ProxyHeader(2)  # LOCAL or UNSPEC: what follows is to be ignored
    family = _V2_FAMILIES[family_and_protocol]
    size = 2 * _UNIX_BYTES if family == socket.AF_UNIX else 2 * _HOST_BYTES[family] + 4
    block = data[_V2_HEAD:]
    if len(block) < size:
        raise InvalidValue("its PROXY header is too short for its addresses")
    tlvs = cut_tlvs(block[size:])
    _check_crc32c(data, _V2_HEAD + size, tlvs)
    source, destination = _ends(family, block[:size])
    return ProxyHeader(2, family, source, destination, named_tlvs(tlvs))


def _ends(family: int, block: bytes) -> tuple[Endpoint | bytes, Endpoint | bytes]:
    if family == socket.AF_UNIX:
        return _path(block[:_UNIX_BYTES]), _path(block[_UNIX_BYTES:])
    size = _HOST_BYTES[family]
    hosts = socket.inet_ntop(family, block[:size]), socket.inet_ntop(family, block[size : 2 * size])
    ports = block[2 * size :]
    return (hosts[0], int.from_bytes(ports[:2], "big")), (hosts[1], int.from_bytes(ports[2:], "big"))


def _path(field: bytes) -> bytes:
    """The path in a field of sockaddr_un: up to the first NUL, but an abstract name begins with one."""
    return field[:1] + field[1:].partition(b"\0")[0] if field.startswith(b"\0") else field.partition(b"\0")[0]


# The checksum over the whole header, its own value taken as 0.


def _check_crc32c(data: bytes, at: int, tlvs: list[Tlv]) -> None:
    for tlv in tlvs:
        if tlv.type == TYPE_CRC32C:
            value_at = at + tlv.at
            if len(tlv.value) != 4:
                raise InvalidValue("the checksum of its PROXY header has not 4 bytes")
            if _crc32c(data[:value_at] + bytes(4) + data[value_at + 4 :]) != int.from_bytes(tlv.value, "big"):
                raise InvalidValue("the checksum of its PROXY header is wrong")


# To send one.


def endpoint_of(text: str) -> Endpoint | None:
    """An endpoint as it is shown, ``127.0.0.1:33406`` or ``[::1]:33406``; None for a unix socket."""
    host, _, port = text.rpartition(":")
    if text.startswith("unix:") or not port.isdecimal():
        return None
    return host.strip("[]").partition("%")[0], int(port)


def encode_v1(source: Endpoint | None, destination: Endpoint | None) -> bytes:
    """The line for a client at ``source`` that connected to ``destination``; UNKNOWN where either is None."""
    if source is None or destination is None:
        return b"PROXY UNKNOWN\r\n"
    hosts = _same_family(source, destination)
    name, family = ("TCP4", socket.AF_INET) if hosts[0].version == 4 else ("TCP6", socket.AF_INET6)
    written = [socket.inet_ntop(family, host.packed) for host in hosts]
    return f"PROXY {name} {written[0]} {written[1]} {source[1]} {destination[1]}\r\n".encode()


def encode_v2(
    source: Endpoint | None,
    destination: Endpoint | None,
    tlvs: Iterable[tuple[int, bytes]] = (),
    *,
    checksum: bool = False,
) -> bytes:
    """As ``encode_v1``, with TLVs as (type, value) and, where asked for, CRC32C; LOCAL where either end is None.

    Raises InvalidValue where it grows beyond what a header can hold.
    """
    if source is None or destination is None:
        return SIGNATURE + bytes([0x20, 0, 0, 0])
    hosts = _same_family(source, destination)
    block = b"".join((hosts[0].packed, hosts[1].packed, *(end[1].to_bytes(2, "big") for end in (source, destination))))
    given = [*tlvs, (TYPE_CRC32C, bytes(4))] if checksum else list(tlvs)
    for kind, value in given:
        block += bytes([kind]) + min(len(value), 65535).to_bytes(2, "big") + value
    if len(block) > 65535:
        raise InvalidValue("a PROXY header has at most 65535 bytes")
    family = 0x11 if hosts[0].version == 4 else 0x21
    header = SIGNATURE + bytes([0x21, family]) + len(block).to_bytes(2, "big") + block
    return header[:-4] + _crc32c(header).to_bytes(4, "big") if checksum else header


_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def _same_family(*ends: Endpoint) -> list[_Ip]:
    """The addresses of both ends; an IPv4 one beside an IPv6 one is written as mapped into IPv6."""
    hosts: list[_Ip] = [ipaddress.ip_address(host) for host, _ in ends]
    if len({host.version for host in hosts}) == 1:
        return hosts
    return [ipaddress.IPv6Address(f"::ffff:{host}") if host.version == 4 else host for host in hosts]
