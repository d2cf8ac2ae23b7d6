"""What chat and broker share: bytes from one client to all others, at the pace of those that keep up.

A member that lags is waited for: whoever sends is not read meanwhile. One that lags for longer than ``STALL_S`` is
waited for no more; what it does not take collects up to ``LIMIT_BYTES``, and then it is closed as ``write_timeout``. So
a slow member delays the others once, for that moment, and memory is bounded.
"""

import asyncio
import math

from portside.events import CloseReason
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection
from portside.server.leg import Hold

LIMIT_BYTES = 1 << 20
TURN_BYTES = 128 * 1024  # that are said at once
STALL_S = 0.25  # longer than a delayed acknowledgement (40 to 200 ms)


class Group(Behaviour):
    """All clients that are connected."""

    def __init__(self) -> None:
        self.members: dict[int, Connection] = {}
        self._lagging: dict[Connection, float] = {}  # since when
        self._held: set[Connection] = set()
        self._look_handle: asyncio.TimerHandle | None = None
        self._said_bytes = 0
        self._said: list[tuple[Connection | None, bytes]] = []  # in this turn, by whom

    def opened(self, connection: Connection) -> None:
        if self._said:
            self._tell_all()  # it was not there
        self.members[connection.number] = connection

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        self.members.pop(connection.number, None)
        self._held.discard(connection)
        self.writable(connection)

    def writable(self, connection: Connection) -> None:
        if self._lagging.pop(connection, None) is not None:
            self._look()

    def send_to_others(self, sender: Connection | None, data: bytes) -> None:
        """Send to every member but one; those too far behind are closed."""
        if not self._said:
            asyncio.get_running_loop().call_soon(self._tell_all)
        self._said.append((sender, data))
        self._said_bytes += len(data)
        if self._said_bytes > TURN_BYTES:  # the loop may read one client many times in a turn
            self._tell_all()

    def _tell_all(self) -> None:
        """What was said in this turn of the loop, in one piece for each member: a send costs more than its bytes."""
        said, self._said, self._said_bytes = self._said, [], 0
        if not said:
            return
        senders = {sender for sender, _ in said}
        everything = b"".join([data for _, data in said])
        behind = []
        for member in self.members.values():
            data = everything
            if member in senders:
                data = b"".join([data for sender, data in said if sender is not member])
            if data:
                member.send(data)
            if member.write_paused:
                self._lagging.setdefault(member, asyncio.get_running_loop().time())
                if member.buffered_bytes > LIMIT_BYTES:
                    behind.append(member)
        for member in behind:
            member.abort("write_timeout")
        if self._waits_until() > asyncio.get_running_loop().time():
            for sender in senders:
                if sender is not None and sender.number in self.members:
                    sender.pause_reading(Hold.FLOW)
                    self._held.add(sender)
            self._look()

    def _waits_until(self) -> float:
        """When nobody who lags is waited for any more (the loop's clock); unless they catch up before."""
        return max(self._lagging.values(), default=-math.inf) + STALL_S

    def _look(self) -> None:
        """Let the senders go on when nobody is waited for any more."""
        if self._look_handle is not None:
            self._look_handle.cancel()
            self._look_handle = None
        if not self._held:
            return
        loop, until = asyncio.get_running_loop(), self._waits_until()
        if until > loop.time():
            self._look_handle = loop.call_at(until, self._look)
            return
        for sender in self._held:
            sender.resume_reading(Hold.FLOW)
        self._held.clear()
