"""What a client gets back: the one way in which a behaviour and the server know each other.

A behaviour is one object for a whole run, and everything it does is on the loop's thread. What it keeps of a
connection it keeps under the connection itself, from ``opened`` until ``closed``. It sends with ``connection.send`` and
asks after each whether ``connection.write_paused``: then more waits for the client than should, and whoever brought it
stops (``connection.pause_reading(Hold.FLOW)`` stops the client itself) until ``writable``.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portside.events import CloseReason
    from portside.server.connection import Connection


class Behaviour:
    """Nothing is sent; the others are made from this."""

    def opened(self, connection: "Connection") -> None:
        """A client is connected."""

    def received(self, connection: "Connection", data: bytes) -> None:
        """It sent bytes."""

    def half_closed(self, connection: "Connection") -> bool:
        """It sent FIN; whether our side stays open, because there is still something to send."""
        return False

    def writable(self, connection: "Connection") -> None:
        """It took what waited for it; called where it was ``lagging``."""

    def closed(self, connection: "Connection", reason: "CloseReason") -> None:
        """It is gone."""

    def is_active(self, connection: "Connection") -> bool:
        """Whether something moved that the connection itself does not see; asked before it is closed as idle."""
        return False

    def paused(self) -> None:
        """Nothing more can be shown or recorded for now: bring nothing for the clients until ``resumed``."""

    def resumed(self) -> None:
        """It can again."""

    def transform_stdin(self, data: bytes) -> bytes:
        """What standard input says to all clients, as they are to get it.

        At its end it says ``b""``, for what was held back.
        """
        return data

    def kill(self) -> None:
        """The process ends this instant: end what would outlive it."""

    async def end(self) -> None:
        """The run ends: let go of what is no connection (programs, connections of one's own)."""
