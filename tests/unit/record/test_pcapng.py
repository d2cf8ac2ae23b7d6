"""Captures made of events: blocks, headers, and the packets of each kind of connection."""

import struct
from itertools import pairwise, product

import pytest
from packet_parser import (
    ACK,
    FIN,
    PSH,
    RST,
    SYN,
    Segment,
    blocks,
    options,
    parse_capture,
    parse_ip_packet,
    synthesize,
)

from portside.events import Closed, CloseReason, Event, Fault, Gap, HalfClosed, Listening, Opened, Received, Sent
from portside.wire import tcpip
from portside.wire.pcapng import MOST_COMMENT_BYTES, file_header, packet_frame
from portside.wire.tcp_synthesizer import STEP_BYTES, TcpSynthesizer

PEER, LOCAL = "127.0.0.1:33406", "127.0.0.1:12345"
CLIENT, SERVER = ("127.0.0.1", 33406), ("127.0.0.1", 12345)
MASK = 0xFFFFFFFF


def opened(at: int = 0) -> Opened:
    return Opened(at, 1, PEER, LOCAL)


def received(data: bytes, at: int = 0) -> Received:
    return Received(at, 1, PEER, data)


def sent(data: bytes, at: int = 0) -> Sent:
    return Sent(at, 1, PEER, data)


def closed(reason: CloseReason, got: int = 0, gave: int = 0, error: str | None = None) -> Closed:
    return Closed(0, 1, PEER, reason, got, gave, 1.0, error)


def story(*events: Event, peer: str = PEER, local: str = LOCAL, left: int | None = None) -> list[Segment]:
    return synthesize(TcpSynthesizer(1, peer, local, left=left), *events)


def said(segments: list[Segment]) -> list[str]:
    """Packets in short: who, what, how many bytes."""
    names = {FIN: "FIN", SYN: "SYN", RST: "RST", PSH: "PSH", ACK: "ACK"}
    return [
        " ".join(
            [
                "peer" if each.source == CLIENT else "local",
                *(name for flag, name in names.items() if each.flags & flag),
                *([str(len(each.data))] if each.data else []),
            ]
        )
        for each in segments
    ]


HANDSHAKE = ["peer SYN", "local SYN ACK", "peer ACK"]


# The file.


def test_a_file_begins_with_who_wrote_it_and_an_interface_of_nanoseconds() -> None:
    section, interface = blocks(file_header("Portside 1.2", "what it is"))
    assert section.kind == 0x0A0D0D0A
    assert struct.unpack_from("<IHHq", section.body) == (0x1A2B3C4D, 1, 0, -1)
    assert options(section.body[16:]) == {4: b"Portside 1.2"}
    assert interface.kind == 1
    assert struct.unpack_from("<HHI", interface.body) == (101, 0, 0)
    assert options(interface.body[8:]) == {3: b"what it is", 9: b"\x09"}


@pytest.mark.parametrize("size", range(5))
@pytest.mark.parametrize("comment", ["", "why", "so", "ä€"])
def test_a_packet_block_holds_a_packet_its_time_and_a_comment(size: int, comment: str) -> None:
    headers = tcpip.header_builder(tcpip.Endpoint(b"\x7f\0\0\1", 1), tcpip.Endpoint(b"\x7f\0\0\2", 2))
    packet = headers(size, 3, 4, ACK) + b"x" * size
    head, tail = packet_frame(1_800_000_000_123_456_789, len(packet), comment)
    (segment,) = parse_capture(head + packet + tail)
    assert segment == parse_ip_packet(1_800_000_000_123_456_789, packet, comment)


def test_a_comment_is_cut_to_what_fits_and_stays_utf8() -> None:
    head, tail = packet_frame(0, 0, "xä" * MOST_COMMENT_BYTES)
    ((_, body),) = blocks(head + tail)
    comment = options(body[20:])[1]
    assert len(comment) == MOST_COMMENT_BYTES
    assert set(comment.decode()) == {"x", "ä"}


def test_a_comment_may_hold_what_is_no_character() -> None:
    head, tail = packet_frame(0, 0, "unix:\udcff")
    ((_, body),) = blocks(head + tail)
    assert options(body[20:])[1] == b"unix:\\udcff"


