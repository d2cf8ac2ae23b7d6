"""The sinks of ``listen``: standard output, the files of ``--output``, and the recording."""

import asyncio
import os
import select
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from portside.app.event_errors import EventErrors
from portside.app.notices import Notify, wants_colour, write_notice
from portside.descriptors import may_lose_reader
from portside.errors import PortsideError, reason_of
from portside.feed.bus import EventBus
from portside.feed.render import Renderer, make_renderer
from portside.feed.render.filters import DropReceived
from portside.feed.sinks import LosslessSink, TerminalSink, WriterSink
from portside.feed.writer import NullWriter, Output, Writer, is_null_device, open_output
from portside.settings.listen import Listen
from portside.settings.values import format_of_file

if TYPE_CHECKING:
    from portside.feed.terminal_writer import TerminalWriter
    from portside.feed.writer import Reactions
    from portside.record.recorder import Recorder


class OutputSinks:
    """Opens the sinks named in the settings, and closes them at the end.

    ``stdout`` is the descriptor of standard output, None where events do not go there, and ``on_stdout_broken`` is
    called when its reader has gone. ``keeps_typed_line``: it is a terminal, and the line that is being typed stays
    below the output. ``notify`` gets notices. Raises PortsideError if a file or the recording cannot be opened.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        bus: EventBus,
        settings: Listen,
        stdout: int | None,
        on_stdout_broken: Callable[[], None],
        *,
        keeps_typed_line: bool = False,
        notify: Notify = write_notice,
    ) -> None:
        self.typing_terminal: tuple[TerminalWriter, TerminalSink] | None = None  # where a line is kept below the output
        self._keeps_typed_line = keeps_typed_line
        self._notify = notify
        self._loop = loop
        self._bus = bus
        self._settings = settings
        self._on_stdout_broken = on_stdout_broken
        self._sinks: list[WriterSink] = []
        self._files: list[tuple[Output, int]] = []  # with their descriptors
        self._recorder: Recorder | None = None
        self._in_trouble: set[str] = set()  # names of outputs that cannot be written at the moment
        if stdout is not None and not settings.tui:  # the console has the terminal
            self._open_stdout(stdout)
        for path in settings.output:
            self._open_file(path)
        if settings.record is not None:
            self._start_recorder(settings.record)

    def _open_stdout(self, fd: int) -> None:
        terminal = os.isatty(fd)
        name = "standard output"
        renderer = self._renderer(self._settings.format, name, colour=wants_colour(fd), terminal=terminal)
        if self._keeps_typed_line:
            self._open_typing_terminal(fd, name, renderer)
            return
        writer = self._writer(fd, name, self._stdout_broken)
        if may_lose_reader(fd):
            self._watch_stdout(fd, writer)
        self._add(TerminalSink(renderer, writer) if terminal else LosslessSink(renderer, writer))

    def _open_typing_terminal(self, fd: int, name: str, renderer: Renderer) -> None:
        from portside.feed.terminal_writer import TerminalWriter

        writer = TerminalWriter(fd, name, self._loop.call_soon_threadsafe, **self._reactions(self._stdout_broken))
        sink = TerminalSink(renderer, writer)
        self.typing_terminal = writer, sink
        self._add(sink)

    def _watch_stdout(self, fd: int, writer: Output) -> None:
        """Notice at once when the reader of standard output goes away: a writer that has nothing to write does not."""
        errors = select.epoll()
        errors.register(fd, 0)  # errors alone

        def reader_gone() -> None:
            self._loop.remove_reader(errors.fileno())
            errors.close()
            writer.broken = True
            self._stdout_broken()

        self._loop.add_reader(errors.fileno(), reader_gone)

    def _open_file(self, path: str) -> None:
        try:
            fd = open_output(path)
        except OSError as error:
            raise PortsideError(f"cannot write {path}", error) from None
        name = format_of_file(path)
        writer = self._writer(fd, path, partial(self._notify, f"{path}: its reader went away", None))
        self._files.append((writer, fd))
        self._add(LosslessSink(self._renderer(name, path, dates=True), writer))

    def _start_recorder(self, path: str) -> None:
        from portside.app.recording import start_recorder

        settings = self._settings
        on_drained = partial(self._loop.call_soon_threadsafe, self._bus.drained)
        self._recorder = start_recorder(
            path,
            mode=settings.record_mode,
            most_bytes=settings.record_max,
            sync=settings.record_sync,
            on_drained=on_drained,
            notify=self._notify,
        )
        self._bus.add(self._recorder)

    def _renderer(
        self, name: str, where: str, *, colour: bool = False, terminal: bool = False, dates: bool = False
    ) -> Renderer:
        settings = self._settings
        renderer = make_renderer(
            name,
            frame=settings.frame,
            max_frame=settings.max_frame,
            encoding=settings.encoding,
            colour=colour,
            terminal=terminal,
            dates=dates,
            on_error=EventErrors(where, self._notify),
        )
        return DropReceived(renderer) if settings.send_only else renderer

    def _writer(self, fd: int, name: str, on_broken: Callable[[], object]) -> Output:
        if is_null_device(fd):
            return NullWriter(fd, name)
        return Writer(fd, name, self._loop.call_soon_threadsafe, **self._reactions(on_broken))

    def _reactions(self, on_broken: Callable[[], object]) -> "Reactions":
        return {
            "on_drained": self._bus.drained,
            "on_broken": on_broken,
            "on_trouble": self._trouble,
            "on_stale": self._stale,
        }

    def _add(self, sink: WriterSink) -> None:
        self._sinks.append(sink)
        self._bus.add(sink)

    def _stdout_broken(self) -> None:
        self._bus.drained()
        self._on_stdout_broken()

    def _trouble(self, name: str, error: OSError | None) -> None:
        if error is None:
            self._in_trouble.discard(name)
            self._notify(f"{name} takes data again", None)
        else:
            self._in_trouble.add(name)
            self._notify(f"cannot write {name}: {reason_of(error)}", "clients wait until it can be written")

    def _stale(self, name: str, error: OSError) -> None:
        self._notify(f"cannot open {name} anew: {reason_of(error)}", "the old file is written on")

    @property
    def are_any(self) -> bool:
        """Whether events are written anywhere."""
        return bool(self._sinks) or self._recorder is not None

    @property
    def last_conn(self) -> int:
        """The number of the last connection that the recording holds already; 0 where there is none."""
        return self._recorder.last_conn if self._recorder is not None else 0

    def reopen_files(self) -> None:
        """Write the events published so far, and reopen the files of ``--output``, for log rotation."""
        self._bus.flush()
        for writer, _ in self._files:
            writer.reopen()

    def close(self, patience: float, hurry: threading.Event) -> bool:
        """Write what is left and close everything; False if bytes are lost because an output could not be written.

        Blocks. Once ``hurry`` is set, waits at most ``patience`` seconds for an output that makes no progress.
        """
        complete = True
        for sink in self._sinks:
            lost = sink.writer.close(patience, hurry)
            if lost and not sink.writer.broken:
                self._notify(f"{lost} B for {sink.writer.name} were not written", None)
                if sink.writer.name in self._in_trouble:
                    complete = False
        for writer, fd in self._files:
            if not writer.pending:  # otherwise its thread may still be writing
                os.close(fd)
        if self._recorder is not None:
            self._recorder.close()
        return complete
