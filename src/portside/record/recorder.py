"""Events into a recording, from any thread, losing nothing.

Events are collected by connection; a thread of its own writes what was collected within 100 ms, or as soon as it is
much. What the caller owes it: while ``full``, take nothing more from anybody. ``wait_for_room`` waits for that, or
``on_drained`` is called, once after each ``request_drain``, on the recorder's thread. ``consume`` itself waits a moment
before it is full: to stop all clients and let them go on costs more than a disk that keeps up needs.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from portside.events import Event, Payload
from portside.record.block_builder import ENTRY_COST, BlockBuilder
from portside.record.store import RETRY_S, Store

FLUSH_S = 0.02  # how long something is collected; with the writing it is on disk within 100 ms
FLUSH_BYTES = 2 << 20
HIGH_BYTES = 8 << 20  # of memory that waits to be written
LOW_BYTES = 6 << 20
MOMENT_S = 0.004


class Recorder:
    """One run of a server, or of a client, into a store. It closes the store."""

    deadline = None  # it has a clock of its own

    def __init__(self, store: Store, on_drained: Callable[[], object] = lambda: None) -> None:
        self._store = store
        self._on_drained = on_drained
        self._base = store.base
        self._blocks: dict[int, BlockBuilder] = {}
        self._collected = 0  # bytes of memory in ``_blocks``
        self._pending = 0  # the same, with what is being written
        self._drain_requested = False
        self._closing = False
        self._dead = False  # a mistake of ours ended its thread: it takes what it gets, and keeps nothing
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether it should get no more for now."""
        return self._pending > HIGH_BYTES and not self._dead

    def consume(self, batch: Sequence[Event]) -> None:
        """Take events, in their order."""
        with self._changed:
            empty = not self._blocks
            blocks, cost = self._blocks, len(batch) * ENTRY_COST
            for event in batch:
                if isinstance(event, Payload):
                    try:
                        block = blocks[event.conn]
                    except KeyError:
                        block = blocks[event.conn] = BlockBuilder(event.conn + self._base)
                    cost += block.add_payload(event)
                else:
                    self._other(event)
            self._collected += cost
            self._pending += cost
            if self._dead:
                blocks.clear()
            elif empty or self._collected >= FLUSH_BYTES:
                self._changed.notify_all()
            if self.full and not self._drain_requested:
                self._changed.wait_for(lambda: not self.full, MOMENT_S)

    def _other(self, event: Event) -> None:
        conn = getattr(event, "conn", 0) or 0
        block = self._blocks.get(conn)
        if block is None:
            block = self._blocks[conn] = BlockBuilder(conn + self._base if conn else 0)
        block.add_event(msgspec.structs.replace(event, conn=block.conn) if conn and self._base else event)

    def tick(self) -> None:
        """Nothing is due: it has a clock of its own."""

    def request_drain(self) -> None:
        """Have ``on_drained`` called once when little waits to be written."""
        with self._changed:
            self._drain_requested = not self._dead
            self._changed.notify_all()
        if self._dead:
            self._tell()

    def wait_for_room(self) -> None:
        """BlockBuilder until it is not full."""
        with self._changed:
            while self.full:
                self._changed.wait()

    def close(self) -> None:
        """Write what waits, and let go of the recording."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    # On the recorder's own thread.

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except Exception as error:  # noqa: BLE001 - it is said, and the run goes on
            with self._changed:
                self._dead = True
                self._blocks.clear()
                tells, self._drain_requested = self._drain_requested, False
                self._changed.notify_all()
            self._store.give_up(error)
            if tells:
                self._tell()

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            self._on_drained()

    def _has_more(self) -> bool:
        return bool(self._blocks)

    def _write_until_closed(self) -> None:
        changed = self._changed
        while True:
            with changed:
                if not self._blocks and not self._closing and not self._drain_requested:
                    changed.wait(RETRY_S if self._store.retries else None)
                if self._blocks and self._collected < FLUSH_BYTES and not self._closing:
                    changed.wait(FLUSH_S)
                blocks, cost = self._blocks, self._collected
                self._blocks, self._collected = {}, 0
                closing = self._closing
            if blocks or self._store.retries:
                self._store.flush(blocks, self._has_more)
            with changed:
                self._pending -= cost
                tells = self._drain_requested and self._pending <= LOW_BYTES
                if tells:
                    self._drain_requested = False
                changed.notify_all()
            if tells:
                self._tell()
            if closing and not self._blocks:
                self._store.close()
                return
