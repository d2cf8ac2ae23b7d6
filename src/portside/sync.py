"""Servers, connections and ``Control`` for programs without an event loop: the same ones, on a thread that has a loop.

``portside.sync.connect``, ``listen``, ``watch`` and ``Control`` take what those of ``portside`` take. Each call waits
until it is done, at most as long as ``settimeout`` allows, and may come from any thread. All of a process share one
thread, which is started at the first use. Ctrl-C ends the call that waits, and leaves the connection open.

>>> with portside.sync.connect("127.0.0.1:12345") as connection:
...     connection.send(b"hello\\n")
...     print(next(connection.lines()))
b'hello\\n'

A process that was forked has a thread of its own, and cannot use what its parent has opened.
"""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, TypeVar, Unpack

from portside.api import connect as _api_connect
from portside.api import server as _api_server
from portside.api import watch as _api_watch
from portside.api.control import Control as _AsyncControl
from portside.api.loop_thread import LoopThread, Stream, Waiting, called, loop_thread
from portside.api.thread_stream import ThreadStream
from portside.feed.transcript import DEFAULT_BYTES, Transcript

if TYPE_CHECKING:
    import ssl

    from portside.api.options import ConnectOptions, Duration, ListenOptions, Size
    from portside.app.socket_events import SocketEvent
    from portside.behaviours.connection import Connection as AsyncConnection
    from portside.events import CloseReason, Event, Tls
    from portside.kernel.models import Socket
    from portside.kernel.views import View

__all__ = ["Connection", "Control", "Server", "Stream", "connect", "listen", "watch"]

P = ParamSpec("P")
Result = TypeVar("Result")


class Connection(Waiting):
    """An open TCP connection, at either end: ``portside.Connection`` with calls that wait.

    Leaving ``with`` closes it in order. The methods raise ConnectionResetError once the connection has ended otherwise
    than by the peer's FIN, and TimeoutError after the time that ``settimeout`` has set.

    >>> with portside.sync.connect("127.0.0.1:12345") as connection:
    ...     connection.settimeout(5)
    ...     connection.send(b"one\\ntwo\\n")
    ...     connection.half_close()
    ...     print(list(connection.lines()))
    [b'one\\n', b'two\\n']
    """

    def __init__(self, thread: LoopThread, connection: "AsyncConnection") -> None:
        """For Portside itself."""
        super().__init__(thread)
        self._connection = connection
        self.number: int = connection.number
        self.peer: str = connection.peer
        self.local: str = connection.local
        self.tls: Tls | None = connection.tls

    def __repr__(self) -> str:
        return repr(self._connection).replace("portside.Connection", "portside.sync.Connection")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed."""
        return self._connection.is_closed

    @property
    def reason(self) -> "CloseReason | None":
        """Why the connection has ended; None while it is open."""
        return self._connection.reason

    @property
    def error(self) -> str | None:
        """The network's error in words, where ``reason`` is ``error``."""
        return self._connection.error

    @property
    def closed_by(self) -> Literal["peer", "local"] | None:
        """Which end has ended the connection; None while it is open."""
        return self._connection.closed_by

    @property
    def received_bytes(self) -> int:
        """Bytes that have come from the peer, taken by ``receive`` or not."""
        return self._connection.received_bytes

    @property
    def sent_bytes(self) -> int:
        """Bytes that were sent to the peer; without those that wait here because it does not read."""
        return self._connection.sent_bytes

    @property
    def transcript(self) -> Transcript:
        """A record of what has passed until now."""
        return self._get(self._connection.transcript.copy)

    def kernel(self) -> "Socket":
        """The kernel's facts of the connection's own socket, as ``watch --json``."""
        return self._wait(self._connection.kernel())

    def receive(self, most: int = 65536) -> bytes:
        """The next bytes from the peer, 1 to ``most``; empty after its FIN."""
        return self._wait(self._connection.receive(most))

    def lines(self) -> Iterator[bytes]:
        """The peer's lines up to its FIN, each with its line feed; the last one may lack it."""
        return self._each(self._connection.lines())

    def frames(self, frame: str) -> Iterator[bytes]:
        """The peer's messages up to its FIN, framed as by ``--frame``. Raises ValueError for any other framing."""
        return self._each(self._connection.frames(frame))

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send the bytes of a bytes-like object; waits while the peer does not read."""
        self._wait(self._connection.send(data))

    def half_close(self) -> None:
        """Half-close: send FIN after everything sent so far; the peer may go on sending."""
        self._wait(self._connection.half_close())

    def reset(self) -> None:
        """Send RST: bytes that are still buffered are lost at both ends."""
        self._wait(self._connection.reset())

    def close(self) -> None:
        """Close in order, and wait until that is done; 10 s at most, for a peer that does not read."""
        self._thread.call(self._connection.close())

    def wait_closed(self) -> None:
        """Wait until the connection is closed, from either end."""
        self._wait(self._connection.wait_closed())


class Server(Waiting):
    """A server on the loop's thread: ``portside.Server`` with calls that wait. Leaving ``with`` closes it.

    >>> server = portside.sync.listen("127.0.0.1:0", echo=True)
    >>> server.host, server.connections
    ('127.0.0.1', ())
    >>> server.close()
    """

    def __init__(self, thread: LoopThread, server: _api_server.Server) -> None:
        """For Portside itself."""
        super().__init__(thread)
        self._server = server
        self.addresses: tuple[str, ...] = server.addresses
        self.host: str = thread.call(called(lambda: server.host))
        self.port: int = thread.call(called(lambda: server.port))

    def __repr__(self) -> str:
        return repr(self._server).replace("portside.Server", "portside.sync.Server")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that are open, in the order of their numbers."""
        found = self._get(lambda: self._server.connections)
        return tuple(Connection(self._thread, each) for each in found)

    @property
    def is_closed(self) -> bool:
        """Whether the server is closed."""
        return self._server.is_closed

    def accept(self) -> Connection:
        """The next connection, of a server without a handler. Raises ConnectionError once the server is closed."""
        return Connection(self._thread, self._wait(self._server.accept()))

    def events(self) -> "Iterator[Event]":
        """All events from now on, until the server has stopped; nothing is left out."""
        return self._each(self._get(self._server.events))

    def drain(self, within: "Duration | None" = None) -> None:
        """Accept nobody any more, wait for the clients to leave, at most ``within`` seconds, and close."""
        self._wait(self._server.drain(within))

    def close(self) -> None:
        """Close the ports, and every connection in order."""
        self._thread.call(self._server.close())


