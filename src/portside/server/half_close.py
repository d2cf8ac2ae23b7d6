"""``--half-close-timeout``: how long one direction of a connection goes on after the other has ended."""

from portside.server.connection import Connection
from portside.server.timer_wheel import DeadlineScheduler


class HalfCloseTimeout:
    """Closes connections of which one direction has ended ``timeout`` seconds ago, and the other has not."""

    def __init__(self, scheduler: DeadlineScheduler, timeout: float) -> None:
        self._scheduler = scheduler
        self._timeout = timeout

    def limit(self, connection: Connection, now: float) -> None:
        """Limit what is left of a connection of which one direction has just ended."""
        deadline = _Deadline(connection, now + self._timeout)
        self._scheduler.schedule(deadline, deadline.at)


class _Deadline:
    """The time at which a half-closed connection is closed in order: what is buffered still goes out."""

    __slots__ = ("_connection", "at")

    def __init__(self, connection: Connection, at: float) -> None:
        self._connection = connection
        self.at = at

    def check(self, now: float) -> None:
        if now >= self.at:
            self._connection.close_gracefully()
