"""What is kept of connections from the first console on: those that have closed, and when bytes last moved."""

from collections import deque

import msgspec

from portside.events import ClosedBy, CloseReason
from portside.server.connection import Connection, ConnectionInfo
from portside.server.server import Server

MOST_CLOSED = 10_000  # some 8 MB with all that belongs to them


class ClosedConnection(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A connection that has closed, with the attributes that lists use of one that is open.

    Times are in seconds of the loop's clock. ``sent`` is what left this process.
    """

    number: int
    info: ConnectionInfo
    received: int
    sent: int
    opened_at: float
    active_at: float
    closed_at: float
    reason: CloseReason
    error: str | None
    by: ClosedBy | None
    fault_count: int

    @property
    def fd(self) -> int:
        """No descriptor."""
        return -1


class ClosedConnections:
    """The newest closed connections, in the order in which they closed."""

    def __init__(self, most: int = MOST_CLOSED) -> None:
        self._closed: deque[ClosedConnection] = deque(maxlen=most)

    @classmethod
    def of(cls, server: Server) -> "ClosedConnections":
        """Those of a server, which close from now on; its connections note from now on when bytes last moved."""
        kept = cls()
        server.tracks_activity = True
        on_closed = server.on_closed

        def closed(connection: Connection, reason: CloseReason) -> None:
            kept.add(connection, reason, server.now())
            on_closed(connection, reason)

        server.on_closed = closed
        return kept

    def add(self, connection: Connection, reason: CloseReason, now: float) -> None:
        """Keep a connection that has just closed."""
        cause = connection.close_cause
        self._closed.append(
            ClosedConnection(
                number=connection.number,
                info=connection.info,
                received=connection.received,
                sent=connection.sent - connection.lost,
                opened_at=connection.opened_at,
                active_at=connection.active_at,
                closed_at=now,
                reason=reason,
                error=cause.error if cause is not None else None,
                by=cause.by if cause is not None else None,
                fault_count=connection.fault_count,
            )
        )

    def all(self) -> list[ClosedConnection]:
        """All that are kept."""
        return list(self._closed)

    def find(self, number: int) -> ClosedConnection | None:
        """The connection of a number; None where it is not kept."""
        return next((each for each in reversed(self._closed) if each.number == number), None)
