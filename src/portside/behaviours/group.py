"""The base of chat and broker: bytes from one client to all others, at the pace of the members that keep up.

While writing to a member is paused, members that send to it are not read, for at most ``STALL_S``. After that, what
the slow member does not take is buffered up to ``LIMIT_BYTES``, and then its connection is closed as
``write_timeout``. So a slow member delays the others once, for that time, and memory is bounded.
"""

import asyncio
import math

from portside.events import CloseReason
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection
from portside.server.leg import Hold

LIMIT_BYTES = 1 << 20
FLUSH_BYTES = 128 * 1024  # a larger outbox is sent before the turn of the loop ends
STALL_S = 0.25  # longer than a delayed acknowledgement (40 to 200 ms)


class Group(Behaviour):
    """A group whose members are all connected clients."""

    def __init__(self) -> None:
        self.members: dict[int, Connection] = {}
        self._slow_since: dict[Connection, float] = {}  # members whose writing is paused: since when (the loop's clock)
        self._paused_senders: set[Connection] = set()
        self._resume_timer: asyncio.TimerHandle | None = None
        self._outbox: list[tuple[Connection | None, bytes]] = []  # of this turn of the loop: sender and bytes
        self._outbox_bytes = 0

    def opened(self, connection: Connection) -> None:
        if self._outbox:
            self._flush()  # before the new member joins
        self.members[connection.number] = connection

    def closed(self, connection: Connection, reason: CloseReason) -> None:
        self.members.pop(connection.number, None)
        self._paused_senders.discard(connection)
        self.writable(connection)

    def writable(self, connection: Connection) -> None:
        if self._slow_since.pop(connection, None) is not None:
            self._resume_senders()

    def send_to_others(self, sender: Connection | None, data: bytes) -> None:
        """Send to every member but the sender (None: to all). Members too far behind are closed."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append((sender, data))
        self._outbox_bytes += len(data)
        if self._outbox_bytes > FLUSH_BYTES:  # the loop may read one client many times in a turn
            self._flush()

    def _flush(self) -> None:
        """Send the outbox, in one piece for each member: a call of send costs more than its bytes."""
        outbox, self._outbox, self._outbox_bytes = self._outbox, [], 0
        if not outbox:
            return
        senders = {sender for sender, _ in outbox}
        everything = b"".join([data for _, data in outbox])
        overfull = []
        for member in self.members.values():
            data = everything
            if member in senders:
                data = b"".join([data for sender, data in outbox if sender is not member])
            if data:
                member.send(data)
            if member.write_paused:
                self._slow_since.setdefault(member, asyncio.get_running_loop().time())
                if member.buffered_bytes > LIMIT_BYTES:
                    overfull.append(member)
        for member in overfull:
            member.abort("write_timeout")
        if self._patience_ends_at() > asyncio.get_running_loop().time():
            for sender in senders:
                if sender is not None and sender.number in self.members:
                    sender.pause_reading(Hold.FLOW)
                    self._paused_senders.add(sender)
            self._resume_senders()

    def _patience_ends_at(self) -> float:
        """When the last slow member stops delaying the senders (the loop's clock), unless it catches up before."""
        return max(self._slow_since.values(), default=-math.inf) + STALL_S

    def _resume_senders(self) -> None:
        """Read the senders again, now or when patience with the slow members ends."""
        if self._resume_timer is not None:
            self._resume_timer.cancel()
            self._resume_timer = None
        if not self._paused_senders:
            return
        loop, until = asyncio.get_running_loop(), self._patience_ends_at()
        if until > loop.time():
            self._resume_timer = loop.call_at(until, self._resume_senders)
            return
        for sender in self._paused_senders:
            sender.resume_reading(Hold.FLOW)
        self._paused_senders.clear()
