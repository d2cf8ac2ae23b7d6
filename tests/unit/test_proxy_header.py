"""PROXY headers, to the letter: what is one, what is none, and what is shown of it."""

import socket

import pytest

from portside.errors import InvalidValue
from portside.wire.proxy_header import (
    MOST_V2_BYTES,
    SIGNATURE,
    HeaderDecoder,
    ProxyHeader,
    encode_v1,
    encode_v2,
    endpoint_of,
)

ENDS = ("192.0.2.1", 1234), ("198.51.100.2", 443)
ENDS_6 = ("2001:db8::1", 1234), ("::1", 443)


def decode(data: bytes) -> ProxyHeader | None:
    decoder = HeaderDecoder()
    decoder.feed(data)
    return decoder.header


def feed_bytes(decoder: HeaderDecoder, data: bytes) -> None:
    for byte in data:
        assert decoder.feed(bytes([byte])) == 1


def v2(block: bytes, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(block).to_bytes(2, "big") + block


ADDRESSES = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + (1234).to_bytes(2, "big") + (443).to_bytes(2, "big")


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


@pytest.mark.parametrize(
    ("line", "header"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\r\n", ProxyHeader(1, socket.AF_INET, *ENDS)),
        (b"PROXY TCP6 2001:db8::1 ::1 1234 443\r\n", ProxyHeader(1, socket.AF_INET6, *ENDS_6)),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 0 65535\r\n", ProxyHeader(1, socket.AF_INET, ("1.2.3.4", 0), ("5.6.7.8", 65535))),
        (b"PROXY UNKNOWN\r\n", ProxyHeader(1)),
        (b"PROXY UNKNOWN ffff:f::1 whatever 1 2 3\r\n", ProxyHeader(1)),
    ],
)
def test_version_1(line: bytes, header: ProxyHeader) -> None:
    decoder = HeaderDecoder()
    assert decoder.feed(line + b"PROXY ") == len(line)
    assert decoder.header == header


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",  # no CR
        b"PROXY \r\n and more",
        b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
        b"PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 ::1 ::2 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\xff\r\n",
        b"PROXY UNKNOWN " + b"x" * 100,  # longer than a line may be
        v2(ADDRESSES, command=0x11),
        v2(ADDRESSES, command=0x22),
        v2(ADDRESSES, family=0x13),
        v2(ADDRESSES, family=0x41),
        v2(ADDRESSES[:-1]),
        v2(ADDRESSES + b"\x01"),
        v2(ADDRESSES + b"\x01\x00\x05abcd"),
        v2(ADDRESSES + tlv(0x20, b"1234")),
        v2(ADDRESSES + tlv(0x20, bytes(5) + b"\x21")),
        v2(ADDRESSES + tlv(0x03, bytes(4))),
        v2(ADDRESSES + tlv(0x03, bytes(5))),
        v2(bytes(MOST_V2_BYTES + 1))[:16],
    ],
)
def test_what_is_no_header_is_refused_whole_and_byte_by_byte(data: bytes) -> None:
    with pytest.raises(InvalidValue):
        decode(data)
    decoder = HeaderDecoder()
    with pytest.raises(InvalidValue):
        feed_bytes(decoder, data)
    assert decoder.header is None


def test_version_2_ignores_the_addresses_of_local_and_unspecified() -> None:
    assert decode(v2(ADDRESSES, command=0x20)) == ProxyHeader(2)
    assert decode(v2(b"\xff" * 30, family=0)) == ProxyHeader(2)
    assert decode(encode_v2(None, ENDS[1])) == ProxyHeader(2)


def test_unix_sockets() -> None:
    block = b"/run/client".ljust(108, b"\0") + b"\0abstract".ljust(108, b"\0")
    assert decode(v2(block, family=0x31)) == ProxyHeader(2, socket.AF_UNIX, b"/run/client", b"\0abstract")


def test_tlvs_are_named_and_safe_to_show() -> None:
    ssl = (
        bytes([0x07])
        + (0).to_bytes(4, "big")
        + tlv(0x21, b"TLSv1.3")
        + tlv(0x22, b"some\x1b[31mbody")
        + tlv(0x23, b"ECDHE")
        + tlv(0x7F, b"\x01")
    )
    block = (
        tlv(0x01, b"h2")
        + tlv(0x02, b"example.org")
        + tlv(0x04, bytes(3))
        + tlv(0x05, b"\xff\x00")
        + tlv(0x20, ssl)
        + tlv(0x30, b"blue")
        + tlv(0xE0, b"a")
        + tlv(0xE0, b"b")
        + tlv(0xE0, b"c")
    )
    header = decode(v2(ADDRESSES + block))
    assert header is not None
    assert header.tlvs == {
        "alpn": "h2",
        "authority": "example.org",
        "unique_id": "ff00",
        "ssl": {
            "tls": True,
            "cert": True,
            "cert_of_session": True,
            "verify": 0,
            "version": "TLSv1.3",
            "cn": "some\\x1b[31mbody",
            "cipher": "ECDHE",
            "0x7f": "01",
        },
        "netns": "blue",
        "0xe0": ["61", "62", "63"],
    }


def test_the_checksum() -> None:
    header = encode_v2(*ENDS, [(0xE1, b"x")], checksum=True)
    decoded = decode(header)
    assert decoded is not None
    assert decoded.tlvs == {"0xe1": "78", "crc32c": header[-4:].hex()}
    for at in {*range(16, len(header))} - {len(header) - 7}:  # that one says that it is a checksum
        wrong = bytearray(header)
        wrong[at] ^= 1
        with pytest.raises(InvalidValue):
            decode(bytes(wrong) + bytes(256))


def test_what_is_sent() -> None:
    assert encode_v1(*ENDS) == b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\r\n"
    assert encode_v1(*ENDS_6) == b"PROXY TCP6 2001:db8::1 ::1 1234 443\r\n"
    assert encode_v1(ENDS[0], ENDS_6[1]) == b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1234 443\r\n"
    assert encode_v1(None, ENDS[1]) == encode_v1(ENDS[0], None) == b"PROXY UNKNOWN\r\n"
    assert encode_v2(*ENDS) == v2(ADDRESSES)
    with pytest.raises(InvalidValue, match="at most 65535"):
        encode_v2(*ENDS, [(0xE0, bytes(65535))])


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:5", ("127.0.0.1", 5)),
        ("[::1]:5", ("::1", 5)),
        ("[fe80::1%eth0]:5", ("fe80::1", 5)),
        ("unix:/run/x:5", None),
        ("unix:pid=7", None),
        ("whatever", None),
    ],
)
def test_endpoints_as_they_are_shown(text: str, endpoint: object) -> None:
    assert endpoint_of(text) == endpoint
