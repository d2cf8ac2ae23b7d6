"""The lossless sink of a recording: takes events on any thread, and writes them on one of its own.

Events are collected by connection and written within 100 ms, or as soon as FLUSH_BYTES are collected. The caller's
part: while ``full``, stop reading from all connections until ``on_drained`` is called (once after each
``request_drain``, on the recorder's thread), or until ``wait_drained`` returns. ``consume`` itself waits FULL_WAIT_S
for that: pausing and resuming all clients takes longer than a disk that keeps up needs.

    state      entered by                             the thread
    RUNNING    the constructor                        writes what is collected
    CLOSING    close()                                writes what is left, closes the store and ends
    FAILED     an exception in the thread, a defect   has ended; events are taken and dropped, ``full`` is False
               of ours; from RUNNING or CLOSING
"""

import enum
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from portside.events import Event, Payload
from portside.record.block_builder import ENTRY_COST, BlockBuilder
from portside.record.store import RETRY_S, Store

FLUSH_S = 0.02  # how long events are collected; with the writing they are on disk within 100 ms
FLUSH_BYTES = 4 << 20  # of memory, from which on a flush is not put off
HIGH_BYTES = 16 << 20  # of memory that waits to be written, above which the recorder is full
LOW_BYTES = 12 << 20  # below which it has drained
FULL_WAIT_S = 0.01  # how long ``consume`` waits before the caller has to deal with a full recorder


class RecorderState(enum.Enum):
    """The states in the table above."""

    RUNNING = enum.auto()
    CLOSING = enum.auto()
    FAILED = enum.auto()


_FAILED, _CLOSING = RecorderState.FAILED, RecorderState.CLOSING


class Recorder:
    """Writes the events of one run of a server or a client to a store, and closes the store.

    ``last_conn`` is the last connection that the store held before this run; the run's own numbers go on from there.
    ``on_error`` takes the error of an event that cannot be encoded, which is left out; without it, the error is raised.
    """

    deadline = None  # as a sink: the thread has a clock of its own

    def __init__(
        self,
        store: Store,
        on_drained: Callable[[], object] = lambda: None,
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        self._store = store
        self._on_drained = on_drained
        self._on_error = on_error
        self.last_conn = store.base
        self._clock = store.clock
        self._blocks: dict[int, BlockBuilder] = {}
        self._collected = 0  # bytes of memory in ``_blocks``
        self._pending = 0  # the same, with what is being written
        self._drain_requested = False
        self._state = RecorderState.RUNNING
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether more than HIGH_BYTES wait to be written, so that the caller should stop reading."""
        return self._pending > HIGH_BYTES and self._state is not _FAILED

    def consume(self, batch: Sequence[Event]) -> None:
        """Collect events, in their order."""
        with self._changed:
            empty = not self._blocks
            blocks, cost = self._blocks, len(batch) * ENTRY_COST
            if not self._clock.look():
                cost += self._collect_corrected(batch)
                batch = ()
            for event in batch:
                if isinstance(event, Payload):
                    try:
                        block = blocks[event.conn]
                    except KeyError:
                        block = blocks[event.conn] = BlockBuilder(event.conn)
                    cost += block.add_payload(event)
                else:
                    self._add_event(event, event.at)
            self._collected += cost
            self._pending += cost
            if self._state is _FAILED:
                blocks.clear()
            elif empty or self._collected >= FLUSH_BYTES:
                self._changed.notify_all()
            if self.full and not self._drain_requested:
                self._changed.wait_for(lambda: not self.full, FULL_WAIT_S)

    def _collect_corrected(self, batch: Sequence[Event]) -> int:
        """Collect events with their steady times, as the wall clock was set in this run; bytes of payload."""
        clock, size = self._clock, 0
        for event in batch:
            at, step = clock.steady(event.at)
            if step is not None:
                self._block(0).add_step(step)
            block = self._block_of(event)
            before = len(block.times)
            if isinstance(event, Payload):
                size += block.add_payload(event)
            else:
                self._add_event(event, at)
            block.times[before:] = [at] * (len(block.times) - before)
        step = clock.end_batch()
        if step is not None:
            self._block(0).add_step(step)
        return size

    def _add_event(self, event: Event, at: int) -> None:
        """Add an event without payload; one that cannot be encoded, for a defect of ours, is left out and reported."""
        try:
            self._block_of(event).add_event(event, at)
        except Exception as error:
            if self._on_error is None:
                raise
            self._on_error(error)

    def _block_of(self, event: Event) -> BlockBuilder:
        return self._block(getattr(event, "conn", 0) or 0)

    def _block(self, conn: int) -> BlockBuilder:
        block = self._blocks.get(conn)
        if block is None:
            block = self._blocks[conn] = BlockBuilder(conn)
        return block

    def tick(self) -> None:
        """Do nothing: the thread has a clock of its own."""

    def drained(self) -> None:
        """Nothing to do: the recorder's own thread knows how much waits."""

    def request_drain(self) -> None:
        """Have ``on_drained`` called once, as soon as at most LOW_BYTES wait to be written."""
        with self._changed:
            self._drain_requested = self._state is not _FAILED
            self._changed.notify_all()
        if self._state is _FAILED:
            self._call_on_drained()

    def wait_drained(self) -> None:
        """Block the calling thread until the recorder is not full."""
        with self._changed:
            while self.full:
                self._changed.wait()

    def close(self) -> None:
        """Write what waits, close the store and end the thread."""
        with self._changed:
            if self._state is not _FAILED:
                self._state = _CLOSING
            self._changed.notify_all()
        self._thread.join()

    # On the recorder's own thread.

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except Exception as error:  # noqa: BLE001 - the store reports it, and the run continues
            with self._changed:
                self._state = _FAILED
                self._blocks.clear()
                drain_requested, self._drain_requested = self._drain_requested, False
                self._changed.notify_all()
            self._store.abandon(error)
            if drain_requested:
                self._call_on_drained()

    def _call_on_drained(self) -> None:
        with suppress(RuntimeError):  # the loop has ended, and with it those who wait
            self._on_drained()

    def _has_more(self) -> bool:
        return bool(self._blocks)

    def _write_until_closed(self) -> None:
        changed = self._changed
        while True:
            with changed:
                if not self._blocks and self._state is not _CLOSING and not self._drain_requested:
                    changed.wait(RETRY_S if self._store.retries else None)
                if self._blocks and self._collected < FLUSH_BYTES and self._state is not _CLOSING:
                    changed.wait(FLUSH_S)
                blocks, cost = self._blocks, self._collected
                self._blocks, self._collected = {}, 0
                closing = self._state is _CLOSING
            if blocks or self._store.retries:
                self._store.flush(blocks, self._has_more)
            with changed:
                self._pending -= cost
                drained = self._drain_requested and self._pending <= LOW_BYTES
                if drained:
                    self._drain_requested = False
                changed.notify_all()
            if drained:
                self._call_on_drained()
            if closing and not self._blocks:
                self._store.close()
                return
