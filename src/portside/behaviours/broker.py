"""``--broker``: what a client sends goes to all others, byte for byte (``ncat --broker``)."""

from portside.behaviours.members import Members
from portside.server.connection import Connection


class Broker(Members):
    """Connects all clients with one another."""

    def received(self, connection: Connection, data: bytes) -> None:
        self.to_others(connection, data)
