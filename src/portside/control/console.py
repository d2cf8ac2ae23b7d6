"""The server's side of all consoles: the run that they look at, and what is kept for them.

It is made when the first client comes, or at the start where a page was asked for. Nothing of the web stack is imported
here.
"""

from typing import TYPE_CHECKING

from portside.app.running_server import RunningServer
from portside.control.event_streams import EventStreams
from portside.control.messages import MessageStore
from portside.control.rates import RateMeter
from portside.control.ring import EventRing

_STREAMS_PATIENCE_S = 1.0  # that the end of the run waits for those who read events

if TYPE_CHECKING:
    import asyncio

    from portside.control.closed_connections import ClosedConnections
    from portside.control.connection_watch import ConnectionWatch
    from portside.control.findings_watch import FindingsWatches
    from portside.server.operator import Operator


class Console:
    """The objects that the operations of the API work on; on the loop's thread alone."""

    def __init__(self, run: RunningServer) -> None:
        self.run = run
        self.rates = RateMeter(run)
        self.messages = MessageStore(run.server.connections)
        ring = EventRing(self.messages)
        self.streams = EventStreams(run.loop, ring)
        run.bus.add(ring)
        run.server.shows_received = run.server.shows_sent = True
        self._connections: ConnectionWatch | None = None
        self._closed: tuple[ClosedConnections, bool] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._operator: Operator | None = None
        self._findings: FindingsWatches | None = None
        self._keep_closed()

    def start(self) -> None:
        """Keep the kernel's facts from now on, before anybody asks; what the recorder needs is loaded on a thread."""
        self._starting = self.run.loop.create_task(self._start())

    async def _start(self) -> None:
        await self.run.loop.run_in_executor(None, _import_connections)
        self.connections.use()

    def _keep_closed(self) -> "tuple[ClosedConnections, bool]":
        """Keep connections that close, from the first call on; whether it is known of all when bytes last moved."""
        if self._closed is None:
            from portside.control.closed_connections import ClosedConnections

            server = self.run.server
            is_known = server.tracks_activity or not server.connections
            self._closed = ClosedConnections.of(server), is_known
        return self._closed

    @property
    def connections(self) -> "ConnectionWatch":
        """The facts of the connections: kept from the first use on, for as long as somebody asks."""
        self.connections_now.use()
        return self.connections_now

    @property
    def connections_now(self) -> "ConnectionWatch":
        """The facts of the connections for a caller that wants those of now: nothing is kept on account of that."""
        if self._connections is None:
            from portside.control.connection_watch import ConnectionWatch  # numpy: for the first client

            closed, activity_is_known = self._keep_closed()
            self._connections = ConnectionWatch(self.run, closed, activity_is_known=activity_is_known)
        return self._connections

    @property
    def operator(self) -> "Operator":
        """The acts on the server and its connections."""
        if self._operator is None:
            from portside.server.operator import Operator

            run = self.run
            self._operator = Operator(run.server, run.admission, seed=run.settings.fault_seed)
        return self._operator

    @property
    def findings(self) -> "FindingsWatches":
        """The watches that look for what is wrong on this machine."""
        if self._findings is None:
            from portside.control.findings_watch import FindingsWatches

            self._findings = FindingsWatches(self.run.loop)
        return self._findings

    async def end_streams(self) -> None:
        """Let the streams of events come to their ends, with the last event of the run."""
        await self.streams.end(_STREAMS_PATIENCE_S)

    async def stop(self) -> None:
        """End what was begun for the consoles."""
        self.rates.stop()
        if self._starting is not None:
            self._starting.cancel()
        if self._connections is not None:
            self._connections.close()
        if self._findings is not None:
            await self._findings.close()


def _import_connections() -> None:
    import portside.control.connection_watch  # noqa: F401
