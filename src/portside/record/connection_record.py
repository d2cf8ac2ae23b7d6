"""One row of a recording's index: a connection, with its addresses, times and sums."""

import msgspec


class ConnectionRecord(msgspec.Struct, frozen=True, gc=False):
    """A connection of a recording. Times are ns since 1970, sizes in bytes, ``duration`` in seconds.

    ``peer``, ``local`` and ``opened`` are None where the beginning is lost; ``closed`` and what comes with it while it
    is open, and where the run was killed. ``dropped`` is the time at which --record-max evicted its bytes.
    ``began`` is the steady time of the opening (see ``clock``), from which intervals count.
    """

    conn: int
    peer: str | None
    local: str | None
    opened: int | None
    half_closed: int | None
    closed: int | None
    reason: str | None
    error: str | None
    duration: float | None
    received: int
    sent: int
    dropped: int | None
    by: str | None = None  # who closed it, where that was neither the peer nor this side
    began: int | None = None
    open: bool = False  # the server that records it still runs
