"""``portside listen``: the server wired up with the event bus, sinks, standard input and signals."""

import asyncio
import gc
import math
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Literal

from portside.app.behaviour import make_behaviour, refuse_loop
from portside.app.loop import run as run_loop
from portside.app.notices import write_notice
from portside.app.output_sinks import OutputSinks
from portside.app.process_limits import keep_freed_memory, raise_descriptor_limit
from portside.app.running_server import RunningServer
from portside.app.serving import make_server
from portside.app.signals import EndSignals
from portside.app.stdin_delivery import StdinDelivery, is_stdin_sent
from portside.errors import PortsideError, reason_of
from portside.events import CloseReason, Listening, Stopped
from portside.feed.bus import EventBus
from portside.server.admission import Admission
from portside.server.connection import Connection
from portside.server.hello_watch import HelloSender, HelloWatch
from portside.server.listener import Listener
from portside.server.pre_connect import PreConnect
from portside.server.server import Server
from portside.settings.listen import Listen
from portside.units import counted, format_duration
from portside.wire.escaping import escape

PATIENCE_S = 0.5  # that an end in order waits for a peer or a reader that takes nothing
_EXHAUSTION_NOTICE_S = 10.0  # at least, between two notices that no descriptor is left
_NAMED_CLIENTS = 8  # that a notice names, of those that a drain waits for
_SETTLED_S = 0.1  # when what only pays in a long run no longer delays the first client
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

if TYPE_CHECKING:
    from portside.app.rules import RulesReloader
    from portside.app.running_server import Extension
    from portside.app.typed_lines import Divert, TypedLines

StopReason = Literal["signal", "once", "output_closed", "killed", "operator"]


def run(
    settings: Listen,
    listeners: list[Listener],
    admission: Admission,
    pre_connect: PreConnect,
    *,
    stdout: int = 1,
    extension: "Extension | None" = None,
    divert_stderr: "Divert | None" = None,
) -> int:
    """Serve until the end; the exit status. Signals that end it are blocked before and after.

    ``stdout`` is the descriptor that gets the data. ``divert_stderr`` has a function take what goes to standard error.
    """
    try:
        if settings.forward is not None:
            refuse_loop(settings.forward, listeners)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    raise_descriptor_limit()
    run = _ListenRun(settings, admission, pre_connect, stdout=stdout, extension=extension, divert_stderr=divert_stderr)
    return run_loop(run.serve(listeners))