# Addresses.


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("127.0.0.1:80", "7f000001", 80),
        ("[::1]:65535", "0" * 31 + "1", 65535),
        ("[fe80::1%eth0]:1", "fe80" + "0" * 27 + "1", 1),
        ("[::ffff:1.2.3.4]:0", "01020304", 0),
    ],
)
def test_endpoints(text: str, address: str, port: int) -> None:
    assert tcpip.parse_endpoint(text) == tcpip.Endpoint(bytes.fromhex(address), port)


@pytest.mark.parametrize(
    "text",
    ["", "unix:/run/x", "unix:pid=1", "unix:@x:80", "example.com:80", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:",
     "127.0.0.1:²", "[::1]", "[::1:5", "[x]:5", "127.0.0.1\0:5", "1.2.3.4:000080"],
)  # fmt: skip
def test_what_is_no_endpoint(text: str) -> None:
    assert tcpip.parse_endpoint(text) is None


def test_sums_are_right_at_their_limits() -> None:
    for address in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\0\0"):
        for size in (0, 1, 65_495):
            end = tcpip.Endpoint(address, 65_535)
            parse_ip_packet(0, tcpip.header_builder(end, end)(size, 0, 0, ACK) + bytes(size), "")
            six = tcpip.Endpoint(address * 4, 65_535)
            parse_ip_packet(0, tcpip.header_builder(six, six)(size, 0, 0, ACK) + bytes(size), "")


def test_ends_of_different_families_become_ipv6() -> None:
    segment = story(opened(), peer="[2001:db8::7]:5")[0]
    assert segment.source == ("2001:db8::7", 5)
    assert segment.destination == ("::ffff:127.0.0.1", 12345)


def test_a_unix_socket_gets_an_address_for_documentation_and_its_name_in_a_comment() -> None:
    first, *others = story(opened(), received(b"x"), peer="unix:pid=17", local="unix:/run/x")
    assert first.source == ("2001:db8:0:1::1", 49153)
    assert first.destination == ("2001:db8::1", 49152)
    assert first.comment == "peer: unix:pid=17\nlocal: unix:/run/x"
    assert not any(each.comment for each in others)


def test_no_two_unix_peers_have_the_same_address() -> None:
    ends = {
        synthesize(TcpSynthesizer(conn, "unix:", "unix:x"), opened())[0].source
        for conn in (1, 2, 16385, 65537, 1 << 40)
    }
    assert len(ends) == 5


def test_a_scope_is_told_in_a_comment() -> None:
    first = story(opened(), peer="[fe80::1%eth0]:5", local="[fe80::2%eth0]:6")[0]
    assert (first.source, first.destination) == (("fe80::1", 5), ("fe80::2", 6))
    assert first.comment == "peer: [fe80::1%eth0]:5\nlocal: [fe80::2%eth0]:6"


def test_ends_that_are_not_recorded() -> None:
    first = story(received(b"x"), peer="", local="")[0]
    assert first.comment == (
        "peer: not recorded\nlocal: not recorded\nthe beginning of this connection is not recorded"
    )


# Conversations.


def test_a_conversation_that_the_peer_closes() -> None:
    segments = story(opened(), received(b"hello"), sent(b"hi"), HalfClosed(0, 1, PEER), closed("peer_closed", 5, 2))
    assert said(segments) == [
        *HANDSHAKE,
        *("peer PSH ACK 5", "local ACK", "local PSH ACK 2", "peer ACK"),
        *("peer FIN ACK", "local ACK", "local FIN ACK", "peer ACK"),
    ]
    syn, answer = segments[:2]
    assert (syn.mss, syn.scale, syn.ack) == (32_768, 7, 0)
    assert (answer.mss, answer.scale, answer.ack) == (32_768, 7, syn.seq + 1 & MASK)


