"""Bytes that passed on each open connection, and how many of them were lost while the recording could not be written.

Memory is bounded by the number of open connections: connections that open and close within a gap are only counted.
"""

from portside.events import Closed, Event, Gap, HalfClosed, Opened
from portside.record.block_builder import BlockBuilder


class _Sums:
    """One open connection: bytes from its beginning, and the bytes and events lost since the gap began.

    The three events are None unless they were lost; lost ones are written once the gap is over.
    """

    __slots__ = ("closed", "half_closed", "has_losses", "lost_received", "lost_sent", "opened", "received", "sent")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.lost_received = 0
        self.lost_sent = 0
        self.has_losses = False  # at least one block is lost, if only with an event in it
        self.opened: Event | None = None
        self.half_closed: Event | None = None
        self.closed: Event | None = None


class LossTracker:
    """Sums and losses of the open connections of one run, by the recording's connection numbers."""

    def __init__(self) -> None:
        self._sums: dict[int, _Sums] = {}
        self._vanished = 0  # connections that opened and closed within the gap, and their bytes
        self._vanished_received = 0
        self._vanished_sent = 0

    def before(self, conn: int) -> tuple[int, int]:
        """Bytes received and sent on a connection before the next block, lost ones included."""
        sums = self._sums.get(conn)
        return (sums.received, sums.sent) if sums is not None else (0, 0)

    def count_written(self, block: BlockBuilder) -> None:
        """Add a block that is in a segment."""
        sums = self._sums.get(block.conn)
        if sums is None:
            sums = self._sums[block.conn] = _Sums()
        sums.received += block.received
        sums.sent += block.sent
        if any(isinstance(event, Closed) for event in block.events):
            del self._sums[block.conn]

    def count_lost(self, block: BlockBuilder) -> None:
        """Add a block that could not be written and never will be."""
        sums = self._sums.get(block.conn)
        if sums is None:
            sums = self._sums[block.conn] = _Sums()
        sums.has_losses = True
        sums.received += block.received
        sums.sent += block.sent
        sums.lost_received += block.received
        sums.lost_sent += block.sent
        for event in block.events:
            if isinstance(event, Opened):
                sums.opened = event
            elif isinstance(event, HalfClosed):
                sums.half_closed = event
            elif isinstance(event, Closed):
                sums.closed = event
        if sums.opened is not None and sums.closed is not None:
            self._vanished += 1
            self._vanished_received += sums.received
            self._vanished_sent += sums.sent
            del self._sums[block.conn]

    def gap_blocks(self, at: int, duration: float, why: str) -> list[BlockBuilder]:
        """The blocks to be written first after a gap: the lost events of each connection and a Gap with its bytes.

        ``at`` is the end of the gap (ns since 1970), ``duration`` its length in seconds. The first block is of
        connection 0, with a Gap for the connections of which nothing else is left.
        """
        block = BlockBuilder(0)
        lost = self._vanished_received, self._vanished_sent
        block.add_event(Gap(at, 0, *lost, duration, why, connections=self._vanished))
        blocks = [block]
        for conn, sums in self._sums.items():
            if not sums.has_losses or not conn:
                continue
            block = BlockBuilder(conn)
            if sums.opened is not None:
                block.add_event(sums.opened)
            end = sums.closed.at if sums.closed is not None else at
            block.add_event(Gap(end, conn, sums.lost_received, sums.lost_sent, duration, why))
            for event in (sums.half_closed, sums.closed):
                if event is not None:
                    block.add_event(event)
            blocks.append(block)
        return blocks

    def clear(self) -> None:
        """Forget the losses: the blocks that mark the gap are written."""
        self._vanished = self._vanished_received = self._vanished_sent = 0
        for conn, sums in list(self._sums.items()):
            if sums.closed is not None:
                del self._sums[conn]
            sums.has_losses = False
            sums.opened = sums.half_closed = sums.closed = None
            sums.lost_received = sums.lost_sent = 0
