"""``portside listen``: listeners, server, feed and sinks, standard input and signals, put together."""

import asyncio
import ctypes
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal

from portside.app.behaviour import make_behaviour
from portside.app.faults import make_fault_injector
from portside.app.loop import run as run_loop
from portside.app.notices import wants_colour, write_notice
from portside.app.stdin import StandardInput
from portside.errors import PortsideError, reason_of
from portside.events import CloseReason, Listening, Stopped
from portside.feed.bus import EventBus
from portside.feed.render import Renderer, make_renderer
from portside.feed.render.filters import DropReceived
from portside.feed.sinks import LosslessSink, TerminalSink
from portside.feed.writer import NullWriter, Writer, is_null_device, open_output
from portside.server.admission import Admission
from portside.server.broadcast import Broadcast
from portside.server.connection import Connection
from portside.server.listener import Listener
from portside.server.pre_connect import PreConnect
from portside.server.server import Server
from portside.settings.listen import Listen
from portside.wire.newlines import CrLf

PATIENCE_S = 0.5  # what an end in order waits for a peer or a reader that takes nothing
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _KEEP_BYTES = -1, -3, 16 << 20
_SAME_SIGNAL_S = 0.1  # a signal may come twice: GNU timeout passes it on to its child and to the whole group
_EXHAUSTION_REPORT_S = 10.0  # how often it is said that no descriptor is left
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FORMATS_BY_END = {".jsonl": "json", ".hex": "hex", ".raw": "raw"}

if TYPE_CHECKING:
    from portside.app.rules import RulesReloader
    from portside.record.recorder import Recorder

StopReason = Literal["signal", "once", "output_closed"]


def run(settings: Listen, listeners: list[Listener], admission: Admission, pre_connect: PreConnect) -> int:
    """Serve until the end; the exit status. Signals that end it are blocked before and after."""
    _raise_descriptor_limit()
    _keep_freed_memory()
    return run_loop(_Run(settings, admission, pre_connect).serve(listeners))


