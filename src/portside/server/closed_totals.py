"""The totals of the connections that have closed since the start of the run."""

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portside.events import CloseReason
    from portside.server.connection import Connection


class ClosedTotals:
    """How many connections have closed for each reason, and the bytes that they received and sent."""

    __slots__ = ("by_reason", "received", "sent")

    def __init__(self) -> None:
        self.by_reason: Counter[CloseReason] = Counter()
        self.received = 0
        self.sent = 0

    def add(self, connection: "Connection", reason: "CloseReason") -> None:
        """Count a connection that has closed."""
        self.by_reason[reason] += 1
        self.received += connection.received
        self.sent += connection.sent - connection.lost
