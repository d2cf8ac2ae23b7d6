"""A server of a test, on the thread that ``portside.sync`` has too: its port, its connections and its transcript."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from portside.api import server as api_server
from portside.api.handlers import Handler
from portside.api.loop_thread import loop_thread
from portside.api.preparation import Request, prepare, read_request
from portside.behaviours.connection import Connection
from portside.errors import InvalidValue, PortsideError
from portside.events import CloseReason
from portside.feed.transcript import Transcript
from portside.socket_class import Socket
from portside.sync import Connection as SyncConnection
from portside.testing.player import MOST_CONNECTIONS
from portside.testing.report import failure_text, transcript_lines
from portside.testing.script import Fault, as_fault
from portside.wire.faults.model import KINDS, FaultSpec

if TYPE_CHECKING:
    from portside.server.behaviour import Behaviour

Result = TypeVar("Result")

TRANSCRIPT_BYTES = 256 * 1024  # of each connection
_WHOLE_BYTES = 256 * 1024  # of the transcript of all connections, for the report
_ADDRESSES = ("127.0.0.1:0",)
_NO_KEEPALIVE: Mapping[str, Any] = {"keepalive": None}
CALL_S = 10.0  # that a call on the server's thread may take
END_S = 1.0  # for an end that is on its way


@lru_cache(1)
def _plain_request(flags: tuple[str, ...]) -> Request:
    """The request of a server without options, which most tests have."""
    return read_request(_ADDRESSES, None, TRANSCRIPT_BYTES, _NO_KEEPALIVE, flags=flags)


class TcpConnection(SyncConnection):
    """A connection of a test's server: ``portside.sync.Connection``, which outlives its end.

    ``transcript``, ``received`` and ``sent`` have its newest 256 KiB. ``send``, ``half_close``, ``close`` and ``reset``
    act on it beside its script.

        assert tcp_server.connections[0].received == b"HELO me\\r\\nQUIT\\r\\n"
    """

    def __init__(self, peer: "Peer", connection: Connection) -> None:
        """For Portside itself."""
        super().__init__(peer.thread, connection)
        self._peer = peer

    @property
    def received(self) -> bytes:
        """The bytes that the client has sent."""
        return self.transcript.received

    @property
    def sent(self) -> bytes:
        """The bytes that the client was sent."""
        return self.transcript.sent

    @property
    def transcript(self) -> Transcript:
        """A record of what has passed until now, with what the client has sent just before."""
        self._peer.settle()
        return super().transcript

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed, also by what the client has done just before."""
        self._peer.settle()
        return super().is_closed

    @property
    def reason(self) -> CloseReason | None:
        """Why the connection has ended; waits up to a second for an end that may be on its way. None: it is open."""
        self._wait_end()
        return super().reason

    @property
    def closed_by(self) -> Literal["peer", "local"] | None:
        """Which end has ended the connection; waits up to a second for an end that may be on its way.

        None while it is open.
        """
        self._wait_end()
        return super().closed_by

    def _wait_end(self) -> None:
        self._peer.settle()
        if not self._connection.is_closed and not self._peer.expects_more(self.number):
            with suppress(TimeoutError):
                self._thread.call(self._connection.wait_closed(), END_S)


