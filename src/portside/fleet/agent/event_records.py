"""Events of connections as the records that are published."""

import math
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from portside.fleet.agent.compact_sockets import event_sockets
from portside.fleet.agent.sampling import EvenSample
from portside.fleet.schema import ConnectionEvent
from portside.kernel import states
from portside.kernel.connection_tracker import UNKNOWN, EventBatch

_S = 1_000_000_000


def pieces(
    batch: EventBatch, sample: EvenSample | None, most: int
) -> Iterator[tuple[EventBatch, Sequence[int] | None]]:
    """The events of a batch, or of a sample, so many at a time, and for how many each stands; None: for one."""
    size = len(batch.table) if sample is None else len(sample.rows)
    if sample is None and size <= most:
        yield batch, None
        return
    for start in range(0, size, most):
        piece = slice(start, min(start + most, size))
        rows = np.arange(piece.start, piece.stop) if sample is None else sample.rows[piece]
        some = batch._replace(table=batch.table.select(rows), was=batch.was[rows], duration_s=batch.duration_s[rows])
        yield some, None if sample is None else sample.of[piece].tolist()


def event_records(batch: EventBatch, of: Sequence[int] | None = None, *, opened: bool = False) -> list[ConnectionEvent]:
    """A record for each event of a batch; ``at_ns`` of the batch is by the wall clock.

    ``of`` says for how many events each stands. With ``opened``, of connections that were opened and closed between two
    looks: the records that they were opened.
    """
    if of is None:
        of = [1] * len(batch.table)
    sockets = event_sockets(batch)
    durations = [None if math.isnan(lived) else round(lived, 6) for lived in batch.duration_s.tolist()]
    if opened:
        times = [stamp(batch.at_ns - round((lived or 0.0) * _S)) for lived in durations]
        return [
            ConnectionEvent(event="opened", at=at, seen=batch.detected_by, socket=socket, of=many)
            for at, socket, many in zip(times, sockets, of, strict=True)
        ]
    kind = "closed" if batch.kind == "short" else batch.kind
    at = stamp(batch.at_ns)
    was = [states.name_of(number) if number != UNKNOWN else None for number in batch.was.tolist()]
    return [
        ConnectionEvent(event=kind, at=at, seen=batch.detected_by, socket=socket, was=before, duration=lived, of=many)
        for socket, before, lived, many in zip(sockets, was, durations, of, strict=True)
    ]


def stamp(at_ns: int) -> str:
    """A time of the wall clock as in every event: UTC with microseconds."""
    second, fraction = divmod(at_ns, _S)
    return f"{_date(second)}.{fraction // 1000:06d}Z"


def now() -> str:
    """The time now, as ``stamp`` writes it."""
    return stamp(time.time_ns())


@lru_cache(64)
def _date(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
