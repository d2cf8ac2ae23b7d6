"""The events of ``watch --events`` as values."""

import math
from collections.abc import Iterator
from typing import ClassVar, Literal

import msgspec

from portside.app.event_lines import opened_ns, sockets_of
from portside.kernel import states
from portside.kernel.connection_tracker import UNKNOWN, EventBatch
from portside.kernel.models import Socket


class SocketEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a connection of this machine.

    ``at`` is nanoseconds since 1970 by the wall clock; ``seen`` is ``destroy`` where the kernel has announced it, and
    ``poll`` where two looks at the table differ; ``socket`` is the connection as it is then.
    """

    event: ClassVar[str]

    at: int
    seen: Literal["poll", "destroy"]
    socket: Socket


class SocketOpened(SocketEvent, frozen=True, kw_only=True):
    """A connection, or a listener, is there that was not."""

    event: ClassVar[str] = "opened"


class SocketChanged(SocketEvent, frozen=True, kw_only=True):
    """A connection has another state; ``was`` is the one before, None where that is not known."""

    event: ClassVar[str] = "changed"

    was: str | None


class SocketClosed(SocketEvent, frozen=True, kw_only=True):
    """A connection is gone; ``duration`` is how long it lived, in seconds, None where that is not known."""

    event: ClassVar[str] = "closed"

    was: str | None
    duration: float | None


def events_of(batch: EventBatch) -> Iterator[SocketEvent]:
    """The events of a batch, whose time is that of the wall clock."""
    seen = batch.detected_by
    was, durations = batch.was.tolist(), batch.duration_s.tolist()
    for index, socket in enumerate(sockets_of(batch)):
        before = None if was[index] == UNKNOWN else states.name_of(was[index])
        if batch.kind == "changed":
            yield SocketChanged(at=batch.at_ns, seen=seen, socket=socket, was=before)
            continue
        if batch.kind == "opened":
            yield SocketOpened(at=batch.at_ns, seen=seen, socket=socket)
            continue
        if batch.kind == "short":
            yield SocketOpened(at=opened_ns(batch, index), seen=seen, socket=socket)
        lived = None if math.isnan(durations[index]) else round(durations[index], 6)
        yield SocketClosed(at=batch.at_ns, seen=seen, socket=socket, was=before, duration=lived)
