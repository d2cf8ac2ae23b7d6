"""``--echo``: what a client sends comes back."""

from portside.server.behaviour import Behaviour
from portside.server.connection import FLOW, Connection


class Echo(Behaviour):
    """Sends everything back at once. A client that does not read is not read either, so memory is bounded."""

    def received(self, connection: Connection, data: bytes) -> None:
        connection.send(data)
        if connection.lagging:
            connection.hold(FLOW)

    def caught_up(self, connection: Connection) -> None:
        connection.release(FLOW)
