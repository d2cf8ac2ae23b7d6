"""TCP packets synthesized from the events of one connection.

A recording has bytes, times and the reason of closing; segments and acknowledgements are made up around them, so that
the result reads as a connection without loss:

1. ``opened`` is the handshake, from the side that connected. Where the beginning is lost there is none.
2. Bytes go out in segments of at most SEGMENT_BYTES and are acknowledged at once, so no window is ever full.
3. The FINs come in their recorded order: a peer's at ``half_closed``. There is no event for our own half-close;
   ours is at ``closed``, as is the peer's where we closed first. A reset is RST, from the side it came from, and so is
   the fault ``reset``. An idle or write timeout closes with FIN, too: the kernel still delivers what it took.
4. Bytes that are missing leave a hole in the sequence numbers: an ACK from beyond it, with a comment. A hole is
   crossed in steps of 1 GiB, or a reader of 32-bit sequence numbers would take it for a step back (RFC 9293, 3.4).
   MOST_STEPS are enough: of a larger hole, whole rounds of the sequence numbers are left out.
5. Times within a conversation never go backwards, whatever the wall clock did.
"""

from typing import Final, NamedTuple

from portside.events import Closed, CloseReason, Event, Fault, Gap, HalfClosed, Opened, Payload, Received
from portside.wire.escaping import escape
from portside.wire.tcpip import (
    ACK,
    FIN,
    PSH,
    RST,
    SEGMENT_BYTES,
    SYN,
    Endpoint,
    header_builder,
    parse_endpoint,
    placeholder,
)

ACKNOWLEDGED_BYTES: Final = 2 * SEGMENT_BYTES  # after so many, at the latest (RFC 9293, 3.8.6.3)
STEP_BYTES: Final = 1 << 30
MOST_STEPS: Final = 64
_ROUND: Final = 1 << 32  # of sequence numbers
_SPREAD: Final = 0x9E3779B1  # an odd number near 2**32 / golden ratio: neighbours get distant sequence numbers
_WHY: Final[dict[CloseReason, str]] = {
    "peer_vanished": "closed by Portside: the peer answered no more",
    "idle_timeout": "closed by Portside: nothing moved for the idle timeout",
    "write_timeout": "closed by Portside: the peer did not take what was sent to it",
    "shutdown": "closed by Portside: the server ended",
    "fault": "closed by Portside: a fault that was asked for",
    "killed": "reset by the kernel, which was asked to destroy the socket",
}


class Packet(NamedTuple):
    """A synthesized packet: ``at`` is ns since 1970, ``headers`` are those of IP and TCP."""

    at: int
    headers: bytes
    payload: bytes | memoryview
    comment: str = ""


class _End:
    """One end of the connection: ``next`` is the sequence number of its next byte, counted on beyond 32 bits."""

    __slots__ = ("fin_sent", "header", "next", "start")

    def __init__(self, initial: int, source: Endpoint, destination: Endpoint) -> None:
        self.header = header_builder(source, destination)
        self.start = self.next = (initial * _SPREAD & 0xFFFFFFFF) + 1  # behind the SYN
        self.fin_sent = False  # it sent FIN

    @property
    def passed(self) -> int:
        """Bytes of the end's stream up to now, missing ones included."""
        return self.next - self.start - self.fin_sent


