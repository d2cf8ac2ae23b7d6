"""PROXY headers, versions 1 and 2, with mistakes, in any division into reads."""

import random
import socket
from typing import NamedTuple

from fuzz._mutations import mutate
from portside.errors import InvalidValue
from portside.json_text import encode_json
from portside.wire.proxy_header import (
    MOST_V2_BYTES,
    SIGNATURE,
    HeaderDecoder,
    ProxyHeader,
    encode_v1,
    encode_v2,
)

_FOUR, _SIX = ("192.0.2.1", 33406), ("2001:db8::1", 443)
_TLVS = (
    (1, b"h2"), (2, b"example.org"), (5, b"\x01" * 16), (0x30, b"blue"), (4, b"no operation"), (0xE0, b"own"),
    (0x20, b"\x07\0\0\0\0" + b"\x21\0\x07TLSv1.3" + b"\x22\0\x03CN=" + b"\x25\0\x02RS"),
)  # fmt: skip
_UNIX = SIGNATURE + b"\x21\x31\0\xd8" + b"/run/x".ljust(108, b"\0") + b"@y".ljust(108, b"\0")
_AFTER = b"GET / HTTP/1.1\r\n\r\n"


class Stream(NamedTuple):
    """A stream that begins with a header, and the sizes of its reads."""

    data: bytes
    reads: tuple[int, ...]


def make_input(chance: random.Random) -> Stream:
    """A header of either version, with mistakes or without, and what follows it."""
    source, destination = chance.choice(((_FOUR, _FOUR), (_SIX, _SIX), (_FOUR, _SIX), (None, _FOUR)))
    tlvs = [chance.choice(_TLVS) for _ in range(chance.choice((0, 0, 1, 3, 40)))]
    header = chance.choice(
        (encode_v1(source, destination), encode_v2(source, destination, tlvs, checksum=chance.random() < 0.5), _UNIX)
    )
    if chance.random() < 0.8:
        header = mutate(header, chance)
    return Stream(header + _AFTER, tuple(chance.choice((1, 2, 13, 16, 100, 8192)) for _ in range(8)))


def accepts(value: Stream) -> bool:
    """Decode it in these reads and in one: both alike, and no byte is taken that belongs to no header."""
    divided, whole = _decoded(value.data, value.reads), _decoded(value.data, (len(value.data),))
    assert divided == whole
    header, taken = whole
    if header is None:
        return False
    assert taken <= MOST_V2_BYTES + 16
    for end in (header.source, header.destination):
        if isinstance(end, tuple):
            socket.inet_pton(header.family, end[0])
            assert 0 <= end[1] <= 65535
    encode_json(header.tlvs)
    return True


def _decoded(data: bytes, reads: tuple[int, ...]) -> tuple[ProxyHeader | None, int]:
    """The header and how many bytes it has; None where the stream has none, or ends in it."""
    decoder = HeaderDecoder()
    at, turn = 0, 0
    while decoder.header is None and at < len(data):
        read = data[at : at + reads[turn % len(reads)]]
        turn += 1
        try:
            taken = decoder.feed(read)
        except InvalidValue:
            return None, 0
        assert 0 <= taken <= len(read)
        assert taken == len(read) or decoder.header is not None
        at += taken
    return (decoder.header, at) if decoder.header is not None else (None, 0)
