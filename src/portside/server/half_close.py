"""``--half-close-timeout``: how long one direction of a connection goes on after the other has ended."""

from portside.server.connection import Connection
from portside.server.leg import Hold
from portside.server.timer_wheel import DeadlineScheduler

_LOOK_AGAIN_S = 1.0  # at least, for a connection that an operator has paused


class HalfCloseTimeout:
    """Closes connections of which one direction has ended ``timeout`` seconds ago, and the other has not.

    While an operator keeps a connection from being read, its time does not pass: it begins anew.
    """

    def __init__(self, scheduler: DeadlineScheduler, timeout: float) -> None:
        self._scheduler = scheduler
        self._timeout = timeout

    def limit(self, connection: Connection, now: float) -> None:
        """Limit what is left of a connection of which one direction has just ended."""
        deadline = _Deadline(self, connection, now + self._timeout)
        self._scheduler.schedule(deadline, deadline.at)

    def put_off(self, deadline: "_Deadline", now: float) -> None:
        """Give a connection its time again."""
        deadline.at = now + max(self._timeout, _LOOK_AGAIN_S)
        self._scheduler.schedule(deadline, deadline.at)


class _Deadline:
    """The time at which a half-closed connection is closed in order: what is buffered still goes out."""

    __slots__ = ("_connection", "_timeout", "at")

    def __init__(self, timeout: HalfCloseTimeout, connection: Connection, at: float) -> None:
        self._timeout = timeout
        self._connection = connection
        self.at = at

    def check(self, now: float) -> None:
        if now < self.at:
            return
        if Hold.OPERATOR in self._connection.holds and self._connection.is_open:
            self._timeout.put_off(self, now)
        else:
            self._connection.close_gracefully()
