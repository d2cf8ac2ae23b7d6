"""``portside.listen``: a server in the loop of the program that embeds it. Nothing of the process is touched.

No signal is handled, no limit raised, nothing is read from standard input or written to standard output and error, and
the loop stays the program's: any number of servers may run in one. What the command would say about the run goes to
the log ``portside``.
"""

import asyncio
import os
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self, Unpack

from portside.api.event_stream import EventStream
from portside.api.handlers import Handler, LoopHandlers
from portside.api.notices import log_notice
from portside.api.opening import Opening
from portside.api.preparation import Prepared, Request, prepare, read_request
from portside.api.weak_call import weakly
from portside.app.behaviour import make_behaviour, refuse_loop
from portside.app.faults import make_fault_injector
from portside.app.output_sinks import OutputSinks
from portside.app.serving import make_server
from portside.behaviours.connection import Connection
from portside.events import Closed, CloseReason, Event, Listening, Opened, Stopped
from portside.feed.bus import EventBus
from portside.feed.transcript import DEFAULT_BYTES, Transcript
from portside.server.behaviour import Behaviour
from portside.server.connection import Connection as ServerConnection
from portside.server.leg import Leg
from portside.server.listener import Listener
from portside.units import parse_duration

if TYPE_CHECKING:
    from portside.api.options import Duration, ListenOptions, Size
    from portside.server.operator import Operator
    from portside.wire.faults.model import FaultSpec

PATIENCE_S = 0.5  # that an end in order waits for a peer or an output that takes nothing
MOST_WAITING = 1024  # connections that nobody has accepted
_BEHAVIOURS = ("echo", "chat", "broker", "exec", "sh_exec", "forward", "rules", "reply")


def listen(
    *addresses: str | int,
    handler: Handler | None = None,
    transcript: "Size" = DEFAULT_BYTES,
    **options: "Unpack[ListenOptions]",
) -> Opening["Server"]:
    """A TCP server in this program's own loop, asyncio's or uvloop; to be entered with ``async with``, or awaited.

    ``addresses`` are written as on the command line: ``12345``, ``"127.0.0.1:0"``, ``"unix:/run/a.sock"``; none is port
    12345 on every interface, and port 0 picks a free one. ``handler`` is an async function that is called with each
    connection. Without it, and without an option for what a client gets back (``echo=True``, ``reply=…``), the program
    itself takes each connection with ``accept``. ``transcript`` is how much of each connection's transcript is kept at
    most, in bytes or as ``"64k"``; 0 keeps none. All other keywords are options of ``portside listen``, as text or as
    values: ``idle_timeout=5.0`` or ``"5s"``, ``fault=["latency 200ms"]``.

    Raises PortsideError, with the words of the command, where it cannot listen, and UsageError, a PortsideError too,
    for wrong options.

    >>> async def echo(connection: portside.Connection) -> None:
    ...     async for line in connection.lines():
    ...         await connection.send(line)
    >>> async with portside.listen("127.0.0.1:0", handler=echo) as server:
    ...     async with portside.connect(server.port) as connection:
    ...         await connection.send(b"hello\\n")
    ...         print(await connection.receive())
    b'hello\\n'
    """
    return Opening(partial(_open, read_request(addresses, handler, transcript, options)))


class Embedding(NamedTuple):
    """Parts of a program that runs servers for others, as the pytest plugin does; called on the loop's thread."""

    behaviour: Behaviour | None = None  # serves the connections where neither a handler nor an option does
    on_connection: Callable[[Connection], object] = lambda _connection: None
    on_event: Callable[[Event], object] = lambda _event: None


async def _open(request: Request) -> "Server":
    preparing = asyncio.get_running_loop().run_in_executor(None, prepare, request)
    try:
        prepared = await asyncio.shield(preparing)
    except asyncio.CancelledError:
        preparing.add_done_callback(_discard)
        raise
    return start(request, prepared)


def start(request: Request, prepared: Prepared, embedding: Embedding | None = None) -> "Server":
    """The server of a request, in the running loop. Raises PortsideError; the ports are closed then."""
    try:
        return Server(prepared, request.handler, request.transcript_bytes, embedding or Embedding())
    except BaseException:
        for listener in prepared.listeners:
            listener.close()
        raise


def _discard(preparing: "asyncio.Future[Prepared]") -> None:
    """Close the ports that were opened for somebody who does not wait for them any more."""
    if not preparing.cancelled() and preparing.exception() is None:
        for listener in preparing.result().listeners:
            listener.close()