class TcpSynthesizer:
    """The packets of connection ``conn`` between ``peer`` and ``local`` (as in events; empty where not recorded).

    ``left`` is the number of sent bytes that had left the kernel when the connection ended, None if that is not known;
    the rest is omitted. ``outbound`` is True for a connection that was opened from this side.
    """

    __slots__ = ("_at", "_begun", "_comment", "_is_reset", "_left", "_local", "_out", "_outbound", "_peer")

    def __init__(self, conn: int, peer: str, local: str, *, left: int | None = None, outbound: bool = False) -> None:
        there, here = parse_endpoint(peer), parse_endpoint(local)
        if there == here:  # a socket connected to itself: the directions would look alike
            there = None
        ends = there or placeholder(conn, peer=True), here or placeholder(conn, peer=False)
        self._peer = _End(2 * conn, *ends)
        self._local = _End(2 * conn + 1, *reversed(ends))
        self._outbound = outbound
        self._left = left
        self._comment = _unencodable_addresses(peer, there, local, here)
        self._begun = False
        self._is_reset = False  # by a fault
        self._at = 0
        self._out: list[Packet] = []

    def packets(self, event: Event) -> list[Packet]:
        """The packets for the next event. ``closed`` must be the last one."""
        out: list[Packet] = []
        self._out = out
        self._at = max(self._at, event.at)
        if not self._begun:
            self._begin(event)
        if isinstance(event, Payload):
            if type(event) is Received:
                self._data(self._peer, self._local, event.data)
            else:
                self._data(self._local, self._peer, event.data[: self._bytes_that_left(len(event.data))])
        elif isinstance(event, Fault):
            self._is_reset = self._is_reset or event.fault == "reset"
        elif isinstance(event, HalfClosed):
            self._send_fin(self._peer, self._local)
        elif isinstance(event, Gap):
            self._lose(self._peer, self._local, event.received, event.why)
            self._lose(self._local, self._peer, self._bytes_that_left(event.sent), event.why)
        elif isinstance(event, Closed):
            self._lose(self._peer, self._local, event.received - self._peer.passed)
            self._lose(self._local, self._peer, event.sent - self._local.passed)
            self._end(event.reason, event.error)
        return out

    def _bytes_that_left(self, size: int) -> int:
        """The number of the next ``size`` bytes sent that have left the kernel."""
        return size if self._left is None else max(0, min(size, self._left - self._local.passed))

    def _begin(self, event: Event) -> None:
        self._begun = True
        if not isinstance(event, Opened):
            self._add_comment("the beginning of this connection is not recorded")
            return
        client, server = (self._local, self._peer) if self._outbound else (self._peer, self._local)
        client.next -= 1
        server.next -= 1
        self._emit(client, None, SYN)
        client.next += 1
        self._emit(server, client, SYN | ACK)
        server.next += 1
        self._emit(client, server, ACK)

    def _data(self, source: _End, sink: _End, data: bytes) -> None:
        size = len(data)
        if size <= SEGMENT_BYTES:
            if size:
                self._emit(source, sink, PSH | ACK, data)
                source.next += size
                self._emit(sink, source, ACK)
            return
        view = memoryview(data)
        for at in range(0, size, SEGMENT_BYTES):
            end = min(at + SEGMENT_BYTES, size)
            self._emit(source, sink, PSH | ACK if end == size else ACK, view[at:end])
            source.next += end - at
            if end == size or not end % ACKNOWLEDGED_BYTES:
                self._emit(sink, source, ACK)

    def _lose(self, source: _End, sink: _End, size: int, why: str = "damaged or given up") -> None:
        if size <= 0:
            return
        whose = "from the peer" if source is self._peer else "to the peer"
        self._add_comment(f"before this, {size} bytes {whose} are not in the recording: {why}")
        rounds = max(0, size - MOST_STEPS * STEP_BYTES) // _ROUND
        source.next += rounds * _ROUND
        size -= rounds * _ROUND
        while size > 0:
            source.next += min(size, STEP_BYTES)
            size -= STEP_BYTES
            self._emit(source, sink, ACK)
            self._emit(sink, source, ACK)

    def _end(self, reason: CloseReason, error: str | None) -> None:
        if reason == "peer_reset":
            self._emit(self._peer, self._local, RST | ACK)
        elif reason in ("local_reset", "killed") or (reason == "fault" and self._is_reset):
            self._add_comment(_WHY.get(reason, ""))
            self._emit(self._local, self._peer, RST | ACK)
        elif reason == "error":
            self._add_comment(
                f"the connection failed, this packet only stands for it: {error or 'no reason is recorded'}"
            )
            self._emit(self._local, self._peer, RST | ACK)
        elif reason == "peer_closed":
            self._send_fin(self._peer, self._local)
            self._send_fin(self._local, self._peer)
        else:
            self._add_comment(_WHY.get(reason, ""))
            self._send_fin(self._local, self._peer)
            self._send_fin(self._peer, self._local)

    def _send_fin(self, source: _End, sink: _End) -> None:
        if source.fin_sent:
            return
        self._emit(source, sink, FIN | ACK)
        source.next += 1
        source.fin_sent = True
        self._emit(sink, source, ACK)

    def _emit(self, source: _End, sink: _End | None, flags: int, payload: bytes | memoryview = b"") -> None:
        headers = source.header(len(payload), source.next, 0 if sink is None else sink.next, flags)
        self._out.append(Packet(self._at, headers, payload, self._comment))
        self._comment = ""

    def _add_comment(self, comment: str) -> None:
        """Add a line to the comment of the next packet."""
        self._comment = "\n".join(filter(None, (self._comment, comment)))


def _unencodable_addresses(peer: str, there: Endpoint | None, local: str, here: Endpoint | None) -> str:
    """The addresses that packets cannot carry, as a comment: unix sockets, unknown ends and IPv6 scopes."""
    ends = ("peer", peer, there), ("local", local, here)
    return "\n".join(
        f"{end}: {escape(name.encode('utf-8', 'surrogateescape')) or 'not recorded'}"
        for end, name, address in ends
        if not address or "%" in name
    )
