"""The connections of the machine: each that closes, and from the same look at the table the summaries and what is open.

Announcements of closed connections are taken some times a second, many at once, since each taking costs as much as some
hundred connections. The table is read every ``interval``, without what the kernel keeps of connections in TIME_WAIT,
which have ended and may be a hundred thousand.
"""

import select
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from portside.app.connection_events import ConnectionEvents, EventQuery
from portside.app.watch_filter import wrong_filter
from portside.diagnosis.observation import Columns
from portside.errors import PortsideError
from portside.fleet.agent.ending import StopSignal, to_wall_ns
from portside.fleet.agent.event_records import event_records, now, pieces
from portside.fleet.agent.memory import small_reader
from portside.fleet.agent.node import count_time_wait
from portside.fleet.agent.open_connections import OpenSnapshots
from portside.fleet.agent.refused import RefusedAttempts
from portside.fleet.agent.sampling import Sampler
from portside.fleet.agent.summaries import Minutes, Summaries
from portside.fleet.agent.tally import Outlet
from portside.kernel.connection_tracker import EventBatch
from portside.kernel.filter import FilterError

if TYPE_CHECKING:
    from portside.fleet.schema import Kind

_GATHER_S: Final = 0.2
_JOIN_S: Final = 0.1  # how exactly the end of a connection is known where many end
_HELD_BYTES: Final = 16 << 20  # of announcements: 40,000
_AT_ONCE: Final = 128  # records that are made before they are handed over: each takes 4 kB meanwhile
_LONGEST_S: Final = 3600.0
_SHARE, _SLOWER = 0.003, 6  # of a core: what looks may take, for which they are up to so many times less often


class ConnectionOptions(NamedTuple):
    """The choice of what is published of connections: ``rate`` events a second at most.

    The table is looked at every ``interval`` seconds.
    """

    filter: str = ""
    opened: bool = False
    changed: bool = False
    rate: float = 5000.0
    interval: float = 5.0


class ConnectionSource:
    """Everything that comes from the table of sockets. Made on any thread and ``run`` on one of its own.

    ``closed`` are the announced sockets as the diagnosis needs them. Raises UsageError for a filter that is none, and
    BackendError where this machine has no table.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        outlet: Outlet,
        snapshots: OpenSnapshots,
        stack: ExitStack,
    ) -> None:
        self._options = options
        self._add, self._tally, self._notices = outlet
        self._snapshots = snapshots
        self._summaries = Summaries()
        self._sampler = Sampler(options.rate)
        self._refused = RefusedAttempts()
        query = EventQuery(
            options.filter,
            owners=True,
            interval=options.interval,
            time_wait=False,
            join_s=_JOIN_S,
            held_bytes=_HELD_BYTES,
            reader=small_reader(),
            thorough=False,
        )
        try:
            self._events = ConnectionEvents(query, stack, outlet.notices, self._refused.add)
        except FilterError as error:
            raise wrong_filter(error, "agent") from None
        self._minutes = Minutes()
        self._minute_s = self._next_s = 0.0

    def closed(self) -> tuple[Sequence[Columns] | None, int]:
        """The attempts to connect that were refused since the last call, and how many announcements were lost."""
        return self._refused.take(self._events.lost) if self._events.monitor is not None else (None, 0)

    def run(self, ending: StopSignal) -> None:
        """Take what comes until the end, and then what is still under way."""
        self.start()
        poller = select.poll()
        poller.register(ending, select.POLLIN)
        if self._events.monitor is not None:
            poller.register(self._events.monitor, select.POLLIN)
        while not ending.is_set:
            poller.poll(1000 * min(_LONGEST_S, max(0.0, self._next_s - time.monotonic())))
            ending.wait(min(_GATHER_S, max(0.0, self._next_s - time.monotonic())))
            self.step()
        self.finish()

    def start(self) -> None:
        """Take the first table; from then on nothing is missed."""
        self._publish(self._events.start())
        if (tracked := self._events.tracked) is not None:
            self._summaries.start(tracked)
        self._minute_s = time.monotonic()
        self._next_s = self._minute_s + self._options.interval
        self._after_table()

    def step(self) -> None:
        """Take the announcements, and where it is time the table."""
        cpu_s = time.thread_time()
        try:
            self._publish(self._events.drain())
            if time.monotonic() >= self._next_s:
                batches = self._events.poll()
                if (tracked := self._events.tracked) is not None:
                    self._summaries.look(tracked)
                self._publish(batches)
                self._after_table()
        except (PortsideError, OSError) as error:
            self._notices(f"connections cannot be read: {error}")
        if (at := time.monotonic()) >= self._next_s:
            pause_s = pause_after(time.thread_time() - cpu_s, self._options.interval)
            self._next_s = max(self._next_s + pause_s, at + pause_s / 2)
        self._tally.lost = self._events.lost

    def finish(self) -> None:
        """Take what is under way, and the summaries of the minute that has begun."""
        try:
            for batches in self._events.finish():
                self._publish(batches)
        except (PortsideError, OSError) as error:
            self._notices(f"connections cannot be read: {error}")
        self._tally.lost = self._events.lost
        self._summarize(time.monotonic())

    def _publish(self, batches: Sequence[EventBatch]) -> None:
        self._summaries.add(batches)
        wanted = [each for each in batches if len(each.table) and self._is_wanted(each)]
        if not wanted:
            return
        later_ns = to_wall_ns()
        for batch, sample in zip(wanted, self._sampler.sample([len(each.table) for each in wanted]), strict=True):
            shown = batch._replace(at_ns=batch.at_ns + later_ns)
            for some, of in pieces(shown, sample, _AT_ONCE):
                if batch.kind == "short" and self._options.opened:
                    self._add("opened", event_records(some, of, opened=True))
                kind: Kind = "closed" if batch.kind == "short" else batch.kind
                self._add(kind, event_records(some, of))
        self._tally.sampled = self._sampler.left_out

    def _is_wanted(self, batch: EventBatch) -> bool:
        if batch.kind == "opened":
            return self._options.opened
        return batch.kind != "changed" or self._options.changed

    def _after_table(self) -> None:
        tracked = self._events.tracked
        if tracked is None:
            return
        self._tally.time_wait = count_time_wait()
        at = time.monotonic()
        self._tally.table, self._tally.looked_s = tracked.table, at
        if self._minutes.has_ended():
            self._summarize(at)
        if (snapshot := self._snapshots.look(tracked, now(), at)) is not None:
            self._add("open", [snapshot])

    def _summarize(self, at_s: float) -> None:
        tracked = self._events.tracked
        if tracked is None:
            return
        summaries = self._summaries.end(tracked, now(), round(at_s - self._minute_s, 3))
        self._minute_s = at_s
        if summaries:
            self._add("summary", summaries)


def pause_after(took_s: float, interval_s: float) -> float:
    """The seconds until the next look at the table, after one that took so much CPU time."""
    return max(interval_s, min(_SLOWER * interval_s, took_s / _SHARE))