class Server:
    """A server that ``portside.listen`` has started. All of its methods belong to the loop that it was started in.

    ``addresses`` are those that it listens on, as they are shown (``127.0.0.1:41233``). Leaving ``async with`` closes
    it.

    >>> server = await portside.listen("127.0.0.1:0", echo=True)
    >>> server.host, server.connections
    ('127.0.0.1', ())
    >>> await server.close()
    """

    # More than 12 attributes, because the class wires up that many parts.

    def __init__(
        self, prepared: Prepared, handler: Handler | None, transcript_bytes: int, embedding: Embedding
    ) -> None:
        """For Portside itself."""
        settings = self._settings = prepared.settings
        self._loop = loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._listeners = prepared.listeners
        self.addresses: tuple[str, ...] = tuple(each.name for each in prepared.listeners)
        self._handler = handler
        self._embedding = embedding
        self._transcript_bytes = transcript_bytes
        self._transcripts: dict[int, Transcript] = {}
        self._wrappers: dict[int, Connection] = {}
        self._last_closed: Closed | None = None
        self._waiting: deque[Connection] = deque(maxlen=MOST_WAITING)
        self._accepted = asyncio.Event()
        self._streams = 0
        self._closing: asyncio.Task[None] | None = None
        self._is_over = False
        self._operator: Operator | None = None
        self._is_written = False  # whether events go to files or a recording
        self._bus = bus = EventBus(loop)
        names = [name for name in _BEHAVIOURS if getattr(settings, name)]
        self._reader = f"--{names[0].replace('_', '-')}" if names else None
        if settings.forward is not None:
            refuse_loop(settings.forward, prepared.listeners)
        if names:
            self._behaviour = make_behaviour(settings, prepared.listeners, self._publish, log_notice)
        elif embedding.behaviour is not None:
            self._reader = "a script"
            self._behaviour = embedding.behaviour
        else:
            self._behaviour = LoopHandlers(loop, handler, self._wrap, self._ready)
        self._admission = prepared.admission
        self._server = server = make_server(
            loop, settings, self._publish, self._behaviour, prepared.admission,
            pre_connect=prepared.pre_connect,
            shows_received=True, shows_sent=True, notify=log_notice,
        )  # fmt: skip
        try:
            self._sinks = OutputSinks(loop, bus, settings, None, lambda: None, notify=log_notice)
        except BaseException:
            server.acceptor.end()
            server.poller.close()
            raise
        self._is_written = self._sinks.are_any
        self._update_shown()
        bus.on_full, bus.on_drained = weakly(server.pause), weakly(server.resume)
        server.on_opened, server.on_closed, server.on_writable = self._opened, self._closed, self._writable
        server.acceptor.on_descriptors_exhausted = lambda error: log_notice(f"no descriptor is left: {error}")
        server.acceptor.on_listener_killed = lambda listener: log_notice(f"{listener.name} was destroyed")
        for listener in prepared.listeners:
            self._publish(Listening(time.time_ns(), listener.name))
        server.acceptor.start(prepared.listeners, last_number=self._sinks.last_conn)

    def __repr__(self) -> str:
        return f"<portside.Server on {', '.join(self.addresses)}{' closed' if self._is_over else ''}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def host(self) -> str:
        """The IP address of the first port, to connect to: ``127.0.0.1`` where it is every interface."""
        host = next((each.socket.getsockname()[0] for each in self._tcp_listeners()), "")
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104

    @property
    def port(self) -> int:
        """The number of the first port; 0 where the server has none, on unix sockets and when it is closed."""
        return next((each.socket.getsockname()[1] for each in self._tcp_listeners()), 0)

    def _tcp_listeners(self) -> list[Listener]:
        return [
            each for each in self._listeners if each.path is None and each.socket.fileno() >= 0 and ":" in each.name
        ]

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that are open, in the order of their numbers."""
        return tuple(self._wrappers.values())

    @property
    def is_closed(self) -> bool:
        """Whether the server is closed."""
        return self._is_over

    def events(self) -> EventStream:
        """All events from now on, as an async iterator: the events of ``portside listen --format json`` as values.

        Nothing is left out, so that a stream that is not read holds the server up after 4 MiB.
        """
        stream = EventStream(self._loop, self._bus, self._stream_ended)
        self._streams += 1
        self._update_shown()
        return stream

    async def accept(self) -> Connection:
        """The next connection, of a server without a handler; up to 1,024 wait for it, closed ones too.

        Raises RuntimeError where a handler or an option serves the connections, and ConnectionError once the server is
        closed and none is left.

        >>> async with portside.listen("127.0.0.1:0") as server, portside.connect(server.port) as client:
        ...     connection = await server.accept()
        ...     await connection.send(b"220 ready\\r\\n")
        ...     print(await client.receive())
        b'220 ready\\r\\n'
        """
        if self._handler is not None or self._reader is not None:
            raise RuntimeError(f"{self._reader or 'the handler'} serves the connections of this server")
        while not self._waiting:
            if self._is_over or self._closing is not None:
                raise ConnectionAbortedError("the server is closed")
            self._accepted.clear()
            await self._accepted.wait()
        return self._waiting.popleft()

    @property
    def operator(self) -> "Operator":
        """The acts of an operator on the server, for Portside itself."""
        if self._operator is None:
            from portside.server.operator import Operator

            self._operator = Operator(self._server, self._admission, seed=self._settings.fault_seed)
        return self._operator

    @property
    def faults(self) -> "tuple[FaultSpec, ...]":
        """The faults that were asked for at the start, for Portside itself."""
        return self._settings.fault

    def use_faults(self, faults: "Sequence[FaultSpec]") -> None:
        """Give the connections that come from now on these faults, for Portside itself; those of ports stay."""
        settings = replace(self._settings, fault=tuple(faults))
        injector = make_fault_injector(self._loop, settings, self._publish, log_notice)
        self._server.acceptor.use_faults(injector)

    def descriptors(self) -> list[int]:
        """The descriptors of its sockets, for Portside itself."""
        legs = [*self._server.connections.values(), *self._behaviour.legs()]
        found = [each.socket.fileno() for each in self._listeners]
        return [fd for fd in (*found, *(leg.fd for leg in legs if isinstance(leg, Leg))) if fd >= 0]

    async def drain(self, within: "Duration | None" = None) -> None:
        """Accept nobody any more, wait for the clients to leave, and close.

        ``within`` is how long it waits at most, in seconds or as ``"500ms"``; None is as long as it takes.
        """
        seconds = None if within is None else parse_duration(str(within))
        self._server.acceptor.stop_listening()
        await self._server.wait_empty(seconds)
        await self.close()

    async def close(self) -> None:
        """Close the ports, and every connection in order; what a peer does not take in half a second is lost.

        Handlers that still run are cancelled, and have a second. A second call waits for the first. Where the loop of
        the server is closed already, sockets are closed as they are.
        """
        if self._is_over:
            return
        if self._loop.is_closed() or self._pid != os.getpid():
            self._release()
            return
        if self._closing is None:
            self._closing = self._loop.create_task(self._shut_down())
        await asyncio.shield(self._closing)

    async def _shut_down(self) -> None:
        server = self._server
        self._accepted.set()
        await server.shut_down(patience=PATIENCE_S)
        await self._behaviour.end()
        server.poller.close()
        self._publish(Stopped(time.time_ns(), "closed"))
        self._bus.flush()
        self._is_over = True
        if self._is_written:
            hurry = threading.Event()
            hurry.set()
            await self._loop.run_in_executor(None, self._sinks.close, PATIENCE_S, hurry)

    def _release(self) -> None:
        """Close the sockets of a server whose loop is closed, or whose process is this one's parent."""
        self._is_over = True
        if self._pid != os.getpid():
            return  # the parent's epoll set is shared with this process: nothing may be taken out of it
        server = self._server
        server.poller.abandon()
        for connection in list(server.connections.values()):
            with suppress(RuntimeError):  # the closed loop's, which somebody asks for a callback
                connection.abort("shutdown")
        with suppress(RuntimeError):
            server.acceptor.end()
        for listener in self._listeners:
            listener.close()
        with suppress(RuntimeError):
            server.poller.close()
        if self._is_written:
            hurry = threading.Event()
            hurry.set()
            self._sinks.close(PATIENCE_S, hurry)

    def __del__(self) -> None:
        if not getattr(self, "_is_over", True) and self._pid == os.getpid():
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            self._release()

    # Events and connections, on behalf of the server.

    def _publish(self, event: Event, size: int = 0) -> None:
        if self._is_over:
            return
        conn = getattr(event, "conn", None)
        if conn and self._transcript_bytes:
            if type(event) is Opened:
                self._transcripts[conn] = self._make_transcript()
            if (transcript := self._transcripts.get(conn)) is not None:
                transcript.add(event)
        if type(event) is Closed:
            self._last_closed = event
        if self._streams or self._is_written:
            self._bus.publish(event, size)
        self._embedding.on_event(event)

    def _make_transcript(self) -> Transcript:
        settings = self._settings
        return Transcript(
            self._transcript_bytes, frame=settings.frame, max_frame=settings.max_frame, encoding=settings.encoding
        )

    def _update_shown(self) -> None:
        """Have events of payload made only where somebody wants them."""
        shown = bool(self._transcript_bytes or self._streams or self._is_written)
        self._server.shows_received = self._server.shows_sent = shown

    def _stream_ended(self) -> None:
        self._streams -= 1
        self._update_shown()

    def _wrap(self, connection: ServerConnection) -> Connection:
        kept = self._transcripts.get(connection.number)
        transcript = self._make_transcript() if kept is None else kept
        wrapper = Connection(connection, self._loop, self._loop, transcript=transcript, reader=self._reader)
        self._wrappers[connection.number] = wrapper
        self._embedding.on_connection(wrapper)
        return wrapper

    def _ready(self, wrapper: Connection) -> None:
        self._waiting.append(wrapper)
        self._accepted.set()

    def _opened(self, connection: ServerConnection) -> None:
        if self._reader is not None:
            self._wrap(connection)

    def _writable(self, connection: ServerConnection) -> None:
        if self._reader is not None and (wrapper := self._wrappers.get(connection.number)):
            wrapper.on_writable()

    def _closed(self, connection: ServerConnection, reason: CloseReason) -> None:
        self._transcripts.pop(connection.number, None)
        if wrapper := self._wrappers.pop(connection.number, None):
            closed = self._last_closed
            error = closed.error if closed is not None and closed.conn == connection.number else None
            wrapper.on_closed(reason, error)