def _waiting(
    method: Callable[Concatenate[_AsyncControl, P], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate["Control", P], Result]:
    """A method of ``portside.Control`` as one that waits for its result."""

    def call(self: "Control", /, *args: P.args, **kwargs: P.kwargs) -> Result:
        return self._wait(method(self._control, *args, **kwargs))

    return _described(call, method)


def _iterating(
    method: Callable[Concatenate[_AsyncControl, P], AsyncIterator[Result]],
) -> Callable[Concatenate["Control", P], Iterator[Result]]:
    """A method of ``portside.Control`` that gives items, as one that waits for each."""

    def call(self: "Control", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Result]:
        return self._each(method(self._control, *args, **kwargs))

    return _described(call, method)


def _streaming(
    method: Callable[Concatenate[_AsyncControl, P], ThreadStream[Result]],
) -> Callable[Concatenate["Control", P], Stream[Result]]:
    """A method of ``portside.Control`` that gives events, as one that waits for each."""

    def call(self: "Control", /, *args: P.args, **kwargs: P.kwargs) -> Stream[Result]:
        return Stream(self._thread, method(self._control, *args, **kwargs))

    return _described(call, method)


def _described(call: Callable[P, Result], method: Callable[..., object]) -> Callable[P, Result]:
    """A call with the name, the text and the parameters of a method, for help()."""
    signature = inspect.signature(method)
    returned = signature.return_annotation
    text = returned if isinstance(returned, str) else inspect.formatannotation(returned)
    waited = text.replace("AsyncIterator", "Iterator").replace("ThreadStream", "Stream")
    update_wrapper(call, method)
    call.__signature__ = signature.replace(return_annotation=returned if waited == text else waited)  # type: ignore[attr-defined]
    return call


class Control(Waiting):
    """The control API of a server that runs: ``portside.Control`` with calls that wait, each as ``settimeout`` allows.

    ``server`` is a process, an address that it listens on, or the link of its page; without it the only one that runs.
    ``tls`` is for a link that begins with https. The methods raise PortsideError where the server cannot be reached or
    refuses, FilterError, a ValueError, for a filter that cannot be read, and TimeoutError.

    >>> control = portside.sync.Control("127.0.0.1:12345")
    >>> [each["peer"] for each in control.connections("conn = 1")]
    ['127.0.0.1:41184']
    >>> control.note(1, "the slow one")["note"]
    'the slow one'
    """

    def __init__(self, server: int | str | None = None, *, tls: "ssl.SSLContext | None" = None) -> None:
        """Nothing is asked yet."""
        super().__init__(loop_thread())
        self._control = _AsyncControl(server, tls=tls)

    # A test compares this list with the methods of portside.Control, whose parameters and texts these have.
    server = _waiting(_AsyncControl.server)
    connections = _iterating(_AsyncControl.connections)
    connection = _waiting(_AsyncControl.connection)
    messages = _waiting(_AsyncControl.messages)
    findings = _waiting(_AsyncControl.findings)
    events = _streaming(_AsyncControl.events)
    send = _waiting(_AsyncControl.send)
    close = _waiting(_AsyncControl.close)
    pause = _waiting(_AsyncControl.pause)
    resume = _waiting(_AsyncControl.resume)
    throttle = _waiting(_AsyncControl.throttle)
    faults = _waiting(_AsyncControl.faults)
    add_fault = _waiting(_AsyncControl.add_fault)
    remove_fault = _waiting(_AsyncControl.remove_fault)
    note = _waiting(_AsyncControl.note)
    broadcast = _waiting(_AsyncControl.broadcast)
    limits = _waiting(_AsyncControl.limits)
    allow = _waiting(_AsyncControl.allow)
    deny = _waiting(_AsyncControl.deny)
    drain = _waiting(_AsyncControl.drain)


def connect(
    address: str | int, *, transcript: "Size" = DEFAULT_BYTES, **options: "Unpack[ConnectOptions]"
) -> Connection:
    """A connection to a server: ``portside.connect`` for programs without a loop. Raises what that raises.

    >>> with portside.sync.connect("127.0.0.1:12345", timeout="2s") as connection:
    ...     connection.send(b"hello\\n")
    ...     print(connection.receive())
    b'hello\\n'
    """
    thread = loop_thread()
    opening = _api_connect.connect(address, transcript=transcript, **options)
    return Connection(thread, thread.call(opening.open()))


def listen(
    *addresses: str | int,
    handler: Callable[[Connection], object] | None = None,
    transcript: "Size" = DEFAULT_BYTES,
    **options: "Unpack[ListenOptions]",
) -> Server:
    """A server on the loop's thread: ``portside.listen`` for programs without a loop. Raises what that raises.

    ``handler`` is a plain function, called with each connection on a thread of its own; the connection is closed in
    order when it returns.

    >>> def shout(connection: portside.sync.Connection) -> None:
    ...     for line in connection.lines():
    ...         connection.send(line.upper())
    >>> with portside.sync.listen("127.0.0.1:0", handler=shout) as server:
    ...     with portside.sync.connect(server.port) as client:
    ...         client.send(b"hello\\n")
    ...         print(client.receive())
    b'HELLO\\n'
    """
    thread = loop_thread()

    async def handle(connection: "AsyncConnection") -> None:
        if handler is not None:
            await _on_own_thread(handler, Connection(thread, connection))

    opening = _api_server.listen(
        *addresses, handler=None if handler is None else handle, transcript=transcript, **options
    )
    return Server(thread, thread.call(opening.open()))


def watch(
    filter: str | None = None,  # noqa: A002 - it is the filter, here as everywhere
    *,
    view: "View | None" = None,
    netns: str | None = None,
    source: str | None = None,
    owners: bool = True,
    interval: "Duration" = 1.0,
) -> "Stream[SocketEvent]":
    """An event each time a connection of this machine opens, changes its state or closes: ``portside.watch``, waiting.

    It begins with the first ``next`` or with ``with``, and ends with the iterator. Raises what ``portside.watch`` does.

    >>> with portside.sync.listen("127.0.0.1:0", echo=True) as server:
    ...     with portside.sync.watch(f"dport = :{server.port}", interval="100ms") as events:
    ...         with portside.sync.connect(server.port):
    ...             pass
    ...         print(next(events).event)
    opened
    """
    events = _api_watch.watch(filter, view=view, netns=netns, source=source, owners=owners, interval=interval)
    return Stream(loop_thread(), events)


async def _on_own_thread(handler: Callable[[Connection], object], connection: Connection) -> None:
    """Call a plain function on a thread that the end of the program does not wait for; raises what it raises."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def call() -> None:
        failure: BaseException | None = None
        try:
            handler(connection)
        except Exception as error:  # noqa: BLE001 - it is raised where the handler is awaited
            failure = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=call, name=f"portside handler {connection.number}", daemon=True).start()
    await done
