"""Finding connections of a recording: by peer, time, reason and payload."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from portside.addresses import Address, parse_address
from portside.errors import InvalidValue
from portside.events import Gap, Payload, Received, Sent
from portside.networks import Network, contains, normal_ip, parse_network
from portside.record.connection_record import ConnectionRecord
from portside.record.recording import Recording
from portside.record.recovery import Progress, no_progress


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
            return text.__eq__
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
