"""What the consoles of a server know of its connections: read from the server and from the kernel, on two threads.

1. One thread reads the kernel's table, once a second and for requests, and has the flight recorder keep a row a second.
   It begins with the first console, and ends a quarter of an hour after the last request; with a page (``--web``) it
   goes on from the start to the end of the run.
2. The other answers lists, so that neither a dump nor 20,000 connections keep the loop from its clients.
3. From the beginning on connections note when bytes last moved, and those that close are kept.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from portside.app.running_server import RunningServer
from portside.control.closed_connections import ClosedConnection, ClosedConnections
from portside.control.connection_columns import ConnectionRows, Peers
from portside.control.connection_ends import Ends, EndsIndex, numbers_with
from portside.control.connection_items import Clock
from portside.control.connections import Plan, list_connections
from portside.control.flight_recorder import FlightRecorder
from portside.control.history import SPAN_S
from portside.control.kernel_facts import NO_FACTS, KernelReader, SocketFacts, own_facts, peer_places
from portside.control.machine_sockets import MachineSockets
from portside.control.notes import Notes
from portside.control.own_thread import OwnThreads
from portside.control.paging import first_page_time
from portside.control.queue_totals import QueueTotals, queue_totals
from portside.control.schema_connections import ConnectionPage
from portside.errors import PortsideError
from portside.server.connection import Connection

_FRESH_S = 1.5  # facts are at most so old where the recorder reads them each second
_FRESH_SHARE = 25  # and of a small server so many times as old as it took to read them
_CHEAP_S = 0.005  # what takes no longer is read anew for each list
_RECORDER_SHARE = 8  # the recorder reads no more often than after so many times what a reading takes
_OTHERS_ROWS = 1000  # of sockets that are not this server's, as where processes share a port: not kept if more

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ConnectionWatch:
    """The connections of a run, for its consoles; on the loop's thread but for what it hands to its own.

    ``activity_is_known``: all connections have noted when bytes last moved; otherwise the kernel is asked once.
    """

    def __init__(self, run: RunningServer, closed: ClosedConnections, *, activity_is_known: bool) -> None:
        self._always = run.settings.web is not None  # a page may be opened at any time
        self._loop = run.loop
        self._server = run.server
        self.offset_ns = time.time_ns() - round(run.loop.time() * 1e9)
        self.notes = Notes()
        self.closed = closed
        self.facts: SocketFacts = NO_FACTS
        self.recorder = FlightRecorder(run.listeners)
        self.reader = KernelReader(
            frozenset(int(each.name.rpartition(":")[2]) for each in run.listeners if each.family != socket.AF_UNIX)
        )
        self.machine = MachineSockets()
        self.own_threads = OwnThreads()
        self._listeners = run.listeners
        self._ends = EndsIndex()
        self._closed_ends = EndsIndex()
        self._dumps = ThreadPoolExecutor(1, "portside-kernel")
        self._queries = ThreadPoolExecutor(1, "portside-lists")
        self._reading: asyncio.Future[SocketFacts] | None = None
        self._machine_reading: asyncio.Task[None] | None = None
        self._peers: tuple[SocketFacts, Peers | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._used_at = run.loop.time()
        self._sampled_s = -1
        self._activity_is_known = activity_is_known

    def use(self) -> None:
        """Have the recorder go on for another quarter of an hour."""
        self._used_at = self._loop.time()
        if self._timer is None:
            self._tick()

    @property
    def is_recording(self) -> bool:
        """Whether the flight recorder runs."""
        return self._timer is not None

    def close(self) -> None:
        """End the threads."""
        if self._timer is not None:
            self._timer.cancel()
        if self._machine_reading is not None:
            self._machine_reading.cancel()
        self._dumps.submit(self.reader.close)
        self._dumps.submit(self.machine.close)
        self._dumps.shutdown(wait=False)
        self._queries.shutdown(wait=False)

    async def in_reader(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a function on the thread that reads the kernel's table."""
        return await self._loop.run_in_executor(self._dumps, lambda: function(*args, **kwargs))

    async def in_lists(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a function on the thread that answers lists."""
        return await self._loop.run_in_executor(self._queries, lambda: function(*args, **kwargs))

    async def read_machine(self) -> None:
        """Have the sockets of the machine read; what was read last is waited for where it is too old for anybody.

        Raises PortsideError where none can be read.
        """
        if self.machine.is_old:
            await self.in_reader(self.machine.read)
        elif self.machine.is_due and (self._machine_reading is None or self._machine_reading.done()):
            self._machine_reading = self._loop.create_task(self._read_machine_again())

    async def _read_machine_again(self) -> None:
        with suppress(PortsideError):  # whoever asks when it is too old is told
            await self.in_reader(self.machine.read)

    # The kernel's facts.

    def _tick(self) -> None:
        now = self._loop.time()
        if now - self._used_at > SPAN_S and not self._always:
            self._timer = None
            self.recorder = FlightRecorder(self._listeners)  # what it kept is too old for anybody
            return
        pause = _pause_s(self.facts)
        wall_s = now + self.offset_ns / 1e9
        self._timer = self._loop.call_at(now + int(wall_s) + pause - wall_s, self._tick)
        self._start_reading()

    def _start_reading(self) -> "asyncio.Future[SocketFacts]":
        if self._reading is None:
            connections = list(self._server.connections.values())
            self._reading = self._loop.run_in_executor(self._dumps, self._read, connections)
            self._reading.add_done_callback(self._was_read)
        return self._reading

    def _was_read(self, reading: "asyncio.Future[SocketFacts]") -> None:
        self._reading = None
        if not reading.cancelled() and (error := reading.exception()) is not None:
            self._loop.call_exception_handler({"message": "the kernel's table was not read", "exception": error})

    def _read(self, connections: Sequence[Connection]) -> SocketFacts:
        """Read the table, and have it recorded where a new second has begun; on the reader's thread."""
        now = self._loop.time()
        ends = self._ends.of(connections)
        gap, table = "no listener has a port", None
        try:
            table = self.reader.read()
        except PortsideError as error:
            gap = str(error)
        if table is None:
            facts = SocketFacts(None, np.zeros(0, "i8"), now, 0.0, gap)
        else:
            facts = own_facts(table, ends.inodes, _OTHERS_ROWS, read_at=now, took_s=self._loop.time() - now)
        second = self.wall_second(now)
        if second > self._sampled_s:
            self._sampled_s = second
            self.recorder.sample(second, connections, ends, facts)
        if not self._activity_is_known:
            self._activity_is_known = True
            self._loop.call_soon_threadsafe(_note_activity, _last_activity(connections, ends, facts))
        facts = facts._replace(took_s=self._loop.time() - now)
        self.facts = facts
        return facts

    async def fresh_facts(self, *, needed: bool = True, following: bool = False) -> SocketFacts:
        """The kernel's facts; those that were read last where nothing of them is needed and reading takes long.

        ``following`` a page that was made of them, they are kept as long as they are fresh enough for anybody.
        """
        facts = self.facts
        pause = _pause_s(facts)
        if pause > 1:  # the recorder has them read as often as may be
            most_s = pause + 2 * facts.took_s
        else:
            most_s = _FRESH_S if following else min(_FRESH_S, _FRESH_SHARE * facts.took_s)
        oldest = self._loop.time() - most_s
        if facts is NO_FACTS or (facts.read_at < oldest and (needed or facts.took_s < _CHEAP_S)):
            facts = await asyncio.shield(self._start_reading())
        return facts

    async def _peers_of(self, facts: SocketFacts) -> Peers | None:
        """The other ends of the sockets of some facts, and who holds them."""
        if self._peers is None or self._peers[0] is not facts:
            self._peers = facts, await self.in_reader(self._read_peers, facts)
        return self._peers[1]

    def _read_peers(self, facts: SocketFacts) -> Peers | None:
        with suppress(PortsideError):
            table = self.reader.read_peers()
            if table is not None and facts.table is not None:
                return Peers(table, peer_places(facts.table, table))
        return None

    # Answers.

    async def page(self, plan: Plan, limit: int, after: str | None, offset: int = 0) -> ConnectionPage:
        """A page of connections. Raises CursorError."""
        facts = await self.fresh_facts(needed=plan.needs_facts, following=after is not None)
        peers = await self._peers_of(facts) if plan.needs_owners else None
        connections = list(self._server.connections.values()) if plan.which != "closed" else []
        closed = self.closed.all() if plan.which != "open" else []

        def answer() -> ConnectionPage:
            now = self._loop.time()
            at = now if after is None else min(now, first_page_time(after))
            ends = self._ends_of(connections, closed)
            rows = ConnectionRows(connections, closed, ends=ends, facts=facts, peers=peers, notes=self.notes, now=at)
            return list_connections(plan, rows, Clock(now, self.offset_ns), limit, after, offset=offset)

        return await self.in_lists(answer)

    async def queue_totals(self) -> dict[str, QueueTotals]:
        """The kernel's queues by listener, those of unix sockets left out; empty where they are not known."""
        facts = await self.fresh_facts()
        connections = list(self._server.connections.values())
        names = [each.name for each in self._listeners if each.family != socket.AF_UNIX]
        return await self.in_lists(lambda: queue_totals(names, connections, self._ends.of(connections), facts))

    async def with_sockets(self, inodes: Sequence[npt.NDArray[np.int64]]) -> list[npt.NDArray[np.int64]]:
        """For each of some sets of inodes the numbers of the open connections whose sockets are among them."""
        connections = list(self._server.connections.values())

        return await self.in_lists(lambda: numbers_with(self._ends.of(connections), inodes))

    def _ends_of(self, connections: Sequence[Connection], closed: Sequence[ClosedConnection]) -> Ends:
        ends = self._ends.of(connections)
        if not closed:
            return ends
        return Ends(*(np.concatenate(each) for each in zip(ends, self._closed_ends.of(closed), strict=True)))

    def wall_second(self, now: float) -> int:
        """A time of the loop's clock in whole seconds since 1970; unlike the wall clock it never goes back."""
        return (round(now * 1e9) + self.offset_ns) // 1_000_000_000

    def find(self, number: int) -> Connection | ClosedConnection | None:
        """The connection of a number, open or closed."""
        return self._server.connections.get(number) or self.closed.find(number)


def _pause_s(facts: SocketFacts) -> int:
    """Whole seconds between two readings of the recorder."""
    return max(1, -int(-_RECORDER_SHARE * facts.took_s // 1))


def _last_activity(connections: Sequence[Connection], ends: Ends, facts: SocketFacts) -> list[tuple[Connection, float]]:
    """When bytes last moved, as the kernel knows it, of connections that did not note it themselves."""
    if facts.table is None or not len(facts.table):
        return []
    places = facts.places(ends.inodes)
    sent, received = (facts.table.column(f"last_data_{which}_ms") for which in ("sent", "recv"))
    idle_s = np.minimum(sent.values, received.values)[np.maximum(places, 0)] / 1000
    known = (sent.known & received.known)[np.maximum(places, 0)] & (places >= 0)
    return [
        (connection, facts.read_at - idle)
        for connection, idle, is_known in zip(connections, idle_s.tolist(), known.tolist(), strict=True)
        if is_known
    ]


def _note_activity(moved: list[tuple[Connection, float]]) -> None:
    for connection, at in moved:
        connection.active_at = max(connection.active_at, at)