class Peer:
    """A server on a thread of its own, whatever loop the test runs in; any thread may use it.

    ``host`` and ``port`` are where it listens. Leaving ``with``, and ``close``, closes it and its connections.
    """

    def __init__(
        self,
        label: str,
        addresses: Sequence[str | int],
        options: Mapping[str, Any],
        *,
        handler: Handler | None = None,
        make_behaviour: "Callable[[], Behaviour | None]" = lambda: None,
        record: str | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        """For Portside itself. Raises PortsideError where it cannot listen."""
        self.label = label
        self.record = record
        self.thread = loop_thread()
        self._pid = os.getpid()
        self._connections: list[TcpConnection] = []
        self.whole = Transcript(_WHOLE_BYTES)  # of all connections; the server's thread's
        self.is_over = False
        if addresses or options or record or handler or not flags:
            given = {**_NO_KEEPALIVE, **options, **({"record": record} if record else {})}
            request = read_request(addresses or _ADDRESSES, handler, TRANSCRIPT_BYTES, given, flags=flags)
        else:
            request = _plain_request(tuple(flags))
        prepared = prepare(request, Socket)

        def start() -> api_server.Server:
            embedding = api_server.Embedding(make_behaviour(), self._opened, self.whole.add)
            return api_server.start(request, prepared, embedding)

        self._server = server = self.thread.get(start, CALL_S)
        self._faults = list(server.faults)
        self.addresses: tuple[str, ...] = server.addresses
        self.host: str = server.host
        self.port: int = server.port

    def __repr__(self) -> str:
        return f"<portside.testing.{type(self).__name__} on {', '.join(self.addresses)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> str:
        """The first address, as it is shown: ``127.0.0.1:41233``."""
        return self.addresses[0]

    @property
    def connections(self) -> tuple[TcpConnection, ...]:
        """The connections so far, closed ones too, in the order of their numbers; the first 1,000."""
        self.settle()
        return tuple(self._connections)

    @property
    def transcript(self) -> Transcript:
        """A record of all connections until now, in the order of time."""
        self.settle()
        return self.get(self.whole.copy)

    def fault(self, fault: Fault) -> None:
        """Put a fault on every connection that is open, and on those that come: text or a value of ``testing.faults``.

        Raises ValueError for a fault that cannot be read, and for one of the port, which the factory takes.

        Example::

            tcp_server.fault("latency 200ms")
        """
        spec = as_fault(fault)
        if not KINDS[spec.kind].selectable:
            raise ValueError(f"{spec.kind} is a fault of the port: give it to the factory, as faults=[{spec.text!r}]")

        def put() -> None:
            self._faults.append(spec)
            self._server.use_faults(self._faults)
            for connection in self._server.connections:
                self.put_fault(connection.number, spec)

        self.get(put)

    def clear_faults(self) -> None:
        """Take out all faults, those given at the start too; what they hold back passes on.

        Example::

            tcp_proxy_of_redis.clear_faults()
        """

        def clear() -> None:
            self._faults.clear()
            self._server.use_faults(())
            operator = self._server.operator
            for connection in self._server.connections:
                for placed in operator.faults(connection.number):
                    operator.remove_fault(connection.number, placed.number, "test")

        self.get(clear)

    def put_fault(self, number: int, fault: FaultSpec) -> None:
        """Put a fault on a connection, on the server's thread, unless it is closed or the fault is for new ones."""
        from portside.server.operator import ActRefused

        with suppress(ActRefused, InvalidValue):
            self._server.operator.insert_fault(number, fault.text, "test")

    def close(self) -> None:
        """Close the port and all connections. A second call does nothing, nor does one in a process that was forked."""
        if self.is_over or self._pid != os.getpid():
            return
        self.is_over = True
        if self.thread.is_alive:
            with suppress(TimeoutError, PortsideError):
                self.thread.call(self._server.close(), CALL_S)
        else:
            with suppress(StopIteration):  # nothing is awaited where the loop is closed
                self._server.close().send(None)

    def get(self, function: Callable[[], Result]) -> Result:
        """The result of a function that is called on the server's thread."""
        return self.thread.get(function, CALL_S)

    def settle(self) -> None:
        """Have the server do what it has to do with all that has reached its sockets until now."""
        if not self.is_over and self._pid == os.getpid():
            self.thread.call(turn(), CALL_S)

    def expects_more(self, number: int) -> bool:
        """Whether a connection's script is not over: nothing waits for its end then."""
        return False

    def report(self) -> str:
        """The transcript, for a test that has failed."""
        heading = f"transcript of {self.address}:"
        return failure_text("", [(heading, list(transcript_lines(self.transcript)))]).strip("\n")

    def sockets(self) -> "set[tuple[int, int]]":
        """The sockets of the server itself, each as device and inode."""
        return self.get(self._sockets)

    def _sockets(self) -> "set[tuple[int, int]]":
        found = set()
        for fd in self._server.descriptors():
            with suppress(OSError):
                status = os.fstat(fd)
                found.add((status.st_dev, status.st_ino))
        return found

    def _opened(self, connection: Connection) -> None:
        if len(self._connections) < MOST_CONNECTIONS:
            self._connections.append(TcpConnection(self, connection))


async def turn() -> None:
    """Let the loop look at its sockets, and again for what follows from the first look."""
    for _ in range(4):
        await asyncio.sleep(0)
