"""The file format of Wireshark and tcpdump: values in, bytes out.

Source: draft-ietf-opsawg-pcapng. Numbers are little-endian, times are nanoseconds since 1970. A file is a section
header, one interface, then packets that begin with their IP header (LINKTYPE_RAW).
"""

import struct
from typing import Final

LINKTYPE_RAW: Final = 101
MOST_COMMENT_BYTES: Final = 65_535  # the length of an option has 16 bits

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6  # types of blocks
_BYTE_ORDER = 0x1A2B3C4D
_OPT_END, _OPT_COMMENT = 0, 1
_SHB_USERAPPL, _IF_DESCRIPTION, _IF_TSRESOL = 4, 3, 9
_NANOSECONDS = b"\x09"  # 10 to the power of -9
_NO_SNAP_LENGTH = 0

_OPTION = struct.Struct("<HH")
_LENGTH = struct.Struct("<I")
_PACKET_HEAD = struct.Struct("<IIIIIII")  # type, length, interface, time (high, low), bytes captured, bytes on the wire
_PADDING = tuple(bytes(-size % 4) for size in range(4))


def file_header(application: str, description: str) -> bytes:
    """The section header and the interface description, which come before the first packet."""
    section = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + _options((_SHB_USERAPPL, application.encode()))
    interface = struct.pack("<HHI", LINKTYPE_RAW, 0, _NO_SNAP_LENGTH) + _options(
        (_IF_DESCRIPTION, description.encode()), (_IF_TSRESOL, _NANOSECONDS)
    )
    return _block(_SECTION, section) + _block(_INTERFACE, interface)


def packet_frame(at: int, size: int, comment: str = "") -> tuple[bytes, bytes]:
    """The bytes before and behind a packet of ``size`` bytes in an enhanced packet block; ``at`` is ns since 1970."""
    tail = _PADDING[size & 3]
    if comment:
        tail += _options((_OPT_COMMENT, _cut(comment.encode("utf-8", "backslashreplace"))))
    length = _PACKET_HEAD.size + size + len(tail) + _LENGTH.size
    return _PACKET_HEAD.pack(_PACKET, length, 0, at >> 32, at & 0xFFFFFFFF, size, size), tail + _LENGTH.pack(length)


def _block(kind: int, body: bytes) -> bytes:
    length = _LENGTH.pack(len(body) + 12)
    return _LENGTH.pack(kind) + length + body + length


def _options(*options: tuple[int, bytes]) -> bytes:
    made = [_OPTION.pack(code, len(value)) + value + _PADDING[len(value) & 3] for code, value in options]
    return b"".join(made) + _OPTION.pack(_OPT_END, 0)


def _cut(comment: bytes) -> bytes:
    return comment[:MOST_COMMENT_BYTES].decode("utf-8", "ignore").encode()
