"""Events of connections as the records that are published."""

import math
import time
from functools import lru_cache

from portside.fleet.agent.compact_sockets import event_sockets
from portside.fleet.agent.sampling import Sample
from portside.fleet.schema import ConnectionEvent
from portside.kernel import states
from portside.kernel.connection_tracker import UNKNOWN, EventBatch

_S = 1_000_000_000


def event_records(batch: EventBatch, sample: Sample | None = None, *, opened: bool = False) -> list[ConnectionEvent]:
    """A record for each event of a batch, or of a sample; ``at_ns`` of the batch is by the wall clock.

    With ``opened``, of a connection that was opened and closed between two looks: the records that it was opened.
    """
    of = [1] * len(batch.table)
    if sample is not None:
        of = sample.of.tolist()
        rows = sample.rows
        batch = batch._replace(table=batch.table.select(rows), was=batch.was[rows], duration_s=batch.duration_s[rows])
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