def test_who_dialled_sends_the_first_packet() -> None:
    segments = synthesize(TcpSynthesizer(1, PEER, LOCAL, outbound=True), opened(), received(b"x"))
    assert said(segments) == ["local SYN", "peer SYN ACK", "local ACK", "peer PSH ACK 1", "local ACK"]


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("peer_closed", ["peer FIN ACK", "local ACK", "local FIN ACK", "peer ACK"]),
        ("local_closed", ["local FIN ACK", "peer ACK", "peer FIN ACK", "local ACK"]),
        ("shutdown", ["local FIN ACK", "peer ACK", "peer FIN ACK", "local ACK"]),
        ("idle_timeout", ["local FIN ACK", "peer ACK", "peer FIN ACK", "local ACK"]),
        ("write_timeout", ["local FIN ACK", "peer ACK", "peer FIN ACK", "local ACK"]),
        ("fault", ["local FIN ACK", "peer ACK", "peer FIN ACK", "local ACK"]),
        ("peer_reset", ["peer RST ACK"]),
        ("local_reset", ["local RST ACK"]),
        ("killed", ["local RST ACK"]),
        ("error", ["local RST ACK"]),
    ],
)
def test_how_connections_end(reason: CloseReason, end: list[str]) -> None:
    segments = story(opened(), closed(reason))
    assert said(segments) == HANDSHAKE + end
    explained = {"shutdown", "idle_timeout", "write_timeout", "fault", "killed", "error"}
    assert bool(segments[3].comment) == (reason in explained)


def test_a_fault_that_resets_is_a_reset_and_another_is_none() -> None:
    for kind, end in (
        ("reset", ["local RST ACK"]),
        ("close", ["local FIN ACK", "peer ACK", "peer FIN ACK", "local ACK"]),
    ):
        fault = Fault(0, conn=1, peer=PEER, fault=kind, spec=f"{kind} at 3 out", direction="out", offset=3)
        segments = story(opened(), fault, closed("fault"))
        assert said(segments) == HANDSHAKE + end
        assert segments[3].comment == "closed by Portside: a fault that was asked for"


def test_an_error_is_told_in_its_words() -> None:
    assert story(opened(), closed("error", error="No route to host"))[-1].comment.endswith(": No route to host")
    assert story(opened(), closed("error"))[-1].comment.endswith(": no reason is recorded")


def test_a_half_close_followed_by_our_close() -> None:
    segments = story(opened(), HalfClosed(0, 1, PEER), sent(b"x"), closed("shutdown", 0, 1))
    assert said(segments[3:]) == [
        *("peer FIN ACK", "local ACK", "local PSH ACK 1", "peer ACK", "local FIN ACK", "peer ACK")
    ]


def test_a_connection_still_open_has_no_end() -> None:
    assert said(story(opened())) == HANDSHAKE


def test_what_says_nothing_makes_no_packet() -> None:
    assert not story(opened(), received(b""), sent(b""), Listening(0, LOCAL), Gap(0, 1, 0, 0, 0.0, "x"))[3:]


def test_large_reads_become_segments_acknowledged_every_other_one() -> None:
    data = bytes(range(256)) * 640  # five times 32 kB
    segments = story(opened(), received(data + b"!"))[3:]
    full, acknowledgement = "peer ACK 32768", "local ACK"
    assert said(segments) == [
        *(full, full, acknowledgement, full, full, acknowledgement, full, "peer PSH ACK 1", acknowledgement)
    ]
    assert b"".join(each.data for each in segments) == data + b"!"
    whole = story(opened(), sent(data[:65_536]))[3:]
    assert said(whole) == ["local ACK 32768", "local PSH ACK 32768", "peer ACK"]


def test_times_never_go_backwards() -> None:
    segments = story(opened(5), received(b"x", 3), sent(b"y", 9), received(b"z", 8))
    assert [each.at for each in segments] == [5, 5, 5, 5, 5, 9, 9, 9, 9]


def test_what_never_left_is_not_told() -> None:
    segments = story(opened(), sent(b"abcd"), sent(b"efgh"), sent(b"ij"), closed("peer_reset", 0, 6), left=6)
    assert b"".join(each.data for each in segments) == b"abcdef"
    assert said(segments[-1:]) == ["peer RST ACK"]
    assert segments[-1].ack == (segments[1].seq + 7) & MASK


# What is missing.


