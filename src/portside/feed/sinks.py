"""Sinks of rendered events: a file or a pipe, which gets everything, or a terminal, which may skip and reports it."""

import time
from collections.abc import Sequence
from typing import Protocol

from portside.events import Event
from portside.feed.render import Renderer
from portside.feed.render.ordered_output import EventLine
from portside.feed.writer import Output
from portside.units import counted

HIGH_BYTES = 4 << 20  # while a sink has this much to write, the server reads nothing more from clients
VIEW_BYTES = 256 * 1024  # a terminal with this much to write gets no more until it has caught up
_JOIN_BYTES = 512 * 1024  # below this one write of joined buffers costs less than many buffers


class Sink(Protocol):
    """A receiver of batches of events from the bus."""

    @property
    def full(self) -> bool:
        """Whether the sink should get no more for now."""

    @property
    def deadline(self) -> float | None:
        """The time (``time.monotonic()``) at which ``tick`` should be called; None for never."""

    def consume(self, batch: Sequence[Event]) -> None:
        """Take events, in their order."""

    def tick(self) -> None:
        """Act on a deadline that has passed."""

    def request_drain(self) -> None:
        """Have the bus's ``drained`` called once when the sink can take more."""

    def drained(self) -> None:
        """React to a writer that has drained; it may be another sink's."""


class WriterSink:
    """Base of the sinks that render events and hand the bytes to a writer; subclasses decide what a slow one means."""

    def __init__(self, renderer: Renderer, writer: Output) -> None:
        self._renderer = renderer
        self.writer = writer

    @property
    def deadline(self) -> float | None:
        """The time (``time.monotonic()``) at which ``tick`` should be called; None for never."""
        return self._renderer.deadline

    @property
    def full(self) -> bool:
        """Whether the sink should get no more for now."""
        raise NotImplementedError

    def request_drain(self) -> None:
        """Have the writer's ``on_drained`` called once when few bytes are left to write."""
        self.writer.request_drain()

    def drained(self) -> None:
        """Do nothing: only a sink that skips has something to report."""

    def consume(self, batch: Sequence[Event]) -> None:
        """Render events and hand them to the writer."""
        self._put(self._renderer.render(batch))

    def tick(self) -> None:
        """Write what the renderer held back until now."""
        self._put(self._renderer.tick(time.monotonic()))

    def _put(self, buffers: list[bytes]) -> None:
        if not buffers or self.writer.broken:
            return
        if len(buffers) > 1 and sum(map(len, buffers)) < _JOIN_BYTES:
            buffers = [b"".join(buffers)]
        self.writer.put(buffers)


class LosslessSink(WriterSink):
    """A sink that loses nothing: it is ``full`` while its descriptor does not keep up, and the server stops reading."""

    @property
    def full(self) -> bool:
        """Whether the sink should get no more for now."""
        return self.writer.pending > HIGH_BYTES


class TerminalSink(WriterSink):
    """A sink for a terminal that skips payload while the terminal does not keep up, and counts what was skipped.

    Events without payload, such as ``closed``, are always shown; only a terminal that is stuck while many connections
    come and go is ever ``full``.
    """

    def __init__(self, renderer: Renderer, writer: Output) -> None:
        super().__init__(renderer, writer)
        self._skipped_lines = 0
        self._skipped_bytes = 0

    @property
    def full(self) -> bool:
        """Whether the sink should get no more for now."""
        return self.writer.pending > HIGH_BYTES

    def _put(self, buffers: list[bytes]) -> None:
        if not buffers:
            return
        if self.writer.pending > VIEW_BYTES:
            if not self._skipped_bytes:
                self.writer.request_drain()
            buffers = self._without_payload(buffers)
            if not buffers:
                return
        self._report_skipped()
        super()._put(buffers)

    def show(self, line: bytes) -> None:
        """Show a line that is no event; skipped as payload is."""
        self._put([line])

    def _without_payload(self, buffers: list[bytes]) -> list[bytes]:
        """The lines of events without payload; the others are counted as skipped."""
        for buffer in buffers:
            if type(buffer) is not EventLine:
                self._skipped_lines += buffer.count(b"\n")
                self._skipped_bytes += len(buffer)
        return [buffer for buffer in buffers if type(buffer) is EventLine]

    def drained(self) -> None:
        """Report what has been skipped since the last report."""
        self._report_skipped()

    def _report_skipped(self) -> None:
        if self._skipped_bytes:
            lines = counted(self._skipped_lines, "line")
            note = f"-- {lines} ({self._skipped_bytes} B) not shown: too fast for this terminal\n"
            self._skipped_lines = self._skipped_bytes = 0
            super()._put([note.encode()])
