"""Finding connections of a recording: by peer, time, reason and payload."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from portside.errors import InvalidValue
from portside.events import Gap, Payload, Received, Sent
from portside.networks import contains, parse_network
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
    """A predicate on peers for an address, ``HOST:PORT``, a unix path or a network. Raises InvalidValue."""
    try:
        network = parse_network(text)
    except ValueError:
        if ":" not in text and not text.startswith("unix:"):
            raise InvalidValue(f"{text!r} is no peer: write an address, HOST:PORT or a network (10.0.0.0/8)") from None
        return text.__eq__

    def matches(peer: str) -> bool:
        host = peer.rpartition(":")[0].strip("[]")
        try:
            return contains(host, (network,))
        except ValueError:
            return False

    return matches


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
