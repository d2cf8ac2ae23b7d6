"""``portside connect``: connect, move bytes in both directions, and show and record them.

Most runs are short and move plain bytes, so modules that only some runs need are imported where they are needed.
"""

import os
import signal
import socket
import sys
import time
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING

from portside.addresses import Address
from portside.app.notices import write_notice
from portside.app.signals import ending_signals
from portside.app.stdout import ends_with_reader, write_lines
from portside.client.dial import NOTHING_LISTENS, ClientConnection, ConnectOptions, connect, display_name, retry
from portside.client.pipe import ConnectionFailed, Pipe
from portside.client.stdio import OutputClosed, Stdio
from portside.errors import PortsideError
from portside.settings.connect import Connect
from portside.tls.first_bytes import is_alert
from portside.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.app.event_observer import EventObserver
    from portside.client.proxy import ProxyUrl
    from portside.events import CloseReason

_INPUT_ENDED = "end of input: the peer was told, and may still answer"
_MAX_TIMEOUT_S = 1e6  # eleven days: every system call takes that


def run(settings: Connect, address: Address, proxy: "ProxyUrl | None", program: list[str] | None) -> int:
    """Connect and move bytes until the connection ends: the exit status.

    ``program`` is a command, split into words, that runs in place of standard input and output.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    family = socket.AF_INET if settings.ipv4 else socket.AF_INET6 if settings.ipv6 else socket.AF_UNSPEC
    options = ConnectOptions(min(settings.timeout, _MAX_TIMEOUT_S), family, settings.source, settings.keepalive)

    start_tls: Callable[[ClientConnection], ClientConnection] | None = None
    if settings.tls:
        from portside.app.connect_tls import make_tls_starter

        start_tls = make_tls_starter(settings, address, options.timeout)

    def attempt() -> int | ClientConnection:
        if settings.scan:
            return _scan(settings, address, options)
        try:
            connection = _dial(address, proxy, options)
        except PortsideError as error:
            if error.hint == NOTHING_LISTENS and settings.retry == 0:
                error.hint = f"{NOTHING_LISTENS}; --retry 5 tries again, for a server that is still to come up"
            raise
        return connection if start_tls is None else start_tls(connection)

    tells = _tells_progress(settings)
    with ends_with_reader() if settings.scan or settings.retry != 0 else nullcontext():
        result = retry(
            attempt,
            tries=settings.retry,
            interval=min(settings.retry_interval, _MAX_TIMEOUT_S),
            on_failure=write_notice if tells else lambda _: None,
        )
    if isinstance(result, int):
        return result
    if tells:
        through = f" through {proxy}" if proxy else ""
        write_notice(f"connected to {result.peer}{through} from {result.local}")
    if result.tls is not None:
        from portside.app.connect_tls import report_handshake, report_truncation

        if settings.verbose:
            report_handshake(result)
    with result.sock:
        status = _move_bytes(settings, result, program)
        if result.tls is not None:
            report_truncation(result)
    return status


def _tells_progress(settings: Connect) -> bool:
    """Whether the run tells how far it has come: with -v, and on a terminal."""
    return settings.verbose or (sys.stderr.isatty() and (sys.stdin.isatty() or sys.stdout.isatty()))


def _dial(address: Address, proxy: "ProxyUrl | None", options: ConnectOptions) -> ClientConnection:
    if proxy is None:
        return connect(address, options)
    from portside.client.proxy import connect_through

    return connect_through(proxy, address, options)


def _observer(settings: Connect, connection: ClientConnection) -> "EventObserver | None":
    """The observer of what passes, where a format other than raw or a recording needs one."""
    if not settings.is_formatted and settings.record is None:
        return None
    from portside.app.event_observer import EventObserver

    return EventObserver(settings, connection)


def _scan(settings: Connect, address: Address, options: ConnectOptions) -> int:
    """Print the ports that are open: the exit status. Raises PortsideError where none is."""
    from portside.client.scan import scan

    count = len(address.ports)
    any_open = False
    failure = ""
    for result in scan(address, options):
        if result.failure is None:
            any_open = True
            if not write_lines([str(result)]):
                return 0
        else:
            failure = result.failure
            if settings.verbose and count > 1:
                write_notice(str(result))
    if not any_open:
        raise PortsideError(display_name(address), failure if count == 1 else f"none of {count} ports is open")
    return 0


def _move_bytes(settings: Connect, connection: ClientConnection, command: list[str] | None) -> int:
    """Move bytes over a connection until it ends, for standard input and output or a program in their place.

    The result is the exit status, which is the program's where there is one.
    """
    if command is None:
        sink = None if settings.send_only or settings.is_formatted else 1
        source = None if settings.recv_only else 0
        make_stdio: Callable[[int | None, int | None], Stdio] = Stdio
        if settings.format is None and os.isatty(1):
            from portside.client.terminal_stdio import TerminalStdio

            make_stdio = partial(TerminalStdio, encoding=settings.encoding)
        _move(settings, connection, make_stdio(source, sink))
        return 0
    from portside.client.process import Program

    program = Program(command)
    try:
        _move(settings, connection, program, program.terminate)
    finally:
        status = program.end()
    return status


def _move(
    settings: Connect, connection: ClientConnection, stdio: Stdio, on_signal: "Callable[[], None] | None" = None
) -> None:
    """Move bytes between ``stdio`` and the peer; ``on_signal`` is called before a signal ends the run."""
    crlf = None
    tells = _tells_progress(settings)
    if settings.crlf:
        from portside.wire.newlines import CrLf

        crlf = CrLf()
    began = time.monotonic()
    observer = _observer(settings, connection)
    pipe = Pipe(
        connection.sock,
        connection.peer,
        stdio,
        crlf=crlf,
        half_close=not settings.no_shutdown,
        ends_when_sent=settings.send_only,
        idle_timeout=settings.idle_timeout,
        half_close_timeout=settings.half_close_timeout,
        keepalive=settings.keepalive,
        on_half_closed=partial(write_notice, _INPUT_ENDED) if tells and sys.stdin.isatty() else None,
        observer=observer,
        output=1 if settings.is_formatted or stdio.sink == 1 else None,
    )
    reason: CloseReason
    failure: PortsideError | None = None
    steps = [] if on_signal is None else [on_signal]
    if observer is not None:
        steps.append(lambda: observer.end_now(time.monotonic() - began))
    with ending_signals(*steps) if steps else nullcontext():
        try:
            if observer is not None:
                observer.opened()
            reason = pipe.run()
        except OutputClosed:
            reason = "local_closed"
        except PortsideError as error:
            reason = error.reason if isinstance(error, ConnectionFailed) else "error"
            failure = error
        with suppress(OutputClosed, PortsideError):  # the same output may have ended the run
            stdio.finish()
        duration = time.monotonic() - began
        if observer is not None:
            observer.closed(reason, duration, failure.why if failure and reason == "error" else None)
    if tells:
        from portside.feed.render.text import CLOSED

        after = f"{CLOSED[reason]} after {format_duration(duration)}"
        write_notice(f"{after}, {pipe.received} B in, {pipe.sent} B out")
    if connection.tls is None and is_alert(pipe.first_bytes):
        write_notice(f"{connection.peer} answered with a TLS alert: this looks like TLS: --tls")
    if failure is not None:
        raise failure