class _ListenRun:
    """One run of the server. It has more than 12 attributes because it wires up that many parts."""

    def __init__(
        self,
        settings: Listen,
        admission: Admission,
        pre_connect: PreConnect,
        *,
        stdout: int,
        extension: "Extension | None",
        divert_stderr: "Divert | None",
    ) -> None:
        self._settings = settings
        self._admission = admission
        self._pre_connect = pre_connect
        self._stdout = stdout
        self._extension = extension
        self._divert_stderr = divert_stderr
        self._typed_lines: TypedLines | None = None
        self._status = 0
        self._stopping: asyncio.Future[StopReason]
        self._rules_reloader: RulesReloader | None = None
        self._hurry = threading.Event()  # set when the end must not wait for outputs that make no progress
        self._drain = 0.0  # seconds that clients have to leave by themselves
        self._waiting: asyncio.Task[None] | None = None  # until they have
        self._asked = EndSignals()
        self._killed = False  # whether the sockets of all ports were destroyed
        self._exhaustion_notice_at = -_EXHAUSTION_NOTICE_S

    async def serve(self, listeners: list[Listener]) -> int:
        try:
            return await self._serve(listeners)
        finally:
            if self._typed_lines is not None:
                self._typed_lines.give_back()

    async def _serve(self, listeners: list[Listener]) -> int:
        settings = self._settings
        self._loop = loop = asyncio.get_running_loop()
        loop.set_exception_handler(_write_exception)
        self._stopping = loop.create_future()
        bus = EventBus(loop)
        manager = os.environ.pop("NOTIFY_SOCKET", "")  # the programs of --exec are not to have it
        self._behaviour = make_behaviour(settings, listeners, bus.publish)
        if settings.rules is not None:
            from portside.app.rules import RulesReloader

            self._rules_reloader = RulesReloader(settings.rules, settings.frame, self._behaviour)
        self._server = server = self._make_server(bus)
        try:
            self._sinks = self._open_sinks(bus)
        except BaseException:
            for listener in listeners:
                listener.close()
            raise
        try:
            server.acceptor.check_descriptor_limit()
        except PortsideError:
            for listener in listeners:
                listener.close()
            await loop.run_in_executor(None, self._sinks.close, PATIENCE_S, self._hurry)
            raise
        self._stdin = StdinDelivery(server, settings, self._typed_lines)
        server.on_opened = self._stdin.opened
        bus.on_full, bus.on_drained = self._bus_full, self._bus_drained
        self._handle_signals()
        self._stdin.start()
        if self._extension is not None:
            self._extension.start(self._running(listeners, bus))
        self._announce(listeners, bus)
        gc.freeze()  # what was loaded stays, so the collector need not pass over these 35,000 objects again
        server.acceptor.start(listeners, last_number=self._sinks.last_conn)
        if manager:
            from portside.app.readiness import notify_ready

            notify_ready(manager)
        loop.call_later(_SETTLED_S, keep_freed_memory)
        reason = await self._stopping
        if self._drain:
            server.acceptor.stop_listening()
            self._report_drain()
            await self._wait_for_clients()
        await server.shut_down(patience=PATIENCE_S)
        await self._behaviour.end()
        self._stdin.report_unsent()
        server.poller.close()
        if reason != "once":
            self._hurry.set()
        if self._typed_lines is not None:
            self._typed_lines.finish()
        bus.publish(Stopped(time.time_ns(), reason))
        bus.flush()
        if self._extension is not None:
            await self._extension.stop()
        if not await loop.run_in_executor(None, self._sinks.close, PATIENCE_S, self._hurry):
            self._status = 1
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # the loop gives its handlers back, and it is ending
        return self._status

    def _running(self, listeners: list[Listener], bus: EventBus) -> RunningServer:
        """This run, for an extension."""
        return RunningServer(
            loop=self._loop,
            settings=self._settings,
            server=self._server,
            bus=bus,
            listeners=tuple(listeners),
            admission=self._admission,
            behaviour=self._behaviour,
            drain=self._end_for_operator,
            is_ending=self._stopping.done,
            stop=lambda: self._end_for_operator(0.0),
        )

    def _open_sinks(self, bus: EventBus) -> OutputSinks:
        """Open the outputs. Where lines are typed on the terminal of standard output, they stay whole below it."""
        settings, keeps_typed_line = self._settings, False
        if os.isatty(0) and os.isatty(self._stdout) and settings.format != "raw" and is_stdin_sent(settings):
            from portside.app.typed_lines import TypedLines, is_one_terminal

            keeps_typed_line = is_one_terminal(0, self._stdout)
        sinks = OutputSinks(
            self._loop, bus, settings, self._stdout, self._stdout_broken, keeps_typed_line=keeps_typed_line
        )
        if sinks.typing_terminal is not None:
            writer, sink = sinks.typing_terminal
            self._typed_lines = TypedLines(writer, sink.show, self._divert_stderr)
        return sinks

    def _announce(self, listeners: list[Listener], bus: EventBus) -> None:
        """Say where the server listens."""
        settings = self._settings
        for listener in listeners:
            bus.publish(Listening(time.time_ns(), listener.name))
            if settings.format == "raw":
                write_notice(f"listening on {listener.name}")
        if not settings.ipv6 and any(":" in (address.host or "") for address in settings.addresses):
            from portside.app.ipv6_alone import note_ipv6_alone

            note_ipv6_alone(listeners)

    def _make_server(self, bus: EventBus) -> Server:
        settings = self._settings
        server = make_server(
            self._loop, settings, bus.publish, self._behaviour, self._admission,
            pre_connect=self._pre_connect,
            shows_received=not settings.send_only or settings.record is not None,
            shows_sent=settings.format != "raw" or bool(settings.output) or settings.record is not None,
        )  # fmt: skip
        server.acceptor.on_descriptors_exhausted = self._descriptors_exhausted
        server.acceptor.on_listener_killed = self._listener_killed
        server.on_closed = self._closed
        if not settings.tls:
            server.hello_watch = HelloWatch(self._client_hello)
        return server

    # Back-pressure.

    def _bus_full(self) -> None:
        self._stdin.pause()
        self._server.pause()

    def _bus_drained(self) -> None:
        self._stdin.resume()
        self._server.resume()

    # The end.

    def _stop(self, reason: StopReason) -> None:
        if not self._stopping.done():
            self._stopping.set_result(reason)

    def _end_for_operator(self, drain: float) -> None:
        """End the run because somebody at a console asked for it, as SIGTERM does with ``drain`` seconds."""
        self._hurry.set()
        self._drain = drain
        self._stop("operator")

    def _stdout_broken(self) -> None:
        self._stop("output_closed")

    def _handle_signals(self) -> None:
        loop = self._loop
        loop.add_signal_handler(signal.SIGINT, self._signalled, 0.0)
        loop.add_signal_handler(signal.SIGTERM, self._signalled, self._settings.drain)
        if self._settings.output or self._settings.rules is not None:
            loop.add_signal_handler(signal.SIGHUP, self._reload)
        elif signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._signalled, 0.0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _signalled(self, drain: float) -> None:
        asked = self._asked.take()
        if asked == "same":
            return
        if asked == "again":
            self._behaviour.kill()
            if self._typed_lines is not None:
                self._typed_lines.give_back()
            os._exit(1)
        self._hurry.set()
        if self._waiting is not None:
            self._waiting.cancel()  # an operator's drain: the signal ends it
        self._drain = drain
        self._stop("signal")

    async def _wait_for_clients(self) -> None:
        """Wait until all clients have left, or have had their time, or a signal says that it is enough."""
        patience = self._drain if math.isfinite(self._drain) else None
        self._waiting = self._loop.create_task(self._server.wait_empty(patience))
        await asyncio.wait({self._waiting})

    def _report_drain(self) -> None:
        """Write whom the end of the run waits for, where anybody is connected."""
        clients = list(self._server.connections.values())
        if not clients:
            return
        named = [f"#{client.number} {client.peer}" for client in clients[:_NAMED_CLIENTS]]
        if len(clients) > _NAMED_CLIENTS:
            named.append(f"and {len(clients) - _NAMED_CLIENTS} more")
        who = f"{counted(len(clients), 'client')}: {', '.join(named)}"
        most = f"up to {format_duration(self._drain).replace('.000s', 's')} " if math.isfinite(self._drain) else ""
        hint = "a second signal ends the run at once" if self._asked.have_come else "a signal ends the run at once"
        write_notice(f"waits {most}for {who}", hint)

    def _reload(self) -> None:
        if self._rules_reloader is not None:
            self._rules_reloader.start()
        self._sinks.reopen_files()

    # Clients.

    def _closed(self, connection: Connection, reason: CloseReason) -> None:
        self._stdin.closed(connection, reason)
        if self._settings.once and not self._stopping.done():
            self._status = 0 if reason in ("peer_closed", "local_closed") else 1
            self._stop("once")
        self._stop_if_deserted()

    def _listener_killed(self, listener: Listener) -> None:
        self._killed = not self._server.acceptor.is_listening
        hint = "no port is left: the run ends with its last client" if self._killed else None
        write_notice(f"{listener.name} is closed: the kernel was asked to destroy its socket", hint)
        self._stop_if_deserted()

    def _stop_if_deserted(self) -> None:
        """End a run whose ports were all destroyed, once nobody is connected any more."""
        if self._killed and not self._server.connections and not self._stopping.done():
            self._status = 1
            self._stop("killed")

    def _client_hello(self, client: HelloSender) -> None:
        inside = "--tls with --forward-tls shows what is in it" if self._settings.forward is not None else None
        peer = escape(client.peer.encode("utf-8", "surrogateescape"))
        write_notice(f"#{client.number} {peer} sent a ClientHello: this looks like TLS: --tls", inside)

    def _descriptors_exhausted(self, error: OSError) -> None:
        now = self._loop.time()
        if now < self._exhaustion_notice_at + _EXHAUSTION_NOTICE_S:
            return
        self._exhaustion_notice_at = now
        write_notice(
            f"no file descriptor is left for new clients: {reason_of(error)}",
            f"{len(self._server.connections)} are connected; more wait until one leaves (see `ulimit -n`)",
        )


def _write_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    error = context.get("exception")
    text = reason_of(error) if isinstance(error, BaseException) else ""
    write_notice(f"internal error: {context.get('message')}: {text}")
    if os.environ.get("PORTSIDE_DEBUG") and isinstance(error, BaseException):
        sys.excepthook(type(error), error, error.__traceback__)  # escaped by cli.standard_error
