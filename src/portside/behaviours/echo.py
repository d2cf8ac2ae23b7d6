"""``--echo``: sends back what a client sends."""

from portside.server.behaviour import Behaviour
from portside.server.connection import Connection
from portside.server.leg import Hold


class Echo(Behaviour):
    """Sends everything back at once. A client is read only while it takes what was sent, so memory is bounded."""

    def received(self, connection: Connection, data: bytes) -> None:
        connection.send(data)
        if connection.write_paused:
            connection.pause_reading(Hold.FLOW)

    def writable(self, connection: Connection) -> None:
        connection.resume_reading(Hold.FLOW)
