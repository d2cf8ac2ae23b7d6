"""Checksums used in protocols, above all in those of industrial devices.

The CRCs are named as in the catalogue of Greg Cook (https://reveng.sourceforge.io/crc-catalogue/), in whose notation
``crc16-ccitt`` is CRC-16/IBM-3740 (start 0xffff, also called CCITT-FALSE) and ``crc16-modbus`` CRC-16/MODBUS.
"""

import binascii
import zlib
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from portside.wire.frame import ByteOrder


class Checksum(NamedTuple):
    """A checksum of ``size`` bytes, in the byte order in which its protocols send it."""

    size: int
    order: ByteOrder
    of: Callable[[bytes], int]


def _reflected(polynomial: int, start: int, last_xor: int) -> Callable[[bytes], int]:
    """A CRC of 8 to 32 bits that takes the lowest bit first; the polynomial has its bits turned round."""

    def crc(data: bytes) -> int:
        table, value = _reflected_table(polynomial), start
        for byte in data:
            value = value >> 8 ^ table[(value ^ byte) & 0xFF]
        return value ^ last_xor

    return crc


@cache
def _reflected_table(polynomial: int) -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        table.append(value)
    return table


@cache
def _crc8_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
        table.append(value)
    return table


def _crc8(data: bytes) -> int:
    table, value = _crc8_table(), 0
    for byte in data:
        value = table[value ^ byte]
    return value


def _xor8(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
    return value


CHECKSUMS: dict[str, Checksum] = {
    "sum8": Checksum(1, "big", lambda data: sum(data) & 0xFF),
    "sum16": Checksum(2, "big", lambda data: sum(data) & 0xFFFF),
    "xor8": Checksum(1, "big", _xor8),
    "lrc": Checksum(1, "big", lambda data: -sum(data) & 0xFF),  # of Modbus ASCII: the sum, negated
    "crc8": Checksum(1, "big", _crc8),
    "crc8-maxim": Checksum(1, "big", _reflected(0x8C, 0, 0)),
    "crc16-modbus": Checksum(2, "little", _reflected(0xA001, 0xFFFF, 0)),
    "crc16-arc": Checksum(2, "little", _reflected(0xA001, 0, 0)),
    "crc16-kermit": Checksum(2, "little", _reflected(0x8408, 0, 0)),
    "crc16-x25": Checksum(2, "little", _reflected(0x8408, 0xFFFF, 0xFFFF)),
    "crc16-ccitt": Checksum(2, "big", lambda data: binascii.crc_hqx(data, 0xFFFF)),
    "crc16-xmodem": Checksum(2, "big", lambda data: binascii.crc_hqx(data, 0)),
    "crc32": Checksum(4, "big", zlib.crc32),
    "crc32c": Checksum(4, "little", _reflected(0x82F63B78, 0xFFFFFFFF, 0xFFFFFFFF)),
    "adler32": Checksum(4, "big", zlib.adler32),
}
"""Each by the name that rules call it; the tables of those that have one are made when they are first asked for."""
