"""A parser of captures (pcapng blocks, IP and TCP headers) that shares no code with the writer."""

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from portside.events import Event
from portside.wire.tcp_synthesizer import Packet, TcpSynthesizer

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class Segment(NamedTuple):
    """One TCP segment; ``seq`` and ``ack`` as they stand in the header, ``scale`` None but in a SYN."""

    at: int
    source: tuple[str, int]
    destination: tuple[str, int]
    seq: int
    ack: int
    flags: int
    window: int
    mss: int | None
    scale: int | None
    data: bytes
    comment: str


class Block(NamedTuple):
    kind: int
    body: bytes


def blocks(file: bytes) -> Iterator[Block]:
    """The blocks of a pcapng file whose lengths agree."""
    at = 0
    while at < len(file):
        kind, length = struct.unpack_from("<II", file, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", file, at + length - 4) == (length,)
        yield Block(kind, file[at + 8 : at + length - 4])
        at += length


def options(body: bytes) -> dict[int, bytes]:
    """The options of a block; there is an end where there is one."""
    found, at = {}, 0
    while at < len(body):
        code, size = struct.unpack_from("<HH", body, at)
        if not code:
            assert at + 4 == len(body)
            break
        found[code] = body[at + 4 : at + 4 + size]
        at += 4 + -(-size // 4) * 4
    else:
        assert not body
    return found


def parse_capture(file: bytes) -> list[Segment]:
    """The packets of a file."""
    segments = []
    for block in blocks(file):
        if block.kind == 6:
            interface, high, low, size, whole = struct.unpack_from("<IIIII", block.body)
            assert (interface, size) == (0, whole)
            padded = 20 + -(-size // 4) * 4
            comment = options(block.body[padded:]).get(1, b"").decode()
            segments.append(parse_ip_packet(high << 32 | low, block.body[20 : 20 + size], comment))
    return segments


def synthesize(conversation: TcpSynthesizer, *events: Event) -> list[Segment]:
    """What a conversation makes of events."""
    return [parse_packet(packet) for event in events for packet in conversation.packets(event)]


def parse_packet(packet: Packet) -> Segment:
    return parse_ip_packet(packet.at, packet.headers + bytes(packet.payload), packet.comment)


def parse_ip_packet(at: int, packet: bytes, comment: str) -> Segment:
    """A packet from its IP header on; checks its lengths and what it has of checksums."""
    if packet[0] >> 4 == 4:
        assert words(packet[:20]) == 0xFFFF
        assert struct.unpack_from(">H", packet, 2) == (len(packet),)
        ends, tcp, family = packet[12:20], packet[20:], socket.AF_INET
        assert packet[9] == 6
    else:
        assert packet[0] >> 4 == 6
        assert struct.unpack_from(">H", packet, 4) == (len(packet) - 40,)
        ends, tcp, family = packet[8:40], packet[40:], socket.AF_INET6
        assert packet[6] == 6
    assert len(packet) < 65_536 + 40
    half = len(ends) // 2
    source, destination = (socket.inet_ntop(family, each) for each in (ends[:half], ends[half:]))
    ports = struct.unpack_from(">HH", tcp)
    seq, ack, offset, flags, window, checksum, urgent = struct.unpack_from(">IIBBHHH", tcp, 4)
    assert checksum == words(ends + struct.pack(">HH", 6, len(tcp)))
    assert not urgent
    mss = scale = None
    length = (offset >> 4) * 4
    if length > 20:
        kind, size, mss, nothing, scale_kind, scale_size, scale = struct.unpack(">BBHBBBB", tcp[20:length])
        assert (kind, size, nothing, scale_kind, scale_size) == (2, 4, 1, 3, 3)
    ends_of = (source, ports[0]), (destination, ports[1])
    return Segment(at, *ends_of, seq, ack, flags, window, mss, scale, tcp[length:], comment)


def words(data: bytes) -> int:
    """The one's complement sum of 16-bit words, the slow way."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total
