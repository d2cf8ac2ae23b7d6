"""Finding connections of a recording: by peer, time, reason and payload."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from portside.addresses import Address, parse_address
from portside.errors import InvalidValue
from portside.events import Gap, Payload, Received, Sent
from portside.networks import Network, contains, normal_ip, parse_network
from portside.record.connection_record import ConnectionRecord
from portside.record.recording import Direction, Recording
from portside.record.recovery import Progress, no_progress

EXCERPT_BYTES = 40


class ConnectionQuery(NamedTuple):
    """The conditions of ``rec list``; None matches all. Times are ns since 1970; ``reason`` may be ``open``."""

    peer: Callable[[str], bool] | None = None
    since: int | None = None
    until: int | None = None
    reason: str | None = None
    contains: bytes | None = None


def peer_matcher(text: str) -> Callable[[str], bool]:
    """A predicate on peers for an address, a network, ``HOST:PORT``, ``:PORT`` or a unix path. Raises InvalidValue.

    A host name matches peers recorded by that name, those of connections through a proxy.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        network = parse_network(bare)
    except ValueError:
        address = _parse_peer(text)
        if address.path is not None:
            return str(address).__eq__  # a path that is no UTF-8 is recorded as it is shown
        return partial(_is_peer, None if address.host is None else normal_ip(address.host), address.ports)
    return partial(_is_in_network, network)


def _parse_peer(text: str) -> Address:
    wrong = InvalidValue(f"{text!r} is no peer: write an address, HOST:PORT, :PORT or a network (10.0.0.0/8)")
    if ":" not in text:
        raise wrong
    try:
        address = parse_address(text)
    except InvalidValue:
        raise wrong from None
    return address


def _is_peer(host: str | None, ports: range, peer: str) -> bool:
    if peer.startswith("unix:"):
        return False
    name, _, port = peer.rpartition(":")
    if not port.isdecimal() or int(port) not in ports:
        return False
    return host is None or normal_ip(name.strip("[]")).casefold() == host.casefold()


def _is_in_network(network: Network, peer: str) -> bool:
    try:
        return contains(peer.rpartition(":")[0].strip("[]"), (network,))
    except ValueError:
        return False


def search(
    recording: Recording, query: ConnectionQuery, progress: Progress = no_progress
) -> Iterator[ConnectionRecord]:
    """The connections that match a query, in the order of their numbers.

    ``progress`` is called with bytes searched and in all, where ``contains`` makes it read the payload.
    """
    chosen = (each for each in recording.connections() if _matches(each, query))
    if query.contains is None:
        yield from chosen
        return
    candidates = list(chosen)
    whole = sum(each.received + each.sent for each in candidates)
    done = 0

    def searched(size: int) -> None:
        progress(done + size, whole)

    for each in candidates:
        if _contains(recording, each.conn, query.contains, searched):
            yield each
        done += each.received + each.sent
        progress(done, whole)


def _matches(each: ConnectionRecord, query: ConnectionQuery) -> bool:
    if query.peer is not None and not (each.peer is not None and query.peer(each.peer)):
        return False
    if query.since is not None and not each.open and (each.closed or each.opened or 0) < query.since:
        return False
    if query.until is not None and each.opened is not None and each.opened > query.until:
        return False
    if query.reason == "open":
        return each.open
    return query.reason is None or query.reason == each.reason


class Match(NamedTuple):
    """A place where the bytes searched for stand: ``offset`` counts from 0 in one direction of a connection.

    ``excerpt`` has what stands around it in the same read, at most ``EXCERPT_BYTES`` on either side.
    """

    conn: int
    peer: str
    direction: Direction
    offset: int
    excerpt: bytes


def find_all(recording: Recording, conn: int | None, needle: bytes) -> Iterator[Match]:
    """Every place of some bytes in one connection, or in all in the order of their numbers; matches may overlap.

    Bytes that are missing in the recording count in the offsets.
    """
    for each in recording.connections() if conn is None else (recording.connection(conn),):
        streams = {Received: _Stream("in", needle), Sent: _Stream("out", needle)}
        for event in recording.events(each.conn):
            if isinstance(event, Gap):
                streams[Received].skip(event.received)
                streams[Sent].skip(event.sent)
            elif isinstance(event, Payload):
                stream = streams[type(event)]
                for offset, excerpt in stream.find(event.data):
                    yield Match(each.conn, each.peer or "", stream.direction, offset, excerpt)


class _Stream:
    """One direction of a connection, searched read by read."""

    def __init__(self, direction: Direction, needle: bytes) -> None:
        self.direction = direction
        self._needle = needle
        self._tail = b""  # of what was read before, too short for a match of its own
        self._offset = 0  # of the first byte of the tail

    def skip(self, size: int) -> None:
        """Pass over bytes that are missing: what stands around them was never adjacent."""
        if size:
            self._offset += len(self._tail) + size
            self._tail = b""

    def find(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The offsets of the matches that end in these next bytes, each with its excerpt."""
        data = self._tail + data
        at = data.find(self._needle)
        while at >= 0:
            end = at + len(self._needle)
            yield self._offset + at, data[max(0, at - EXCERPT_BYTES) : end + EXCERPT_BYTES]
            at = data.find(self._needle, at + 1)
        kept = min(len(data), len(self._needle) - 1)
        self._offset += len(data) - kept
        self._tail = data[len(data) - kept :]


def _contains(recording: Recording, conn: int, needle: bytes, progress: Callable[[int], None]) -> bool:
    """Whether these bytes passed in one direction of a connection, in one piece or in several."""
    keep = len(needle) - 1
    tails: dict[type, bytes] = {Received: b"", Sent: b""}
    searched = 0
    for event in recording.events(conn):
        if isinstance(event, Gap):  # what stands around it was never adjacent
            tails = {Received: b"" if event.received else tails[Received], Sent: b"" if event.sent else tails[Sent]}
        if not isinstance(event, Payload):
            continue
        kind, data = type(event), event.data
        if needle in data or (keep and needle in tails[kind] + data[:keep]):
            return True
        if keep:
            tails[kind] = (tails[kind] + data)[-keep:] if len(data) < keep else data[-keep:]
        searched += len(data)
        progress(searched)
    return False
