"""How many bytes of each open connection passed, and what of them the recording lost while it could not be written.

Memory is bounded by the connections that are open: of those that open and close within a gap, only sums are kept.
"""

from portside.events import Closed, Event, Gap, HalfClosed, Opened
from portside.record.block_builder import BlockBuilder


class _Account:
    """One open connection: bytes up to now, and the bytes and events lost since the gap began."""

    __slots__ = ("closed", "half_closed", "lost_received", "lost_sent", "opened", "received", "sent", "touched")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.lost_received = 0
        self.lost_sent = 0
        self.touched = False  # something of it is lost
        self.opened: Event | None = None  # lost, to be kept later
        self.half_closed: Event | None = None
        self.closed: Event | None = None


class LossTracker:
    """The accounts of one run."""

    def __init__(self) -> None:
        self._accounts: dict[int, _Account] = {}
        self._vanished = 0  # connections that opened and closed within the gap
        self._vanished_received = 0
        self._vanished_sent = 0

    def before(self, conn: int) -> tuple[int, int]:
        """Bytes received and sent on a connection up to now."""
        account = self._accounts.get(conn)
        return (account.received, account.sent) if account is not None else (0, 0)

    def kept(self, block: BlockBuilder) -> None:
        """A block was written."""
        account = self._accounts.get(block.conn)
        if account is None:
            account = self._accounts[block.conn] = _Account()
        account.received += block.received
        account.sent += block.sent
        if any(isinstance(event, Closed) for event in block.events):
            del self._accounts[block.conn]

    def lost(self, block: BlockBuilder) -> None:
        """A block was not written and will not be."""
        account = self._accounts.get(block.conn)
        if account is None:
            account = self._accounts[block.conn] = _Account()
        account.touched = True
        account.received += block.received
        account.sent += block.sent
        account.lost_received += block.received
        account.lost_sent += block.sent
        for event in block.events:
            if isinstance(event, Opened):
                account.opened = event
            elif isinstance(event, HalfClosed):
                account.half_closed = event
            elif isinstance(event, Closed):
                account.closed = event
        if account.opened is not None and account.closed is not None:
            self._vanished += 1
            self._vanished_received += account.received
            self._vanished_sent += account.sent
            del self._accounts[block.conn]

    def gap_blocks(self, at: int, duration: float, why: str) -> list[BlockBuilder]:
        """What is to be written first when writing is possible again: for each connection what it lost.

        The gap itself is told of connection 0, with what vanished in it; ``at`` is its end.
        """
        block = BlockBuilder(0)
        lost = self._vanished_received, self._vanished_sent
        block.add_event(Gap(at, 0, *lost, duration, why, connections=self._vanished))
        blocks = [block]
        for conn, account in self._accounts.items():
            if not account.touched or not conn:
                continue
            block = BlockBuilder(conn)
            if account.opened is not None:
                block.add_event(account.opened)
            end = account.closed.at if account.closed is not None else at
            block.add_event(Gap(end, conn, account.lost_received, account.lost_sent, duration, why))
            for event in (account.half_closed, account.closed):
                if event is not None:
                    block.add_event(event)
            blocks.append(block)
        return blocks

    def gap_over(self) -> None:
        """The gap has been written down."""
        self._vanished = self._vanished_received = self._vanished_sent = 0
        for conn, account in list(self._accounts.items()):
            if account.closed is not None:
                del self._accounts[conn]
            account.touched = False
            account.opened = account.half_closed = account.closed = None
            account.lost_received = account.lost_sent = 0
