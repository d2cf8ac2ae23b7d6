"""``portside connect``: dialling, the two directions and what is shown, put together.

Most runs move plain bytes and are short, so what only some of them need is imported where it is needed.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from portside.addresses import Address
from portside.app.output import put
from portside.app.say import say, wants_colour
from portside.client.dial import Dialled, Route, connect, named, retrying
from portside.client.ends import Ends, OutputClosed
from portside.client.pipe import Broken, Pipe
from portside.errors import PortsideError
from portside.settings import Connect
from portside.units import format_duration

if TYPE_CHECKING:
    from portside.client.process import Program
    from portside.client.proxy import Proxy
    from portside.events import CloseReason, Event

_LONGEST_S = 1e6  # eleven days: a longer time-out is cut to what every system call takes


def run(settings: Connect, address: Address, proxy: "Proxy | None", program: list[str] | None) -> int:
    """Connect and move bytes until the connection ends; the exit status.

    ``program`` are the words of a command that runs in place of standard input and output.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    family = socket.AF_INET if settings.ipv4 else socket.AF_INET6 if settings.ipv6 else socket.AF_UNSPEC
    route = Route(min(settings.timeout, _LONGEST_S), family, settings.source)

    def attempt() -> int | Dialled:
        if settings.scan:
            return _scan(settings, address, route)
        return _dial(address, proxy, route)

    result = retrying(
        attempt,
        tries=settings.retry,
        interval=min(settings.retry_interval, _LONGEST_S),
        say=say if settings.verbose else lambda _: None,
    )
    if isinstance(result, int):
        return result
    if settings.verbose:
        through = f" through {proxy}" if proxy else ""
        say(f"connected to {result.peer}{through} from {result.local}")
    with result.sock:
        _serve(settings, result, program)
    return 0


def _dial(address: Address, proxy: "Proxy | None", route: Route) -> Dialled:
    if proxy is None:
        return connect(address, route)
    from portside.client.proxy import connect_through

    return connect_through(proxy, address, route)


def _scan(settings: Connect, address: Address, route: Route) -> int:
    """Say which ports are open. Raises PortsideError where none is."""
    from portside.client.scan import scan

    count = len(address.ports)
    anything_open = False
    failure = ""
    for finding in scan(address, route):
        if finding.failure is None:
            anything_open = True
            if not put([f"{finding}\n".encode()]):
                return 0
        else:
            failure = finding.failure
            if settings.verbose and count > 1:
                say(str(finding))
    if not anything_open:
        raise PortsideError(named(address), failure if count == 1 else f"none of {count} ports is open")
    return 0


def _serve(settings: Connect, dialled: Dialled, words: list[str] | None) -> None:
    """Move bytes over a connection until it ends."""
    if words is None:
        sink = None if settings.send_only or settings.format != "raw" else 1
        _move(settings, dialled, Ends(None if settings.recv_only else 0, sink))
        return
    from portside.client.process import Program

    program = Program(words)
    with _signals_ending(program):
        try:
            _move(settings, dialled, program)
        finally:
            program.end()


def _move(settings: Connect, dialled: Dialled, ends: Ends) -> None:
    crlf = None
    if settings.crlf:
        from portside.wire.newlines import CrLf

        crlf = CrLf()
    began = time.monotonic()
    shown = None if settings.format == "raw" else _Shown(settings, dialled)
    pipe = Pipe(
        dialled.sock,
        dialled.peer,
        ends,
        crlf=crlf,
        half_close=not settings.no_shutdown,
        ends_when_sent=settings.send_only,
        idle_timeout=settings.idle_timeout,
        observer=shown,
    )
    reason: CloseReason
    failure: PortsideError | None = None
    try:
        if shown is not None:
            shown.opened()
        reason = pipe.run()
    except OutputClosed:
        reason = "local_closed"
    except PortsideError as error:
        reason = error.reason if isinstance(error, Broken) else "error"
        failure = error
    duration = time.monotonic() - began
    if shown is not None:
        shown.closed(reason, pipe, duration, failure.why if failure and reason == "error" else None)
    if settings.verbose:
        from portside.feed.render.text import CLOSED

        after = f"{CLOSED[reason]} after {format_duration(duration)}"
        say(f"{after}, {pipe.received} B in, {pipe.sent} B out")
    if failure is not None:
        raise failure


class _Shown:
    """The connection as events on standard output (``client.sender.Observer``)."""

    def __init__(self, settings: Connect, dialled: Dialled) -> None:
        from portside import events
        from portside.feed.render import make_renderer

        self._events = events
        self._peer, self._local = dialled.peer, dialled.local
        self._shows_received = not settings.send_only
        self._output = Ends(None, 1)
        self._over = False
        self._renderer = make_renderer(settings.format, colour=wants_colour(sys.stdout), terminal=sys.stdout.isatty())
        self.turn = threading.RLock()

    @property
    def due(self) -> float | None:
        return self._renderer.due

    def opened(self) -> None:
        """The connection is there."""
        self._tell(lambda at: self._events.Opened(at, 1, self._peer, self._local))

    def received(self, data: bytes) -> None:
        if self._shows_received:
            self._tell(lambda at: self._events.Received(at, 1, self._peer, data))

    def sent(self, data: bytes) -> None:
        self._tell(lambda at: self._events.Sent(at, 1, self._peer, data))

    def half_closed(self) -> None:
        self._tell(lambda at: self._events.HalfClosed(at, 1, self._peer))

    def closed(self, reason: "CloseReason", pipe: Pipe, duration: float, error: str | None) -> None:
        """The connection has ended, after ``duration`` seconds."""
        counts = pipe.received, pipe.sent, round(duration, 6)
        with self.turn:
            try:
                self._tell(lambda at: self._events.Closed(at, 1, self._peer, reason, *counts, error))
            except (OutputClosed, PortsideError):
                pass  # what ended the run has been said, and this would be about the same output
            self._over = True

    def tick(self) -> None:
        with self.turn:
            self._write(self._renderer.tick(time.monotonic()))

    def _tell(self, event_at: Callable[[int], "Event"]) -> None:
        """Tell of an event, which is made here so that the times of two threads are in order, too."""
        with self.turn:
            if not self._over:
                self._write(self._renderer.render([event_at(time.time_ns())]))

    def _write(self, pieces: list[bytes]) -> None:
        self._output.write(memoryview(b"".join(pieces)))


@contextmanager
def _signals_ending(program: "Program") -> Iterator[None]:
    """Let a signal that ends us end the program first.

    The handler does all of it: an exception that it raised could be lost in whatever it interrupted.
    """
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL
    ]

    def end(number: int, _: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        program.terminate()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
