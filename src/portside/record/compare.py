"""Two recorded connections side by side: where their bytes differ, and how they ended."""

from collections.abc import Iterator
from typing import NamedTuple

from portside.events import Gap
from portside.record.connection_record import ConnectionRecord
from portside.record.recording import Direction, Recording, missing_bytes
from portside.wire.compare import LEFT, RIGHT, Comparison, Difference


class StreamComparison(NamedTuple):
    """One direction: the bytes on either side, the first difference, and the number of missing bytes before it."""

    sizes: tuple[int, int]
    difference: Difference | None
    unknown: int

    @property
    def same(self) -> bool:
        """Whether all bytes are known to be the same."""
        return self.difference is None and not self.unknown


class ConnectionComparison(NamedTuple):
    """Two connections: both directions, the reasons of closing (None where it is not recorded), and who closed them.

    ``by`` is None where that was the peer or this side, as the reason says.
    """

    received: StreamComparison
    sent: StreamComparison
    reasons: tuple[str | None, str | None]
    by: tuple[str | None, str | None]

    @property
    def same(self) -> bool:
        """Whether both connections are known to be the same in everything but the times."""
        return self.received.same and self.sent.same and self.same_end

    @property
    def same_end(self) -> bool:
        """Whether both ended for the same reason, by the same side."""
        return self.reasons[0] == self.reasons[1] and self.by[0] == self.by[1]


def compare(left: tuple[Recording, int], right: tuple[Recording, int]) -> ConnectionComparison:
    """Compare two connections, each in a recording, reading them up to the first difference.

    Raises PortsideError where there is no such connection.
    """
    records = left[0].connection(left[1]), right[0].connection(right[1])
    received = _compare(left, right, "in", records)
    sent = _compare(left, right, "out", records)
    one, other = records
    return ConnectionComparison(received, sent, (one.reason, other.reason), (one.by, other.by))


def _compare(
    left: tuple[Recording, int],
    right: tuple[Recording, int],
    direction: Direction,
    records: tuple[ConnectionRecord, ConnectionRecord],
) -> StreamComparison:
    comparison = Comparison()
    sides = {LEFT: _pieces(*left, direction), RIGHT: _pieces(*right, direction)}
    while wanted := [side for side in sides if comparison.wants(side)]:
        for side in wanted:
            piece = next(sides[side], None)
            if piece is None:
                comparison.end(side)
            else:
                comparison.feed(side, piece)
    one, other = records
    sizes = (one.received, other.received) if direction == "in" else (one.sent, other.sent)
    return StreamComparison(sizes, comparison.difference, comparison.unknown)


def _pieces(recording: Recording, conn: int, direction: Direction) -> Iterator[bytes | int]:
    for piece in recording.data(conn, direction):
        if isinstance(piece, Gap):
            yield missing_bytes(piece, direction)
        else:
            yield piece