class _Run:
    """One run of the server."""

    def __init__(self, settings: Listen, admission: Admission, pre_connect: PreConnect) -> None:
        self._settings = settings
        self._admission = admission
        self._pre_connect = pre_connect
        self._status = 0
        self._stopping: asyncio.Future[StopReason]
        self._troubled: set[str] = set()
        self._files: list[Writer] = []
        self._sinks: list[LosslessSink] = []
        self._recorder: Recorder | None = None
        self._reloading: RulesReloader | None = None
        self._hurry = threading.Event()  # what is not written soon is lost; without it, it is waited for
        self._signals = 0
        self._signalled_at = 0.0
        self._exhaustion_reported_at = -_EXHAUSTION_REPORT_S

    async def serve(self, listeners: list[Listener]) -> int:
        settings = self._settings
        self._loop = loop = asyncio.get_running_loop()
        loop.set_exception_handler(_say_exception)
        self._stopping = loop.create_future()
        self._feed = feed = EventBus(loop)
        self._behaviour = make_behaviour(settings)
        if settings.rules is not None:
            from portside.app.rules import RulesReloader

            self._reloading = RulesReloader(settings.rules, settings.frame, self._behaviour)
        self._server = server = Server(
            loop,
            feed.publish,
            admission=self._admission,
            idle_timeout=settings.idle_timeout,
            shows_received=not settings.send_only or settings.record is not None,
            shows_sent=settings.format != "raw" or bool(settings.output) or settings.record is not None,
            most_clients=1 if settings.once else None,
            behaviour=self._behaviour,
            greeting=settings.greet,
            faults=make_fault_injector(loop, settings, feed.publish),
            pre_connect=self._pre_connect,
        )
        try:
            self._open_sinks()
        except BaseException:
            for listener in listeners:
                listener.close()
            raise
        self._feed_has_room = asyncio.Event()
        self._feed_has_room.set()
        feed.on_full, feed.on_drained = self._full, self._room
        server.acceptor.on_descriptors_exhausted = self._descriptors_exhausted
        server.on_closed = self._closed
        server.on_opened = self._opened
        self._handle_signals()
        self._connect_stdin()
        for listener in listeners:
            feed.publish(Listening(time.time_ns(), listener.name))
            if settings.format == "raw":
                write_notice(f"listening on {listener.name}")
        server.acceptor.start(listeners)
        reason = await self._stopping
        if reason == "signal" and self._drain:
            server.acceptor.stop_listening()
            await server.wait_empty(self._drain)
        await server.shut_down(patience=PATIENCE_S)
        await self._behaviour.end()
        if reason != "once":
            self._hurry.set()
        feed.publish(Stopped(time.time_ns(), reason))
        feed.flush()
        await loop.run_in_executor(None, self._close_sinks)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # the loop gives its handlers back, and it is ending
        return self._status

    # Where events go.

    def _open_sinks(self) -> None:
        settings = self._settings
        terminal = sys.stdout.isatty()
        renderer = self._renderer(settings.format, colour=wants_colour(sys.stdout), terminal=terminal)
        writer = self._writer(1, "standard output", self._stdout_broken)
        self._add_sink(TerminalSink(renderer, writer) if terminal else LosslessSink(renderer, writer))
        for path in settings.output:
            try:
                fd = open_output(path)
            except OSError as error:
                raise PortsideError(f"cannot write {path}", error) from None
            name = _FORMATS_BY_END.get(os.path.splitext(path)[1], "text")
            writer = self._writer(fd, path, partial(write_notice, f"{path}: its reader went away"))
            self._files.append(writer)
            self._add_sink(LosslessSink(self._renderer(name), writer))
        if settings.record is not None:
            from portside.app.recording import start_recorder

            on_drained = partial(self._loop.call_soon_threadsafe, self._feed.drained)
            self._recorder = start_recorder(
                settings.record, settings.record_max, sync=settings.record_sync, on_drained=on_drained
            )
            self._feed.add(self._recorder)

    def _renderer(self, name: str, *, colour: bool = False, terminal: bool = False) -> Renderer:
        settings = self._settings
        renderer = make_renderer(
            name, frame=settings.frame, max_frame=settings.max_frame, colour=colour, terminal=terminal
        )
        return DropReceived(renderer) if settings.send_only else renderer

    def _add_sink(self, sink: LosslessSink) -> None:
        self._sinks.append(sink)
        self._feed.add(sink)

    def _writer(self, fd: int, name: str, on_broken: Callable[[], None]) -> Writer:
        if is_null_device(fd):
            return NullWriter(fd, name)
        return Writer(
            fd,
            name,
            self._loop.call_soon_threadsafe,
            on_drained=self._feed.drained,
            on_broken=on_broken,
            on_trouble=self._trouble,
            on_stale=self._stale,
        )

    def _full(self) -> None:
        self._feed_has_room.clear()
        self._server.pause()

    def _room(self) -> None:
        self._feed_has_room.set()
        self._server.resume()

    def _stdout_broken(self) -> None:
        self._feed.drained()
        self._stop("output_closed")

    def _trouble(self, name: str, error: OSError | None) -> None:
        if error is None:
            self._troubled.discard(name)
            write_notice(f"{name} takes data again")
        else:
            self._troubled.add(name)
            write_notice(f"cannot write {name}: {reason_of(error)}", "clients wait until it can be written")

    def _stale(self, name: str, error: OSError) -> None:
        write_notice(f"cannot open {name} anew: {reason_of(error)}", "the old file is written on")

    def _close_sinks(self) -> None:
        for sink in self._sinks:
            lost = sink.writer.close(PATIENCE_S, self._hurry)
            if lost and not sink.writer.broken:
                write_notice(f"{lost} B for {sink.writer.name} were not written")
                if sink.writer.name in self._troubled:
                    self._status = 1
        if self._recorder is not None:
            self._recorder.close()

    # What ends the run.

    def _stop(self, reason: StopReason) -> None:
        if not self._stopping.done():
            self._stopping.set_result(reason)

    def _handle_signals(self) -> None:
        self._drain = 0.0
        loop = self._loop
        loop.add_signal_handler(signal.SIGINT, self._signalled, 0.0)
        loop.add_signal_handler(signal.SIGTERM, self._signalled, self._settings.drain)
        if self._settings.output or self._settings.rules is not None:
            loop.add_signal_handler(signal.SIGHUP, self._read_anew)
        elif signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._signalled, 0.0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _signalled(self, drain: float) -> None:
        now = self._loop.time()
        if self._signals and now - self._signalled_at < _SAME_SIGNAL_S:
            return
        self._signals += 1
        self._signalled_at = now
        if self._signals > 1:
            self._behaviour.kill()
            os._exit(1)  # asked twice: end at once
        self._hurry.set()
        self._drain = drain
        self._stop("signal")

    def _read_anew(self) -> None:
        if self._reloading is not None:
            self._reloading.start()
        self._feed.flush()
        for writer in self._files:
            writer.reopen()

    # Clients.

    def _opened(self, connection: Connection) -> None:
        if self._stdin_ended and connection.is_open and self._finishes:
            connection.write_eof()
        self._client_came.set()

    def _closed(self, connection: Connection, reason: CloseReason) -> None:
        self._broadcast.closed(connection, reason)
        if not self._server.connections:
            self._client_came.clear()
        if self._settings.once and not self._stopping.done():
            self._status = 0 if reason in ("peer_closed", "local_closed") else 1
            self._stop("once")

    def _descriptors_exhausted(self, error: OSError) -> None:
        now = self._loop.time()
        if now < self._exhaustion_reported_at + _EXHAUSTION_REPORT_S:
            return
        self._exhaustion_reported_at = now
        write_notice(
            f"no file descriptor is left for new clients: {reason_of(error)}",
            f"{len(self._server.connections)} are connected; more wait until one leaves (see `ulimit -n`)",
        )

    # Standard input.

    def _connect_stdin(self) -> None:
        settings = self._settings
        self._broadcast = Broadcast(self._server)
        self._client_came = asyncio.Event()
        self._stdin_ended = False
        self._finishes = settings.once or settings.send_only
        self._crlf = CrLf() if settings.crlf else None
        self._typed = sys.stdin.isatty()
        wanted = settings.stdin
        if wanted is None:
            wanted = settings.send_only or (self._typed and settings.forward is None)
        if not wanted or settings.recv_only:
            return
        self._server.keeps_half_open = not self._typed
        self._stdin = StandardInput(self._deliver)
        if self._typed:
            self._stdin.start()
        else:
            self._loop.create_task(self._start_stdin())

    async def _start_stdin(self) -> None:
        await self._client_came.wait()
        self._stdin.start()

    async def _deliver(self, data: bytes) -> None:
        if not data:
            self._broadcast.send(self._behaviour.transform_stdin(b""))
            self._end_of_stdin()
            return
        if self._crlf is not None:
            data = self._crlf.convert(data)
        data = self._behaviour.transform_stdin(data)
        if not data:
            return  # it waits for the rest of a line, say
        if self._typed:
            if not self._broadcast.send(data):
                write_notice("no client is connected: not sent")
            return
        await self._client_came.wait()
        self._broadcast.send(data)
        await self._broadcast.room()
        await self._feed_has_room.wait()
        await self._client_came.wait()

    def _end_of_stdin(self) -> None:
        self._stdin_ended = True
        self._server.keeps_half_open = False
        for connection in list(self._server.connections.values()):
            if self._finishes:
                connection.write_eof()
            elif connection.half_closed and connection.is_open:
                connection.close_gracefully()


def _raise_descriptor_limit() -> None:
    """A connection costs a descriptor: take as many as this process may have."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _keep_freed_memory() -> None:
    """Have the C library keep what large reads free: giving it back costs a page fault for each 4 kB of the next.

    mallopt(3); a C library without it decides for itself.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)


def _say_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    error = context.get("exception")
    words = reason_of(error) if isinstance(error, BaseException) else ""
    write_notice(f"internal error: {context.get('message')}: {words}")
    if os.environ.get("PORTSIDE_DEBUG") and isinstance(error, BaseException):
        sys.excepthook(type(error), error, error.__traceback__)
