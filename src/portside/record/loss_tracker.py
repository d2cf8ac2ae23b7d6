"""Bytes that passed on each open connection, and how many of them were lost while the recording could not be written.

Memory is bounded by the number of open connections: connections that open and close within a gap are only counted.
"""

from typing import TYPE_CHECKING

from portside.events import Closed, Event, Gap, HalfClosed, Opened
from portside.record.block_builder import BlockBuilder

if TYPE_CHECKING:
    from portside.record.clock import ClockStep

_TimedEvent = tuple[int, Event]  # with its steady time (ns)


class _Sums:
    """One open connection: bytes from its beginning, and the bytes and events lost since the gap began.

    The three events (with their steady times) are None unless they were lost; lost ones are written once the gap is
    over.
    """

    __slots__ = ("closed", "half_closed", "has_losses", "lost_received", "lost_sent", "opened", "received", "sent")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.lost_received = 0
        self.lost_sent = 0
        self.has_losses = False  # at least one block is lost, if only with an event in it
        self.opened: _TimedEvent | None = None
        self.half_closed: _TimedEvent | None = None
        self.closed: _TimedEvent | None = None


class LossTracker:
    """Sums and losses of the open connections of one run, by the recording's connection numbers."""

    def __init__(self) -> None:
        self._sums: dict[int, _Sums] = {}
        self._vanished = 0  # connections that opened and closed within the gap, and their bytes
        self._vanished_received = 0
        self._vanished_sent = 0
        self._steps: list[ClockStep] = []  # of the wall clock, lost with the events

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
        if any(isinstance(event, Closed) for _, event in block.events):
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
        self._steps += block.steps
        for timed in block.events:
            match timed:
                case (_, Opened()):
                    sums.opened = timed
                case (_, HalfClosed()):
                    sums.half_closed = timed
                case (_, Closed()):
                    sums.closed = timed
        if sums.opened is not None and sums.closed is not None:
            self._vanished += 1
            self._vanished_received += sums.received
            self._vanished_sent += sums.sent
            del self._sums[block.conn]

    def gap_blocks(self, began: int, at: int, wall: int, why: str) -> list[BlockBuilder]:
        """The blocks to be written first after a gap: the lost events of each connection and a Gap with its bytes.

        The gap lasted from ``began`` to ``at`` (steady time, ns), which is ``wall`` on the wall clock; for a connection
        that closed meanwhile it ended there. The first block is of connection 0, with a Gap for the connections of
        which nothing else is left.
        """
        block = BlockBuilder(0)
        for step in self._steps:
            block.add_step(step)
        lost = self._vanished_received, self._vanished_sent
        block.add_event(Gap(wall, 0, *lost, _seconds(began, at), why, connections=self._vanished), at)
        blocks = [block]
        for conn, sums in self._sums.items():
            if not sums.has_losses or not conn:
                continue
            block = BlockBuilder(conn)
            if sums.opened is not None:
                block.add_event(sums.opened[1], sums.opened[0])
            end, end_wall = (at, wall) if sums.closed is None else (sums.closed[0], sums.closed[1].at)
            gap = Gap(end_wall, conn, sums.lost_received, sums.lost_sent, _seconds(began, end), why)
            block.add_event(gap, end)
            for timed in (sums.half_closed, sums.closed):
                if timed is not None:
                    block.add_event(timed[1], timed[0])
            blocks.append(block)
        return blocks

    def clear(self) -> None:
        """Forget the losses: the blocks that mark the gap are written."""
        self._vanished = self._vanished_received = self._vanished_sent = 0
        self._steps.clear()
        for conn, sums in list(self._sums.items()):
            if sums.closed is not None:
                del self._sums[conn]
            sums.has_losses = False
            sums.opened = sums.half_closed = sums.closed = None
            sums.lost_received = sums.lost_sent = 0


def _seconds(began: int, end: int) -> float:
    return max(0, end - began) / 1e9
