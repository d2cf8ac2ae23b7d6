"""The event bus: collects events for a turn of the loop, under load for a millisecond, then hands them to every sink.

The caller's part: while the bus is ``full`` (from ``on_full`` until ``on_drained``), publish nothing that can be put
off. A batch that grows large within one turn of the loop is flushed at once, so that ``on_full`` is called before the
next read.
"""

import time
from asyncio import AbstractEventLoop, Handle, TimerHandle
from typing import TYPE_CHECKING

from portside.events import Event
from portside.feed.sinks import Sink

if TYPE_CHECKING:
    from collections.abc import Callable

PACE_S = 0.001  # between two batches under load: waking the writer costs more than what a batch of one turn gains
_BATCH_BYTES = 64 * 1024  # reads this large gain nothing from waiting for more, and cost cache and page faults
_SMALL_BYTES = 2048  # smaller reads are not counted: a turn of the loop has at most a thousand of them


class EventBus:
    """The bus between the server of one run and its sinks; everything happens on the loop's thread."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.full = False
        self.on_full: Callable[[], None] = lambda: None
        self.on_drained: Callable[[], None] = lambda: None
        self._loop = loop
        self._sinks: list[Sink] = []
        self._batch: list[Event] = []
        self._batch_bytes = 0
        self._flush_handle: Handle | None = None
        self._flushed_at = -PACE_S
        self._tick_handle: TimerHandle | None = None
        self._tick_at = 0.0

    def add(self, sink: Sink) -> None:
        """Add a sink, which gets all events published from now on."""
        self._sinks.append(sink)

    def remove(self, sink: Sink) -> None:
        """Remove a sink, which may have been full; a second time does nothing."""
        if sink in self._sinks:
            self._sinks = [each for each in self._sinks if each is not sink]
            self.drained()

    def publish(self, event: Event, size: int = 0) -> None:
        """Add an event to the batch; ``size`` is the number of bytes of its payload."""
        self._batch.append(event)
        if size >= _SMALL_BYTES:
            self._batch_bytes += size
            if self._batch_bytes >= _BATCH_BYTES:
                self.flush()
                return
        if self._flush_handle is None:
            busy = self._loop.time() - self._flushed_at < PACE_S
            self._flush_handle = self._loop.call_later(PACE_S, self.flush) if busy else self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Hand the batch to the sinks now."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        batch = self._batch
        if not batch:
            return
        self._batch = []
        self._batch_bytes = 0
        self._flushed_at = self._loop.time()
        for sink in self._sinks:
            try:
                sink.consume(batch)
            except Exception as error:  # noqa: BLE001 -- one sink's error must not cost the others the batch
                self._report(error)
        self._watch()

    def _watch(self) -> None:
        """Pause the source when a sink has become full, and set the timer for the sinks' next deadline."""
        any_full, deadline = False, None
        for sink in self._sinks:  # a loop costs half of what any() and min() do, at each batch
            any_full = any_full or sink.full
            due = sink.deadline
            if due is not None and (deadline is None or due < deadline):
                deadline = due
        if any_full and not self.full:
            self.full = True
            self.on_full()
            for sink in self._sinks:
                sink.request_drain()
        if deadline is None or (self._tick_handle is not None and self._tick_at <= deadline):
            return
        if self._tick_handle is not None:
            self._tick_handle.cancel()
        self._tick_at = deadline
        self._tick_handle = self._loop.call_later(max(0.0, deadline - time.monotonic()), self._tick)

    def _tick(self) -> None:
        self._tick_handle = None
        for sink in self._sinks:
            try:
                sink.tick()
            except Exception as error:  # noqa: BLE001
                self._report(error)
        self._watch()

    def _report(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "an error while events were written", "exception": error})

    def drained(self) -> None:
        """Tell the sinks that a writer has drained (its ``on_drained``), and resume where none is full any more."""
        for sink in self._sinks:
            sink.drained()
        if not self.full:
            return
        full = [sink for sink in self._sinks if sink.full]
        for sink in full:
            sink.request_drain()  # ready for more when all sinks were asked
        if not full:
            self.full = False
            self.on_drained()
            self._watch()
