"""The base class of behaviours, and the interface between a behaviour and the server.

A behaviour is one object for a whole run, and its methods are called on the loop's thread. State of a connection is
kept under the connection itself, from ``opened`` until ``closed``. A behaviour sends with ``connection.send`` and asks
after each whether ``connection.write_paused``: then more is buffered for the client than should be, and the source of
those bytes has to stop (``connection.pause_reading(Hold.FLOW)`` stops the client itself) until ``writable``.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.events import CloseReason
    from portside.server.connection import Connection
    from portside.server.leg import Leg
    from portside.server.vanished_peers import WatchedLeg


class Behaviour:
    """Sends nothing; the other behaviours are derived from this one."""

    def opened(self, connection: "Connection") -> None:
        """Begin with a client that is connected."""

    def received(self, connection: "Connection", data: bytes) -> None:
        """Handle bytes that the client sent."""

    def half_closed(self, connection: "Connection") -> bool:
        """Handle the client's FIN; whether our side stays open, because there is still something to send."""
        return False

    def writable(self, connection: "Connection") -> None:
        """Go on sending: the client, for which writing was paused, has taken what was buffered."""

    def closed(self, connection: "Connection", reason: "CloseReason") -> None:
        """Forget a client that is gone."""

    def is_active(self, connection: "Connection") -> bool:
        """Whether something moved that the connection itself does not see; asked before it is closed as idle."""
        return False

    def upstream_leg(self, connection: "Connection") -> "Leg | None":
        """The other leg of a client whose connection is relayed; None while there is none."""
        return None

    def legs(self) -> "Iterable[WatchedLeg]":
        """Other connections that end with those of the clients, to look whether their peers have vanished."""
        return ()

    def paused(self) -> None:
        """Bring nothing for the clients until ``resumed``: events cannot be shown or recorded for now."""

    def resumed(self) -> None:
        """Go on after ``paused``."""

    def transform_stdin(self, data: bytes) -> bytes:
        """Bytes of standard input as all clients are to get them; ``b""`` at its end, for what was held back."""
        return data

    def kill(self) -> None:
        """Kill what would outlive the process, which ends this instant."""

    async def end(self) -> None:
        """Release resources other than connections, such as programs, when the run ends."""
