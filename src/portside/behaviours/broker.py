"""``--broker``: what a client sends goes to all other clients, byte for byte (``ncat --broker``)."""

from portside.behaviours.group import Group
from portside.server.connection import Connection


class Broker(Group):
    """Connects all clients with one another."""

    def received(self, connection: Connection, data: bytes) -> None:
        self.send_to_others(connection, data)
