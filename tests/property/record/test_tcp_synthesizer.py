"""Any events of a connection make packets that a careful reader of TCP finds nothing wrong with."""

from hypothesis import given
from hypothesis import strategies as st
from packet_parser import ACK, FIN, RST, SYN, Segment, synthesize

from portside.events import Closed, CloseReason, Event, Gap, HalfClosed, Opened, Received, Sent
from portside.wire.tcp_synthesizer import STEP_BYTES, TcpSynthesizer

NAMES = st.sampled_from(["127.0.0.1:5", "[::1]:7", "[fe80::1%eth0]:8", "10.0.0.1:6", "unix:/x", "unix:pid=1", ""])
TIMES = st.integers(0, 1 << 62)
PAYLOADS = (b"", b"a", b"\xff\0\n", b"hello", bytes(32_768), bytes(32_769), bytes(65_536), bytes(200_001))
SIZES = st.one_of(st.integers(0, 9), st.integers(0, 1 << 34))
REASONS: tuple[CloseReason, ...] = (
    *("peer_closed", "peer_reset", "local_closed", "local_reset", "killed", "idle_timeout"),
    *("write_timeout", "fault", "shutdown", "error"),
)


# What happens, when (ns), and to how many bytes of one direction and of the other.
Happening = tuple[str, int, int, int]
happenings = st.lists(st.tuples(st.sampled_from("rsrsrsgh"), TIMES, SIZES, SIZES), max_size=12)


def life(
    opened: bool, happened: list[Happening], reason: CloseReason | None, at: int, more: tuple[int, int]
) -> list[Event]:
    """The events of one connection, its beginning and its end there or not; what a peer says after its FIN is none."""
    made: list[Event] = [Opened(at, 1, "", "")] if opened else []
    over, got = False, 0
    for kind, when, size, other in happened:
        if kind == "r" and not over:
            made.append(Received(when, 1, "", PAYLOADS[size % len(PAYLOADS)]))
            got += len(PAYLOADS[size % len(PAYLOADS)])
        elif kind == "s":
            made.append(Sent(when, 1, "", PAYLOADS[size % len(PAYLOADS)]))
        elif kind == "g":
            made.append(Gap(when, 1, 0 if over else size, other, 0.0, "disk full"))
            got += 0 if over else size
        elif kind == "h" and not over:
            made.append(HalfClosed(when, 1, ""))
            over = True
    if reason is not None:
        made.append(Closed(at, 1, "", reason, got + (0 if over else more[0]), more[1], 0.0))
    return made


class Reader:
    """What a careful receiver keeps: the next sequence number of each end, and what both have acknowledged."""

    def __init__(self) -> None:
        self.next: dict[tuple[str, int], int] = {}
        self.acknowledged: dict[tuple[str, int], int] = {}
        self.data: dict[tuple[str, int], bytes] = {}
        self.ended: set[tuple[str, int]] = set()
        self.window = 65_535 << 7  # unless a handshake says otherwise: what was agreed before is not known
        self.at = 0

    def take(self, segment: Segment) -> None:
        source, destination, length = segment.source, segment.destination, len(segment.data)
        assert segment.at >= self.at
        self.at = segment.at
        expected = self.next.setdefault(source, segment.seq)
        jump = (segment.seq - expected) & 0xFFFFFFFF
        if jump:
            assert 0 < jump <= STEP_BYTES
            assert (length, segment.flags) == (0, ACK)
        if segment.flags & SYN:
            assert not jump
            self.window = segment.window << (segment.scale or 0)
            length = 1
        elif segment.flags & FIN:
            assert source not in self.ended
            self.ended.add(source)
            length = 1
        elif length:
            assert source not in self.ended
        self.next[source] = (segment.seq + length) & 0xFFFFFFFF
        if segment.flags & ACK:
            assert segment.ack == self.next.setdefault(destination, segment.ack)
            self.acknowledged[destination] = segment.ack
        in_flight = (self.next[source] - self.acknowledged.get(source, self.next[source])) & 0xFFFFFFFF
        assert in_flight < self.window or not segment.data
        self.data[source] = self.data.get(source, b"") + segment.data
        if segment.flags & RST:
            self.ended |= {source, destination}


@given(
    *(st.booleans(), happenings, st.none() | st.sampled_from(REASONS), TIMES, st.tuples(SIZES, SIZES)),
    *(NAMES, NAMES, st.integers(1, 1 << 40), st.booleans(), st.none() | SIZES),
)
def test_packets_are_consistent_and_hold_the_bytes(
    opened: bool,
    happened: list[Happening],
    reason: CloseReason | None,
    at: int,
    more: tuple[int, int],
    peer: str,
    local: str,
    conn: int,
    outbound: bool,
    left: int | None,
) -> None:
    events = life(opened, happened, reason, at, more)
    segments = synthesize(TcpSynthesizer(conn, peer, local, left=left, outbound=outbound), *events)
    reader = Reader()
    for segment in segments:
        reader.take(segment)
    if not segments:
        return
    opener = segments[0]
    ends = {segment.source for segment in segments} | {segment.destination for segment in segments}
    assert len(ends) == 2
    starts = isinstance(events[0], Opened)
    assert bool(opener.flags & SYN) == starts
    streams = sorted(reader.data.get(end, b"") for end in ends)
    room, gave, got = left, b"", b""
    for event in events:
        if isinstance(event, Received):
            got += event.data
        elif isinstance(event, Sent | Gap):
            size = len(event.data) if isinstance(event, Sent) else event.sent
            goes = size if room is None else min(size, room)
            room = None if room is None else room - goes
            gave += event.data[:goes] if isinstance(event, Sent) else b""
    assert streams == sorted([got, gave])