def test_a_gap_is_a_hole_in_the_sequence_numbers_with_a_comment() -> None:
    segments = story(opened(), received(b"ab"), Gap(0, 1, 10, 20, 1.0, "disk full"), received(b"c"), sent(b"d"))
    syn, answer = segments[:2]
    hole = segments[5:9]
    assert said(hole) == ["peer ACK", "local ACK", "local ACK", "peer ACK"]
    assert hole[0].comment == "before this, 10 bytes from the peer are not in the recording: disk full"
    assert hole[2].comment == "before this, 20 bytes to the peer are not in the recording: disk full"
    assert [each.seq for each in segments if each.data] == [
        *((syn.seq + 1) & MASK, (syn.seq + 13) & MASK, (answer.seq + 21) & MASK)
    ]


def test_what_the_closing_counts_and_no_event_told_is_missing() -> None:
    segments = story(opened(), received(b"ab"), closed("peer_closed", 5, 7))
    assert [each.comment for each in segments if each.comment] == [
        "before this, 3 bytes from the peer are not in the recording: damaged or given up",
        "before this, 7 bytes to the peer are not in the recording: damaged or given up",
    ]


def test_a_half_close_is_no_byte_of_the_stream() -> None:
    segments = story(opened(), received(b"ab"), HalfClosed(0, 1, PEER), closed("peer_closed", 2, 0))
    assert not any(each.comment for each in segments)


def test_bytes_that_never_left_are_not_missing_either() -> None:
    segments = story(opened(), Gap(0, 1, 0, 50, 1.0, "disk full"), closed("peer_reset", 0, 6), left=6)
    assert [each.comment for each in segments if each.comment] == [
        "before this, 6 bytes to the peer are not in the recording: disk full"
    ]


def test_a_hole_of_gigabytes_is_crossed_in_steps() -> None:
    lost = 4 * STEP_BYTES + 5
    segments = story(opened(), Gap(0, 1, lost, 0, 1.0, "disk full"), received(b"x"))
    steps = [each for each in segments[3:] if each.source == CLIENT]
    assert len(steps) == 6
    assert all(0 < (b.seq - a.seq) & MASK <= STEP_BYTES for a, b in pairwise(steps[:-1]))
    assert steps[-1].seq == (segments[0].seq + 1 + lost) & MASK
    assert sum(bool(each.comment) for each in segments) == 1


@pytest.mark.parametrize("ends", [(b"\x7f\0\0\1", b"\x7f\0\0\2"), (bytes(15) + b"\1", bytes(15) + b"\2")])
def test_headers_do_not_depend_on_those_before_them(ends: tuple[bytes, bytes]) -> None:
    source, destination = (tcpip.Endpoint(address, 80) for address in ends)
    builder = tcpip.header_builder(source, destination)
    for seq, (size, flags) in enumerate([*product((0, 1, 2, 32_768), (ACK, PSH | ACK, SYN))] * 2):
        fresh = tcpip.header_builder(source, destination)
        assert builder(size, seq, 9, flags) == fresh(size, seq, 9, flags)
        assert parse_ip_packet(0, builder(size, seq, 9, flags) + bytes(size), "").seq == seq


def test_sequence_numbers_wrap() -> None:
    conn = next(conn for conn in range(1, 1 << 20) if told_first(conn).seq > (1 << 32) - (1 << 20))
    segments = synthesize(TcpSynthesizer(conn, PEER, LOCAL), opened(), *(received(bytes(300_000)) for _ in range(4)))
    sizes = [(each.seq, len(each.data)) for each in segments if each.data]
    assert sizes != sorted(sizes)
    assert all((before + size) & MASK == after for (before, size), (after, _) in pairwise(sizes))


def test_a_socket_connected_to_itself_has_two_ends_all_the_same() -> None:
    first = story(opened(), peer=LOCAL)[0]
    assert first.comment == f"peer: {LOCAL}"
    assert first.source == ("2001:db8:0:1::1", 49153)


def told_first(conn: int) -> Segment:
    return synthesize(TcpSynthesizer(conn, PEER, LOCAL), opened())[0]


def test_a_lost_beginning_is_said_and_has_no_handshake() -> None:
    segments = story(Gap(0, 1, 10, 0, 0.0, "given up"), received(b"x"), closed("peer_closed", 11, 0))
    assert said(segments)[:3] == ["peer ACK", "local ACK", "peer PSH ACK 1"]
    assert segments[0].comment == (
        "the beginning of this connection is not recorded\n"
        "before this, 10 bytes from the peer are not in the recording: given up"
    )
