"""The store: flushes into segments, then into the index; a full disk, a locked index, old data given up.

Everything here runs on the recorder's thread. Where the disk takes nothing the server goes on and the recording has a
gap, said once, marked when it is over; where only the index takes nothing it is brought up to date later.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress

from portside.errors import PortsideError, reason_of
from portside.record.batch import Block
from portside.record.folder import make_folder
from portside.record.index import Extent, Indexed, Run, add, last_conn, last_run, open_index
from portside.record.ledger import Ledger
from portside.record.recovery import Found, catch_up, identity
from portside.record.room import Room
from portside.record.scan import note_of
from portside.record.segment import NOTE, Place, encode_block, seed_of
from portside.record.segments import Segments, new_identity

RETRY_S = 1.0
SEGMENT_BYTES = 64 << 20
LEAST_BYTES = 1 << 20  # --record-max

Trouble = Callable[[str, "OSError | sqlite3.Error | None"], None]


class Store:
    """The recording in ``path``, locked, brought up to date and ready for one more run.

    ``base`` is what the recording adds to the server's connection numbers; ``found`` is the damage that an earlier
    run left. ``on_trouble`` is called with what cannot be written and why, and with None when it can be again.

    Raises PortsideError where it cannot be written, is being written, or is of a later version.
    """

    def __init__(
        self,
        path: str,
        *,
        version: str,
        sync: bool = False,
        most_bytes: int | None = None,
        on_trouble: Trouble = lambda _what, _error: None,
    ) -> None:
        self._folder = folder = make_folder(path)
        self._sync = sync
        self._on_trouble = on_trouble
        self._ledger = Ledger()
        self._gap: OSError | None = None
        self._gap_began = 0
        self._index_behind = False
        self._retry_at = 0.0
        self._flush = 0
        try:
            lock = folder.lock()
        except OSError as error:
            raise PortsideError(f"cannot record to {path}", error) from None
        if lock is None:
            raise PortsideError(f"cannot record to {path}", "another server is recording there", "name another folder")
        self._lock = lock
        try:
            self._open(version, most_bytes)
        except (OSError, sqlite3.Error) as error:
            os.close(lock)
            hint = f"portside rec check {path}" if isinstance(error, sqlite3.DatabaseError) else None
            raise PortsideError(f"cannot record to {path}", error, hint) from None
        except BaseException:
            os.close(lock)
            raise

    def _open(self, version: str, most_bytes: int | None) -> None:
        folder = self._folder
        self._index = index = open_index(folder.index, make=True)
        if self._sync:
            index.execute("PRAGMA synchronous = FULL")
        recording = identity(folder, index)
        if recording is None:
            recording = new_identity()
        index.execute("INSERT OR IGNORE INTO meta VALUES ('recording', ?)", (recording,))
        self._recording, self._seed = recording, seed_of(recording)
        self.found: list[Found] = catch_up(folder, index, recording)
        self.base = last_conn(index)
        roll = SEGMENT_BYTES if most_bytes is None else max(LEAST_BYTES // 8, min(SEGMENT_BYTES, most_bytes // 8))
        following = max(folder.segments(), default=0) + 1
        self._segments = Segments(folder, recording, following, roll, sync=self._sync)
        self._room = Room(folder, index, most_bytes) if most_bytes is not None else None
        run = Run(last_run(index) + 1, self.base, time.time_ns(), os.getpid(), version)
        first = Block(0)
        first.add(NOTE, run.began, note_of(run))
        self._write([first], run)  # says at once where nothing can be written

    @property
    def retries(self) -> bool:
        """Whether something waits for the disk."""
        return self._gap is not None or self._index_behind

    def flush(self, blocks: dict[int, Block]) -> None:
        """Keep what was collected."""
        if self.retries and time.monotonic() < self._retry_at:
            if self._gap is not None:
                self._lose(blocks)
                return
        elif self._index_behind:
            self._index_again()
        todo = list(blocks.values())
        if self._gap is not None:
            todo = self._after_gap(blocks)
        if not todo:
            return
        try:
            self._write(todo)
        except OSError as error:
            self._retry_at = time.monotonic() + RETRY_S
            self._lose(blocks)
            if self._gap is None:
                self._gap, self._gap_began = error, time.time_ns()
                self._on_trouble("recording", error)
            return
        if self._gap is not None:
            self._ledger.gap_over()
            self._gap = None
            self._on_trouble("recording", None)

    def _lose(self, blocks: dict[int, Block]) -> None:
        for block in blocks.values():
            self._ledger.lost(block)

    def _after_gap(self, blocks: dict[int, Block]) -> list[Block]:
        """The notes on the gap, and after them what was collected since."""
        now = time.time_ns()
        error = self._gap
        why = reason_of(error) if error is not None else ""
        marks = {block.conn: block for block in self._ledger.gap_blocks(now, (now - self._gap_began) / 1e9, why)}
        for conn, block in blocks.items():
            if conn in marks:
                marks[conn].extend(block)
            else:
                marks[conn] = block
        return list(marks.values()) or [Block(0)]  # an empty block, to see whether the disk takes it

    def _write(self, blocks: list[Block], run: Run | None = None) -> None:
        """One flush: segments, accounts, index. Raises OSError where the segment could not be written."""
        self._flush = (self._flush + 1) & 0xFFFFFFFF
        before, buffers, lengths = self._ledger.before, [], []
        for block in blocks:
            place = Place(self._flush, block.conn, *before(block.conn))
            made = encode_block(self._seed, place, block.times, block.metas, block.bodies)
            buffers += made
            lengths.append(sum(map(len, made)))
        offset = self._segments.append(buffers)
        number = self._segments.number
        rows = []
        for block, length in zip(blocks, lengths, strict=True):
            if block.times:
                times, sums = (block.times[0], block.times[-1]), (block.received, block.sent)
                extent = Extent(number, offset, length, block.conn, *times, *before(block.conn), *sums)
                rows.append(Indexed(extent, block.events, run))
            offset += length
            self._ledger.kept(block)
        self._to_index(rows)

    def _to_index(self, rows: list[Indexed]) -> None:
        if self._index_behind:
            return
        try:
            add(self._index, rows, {self._segments.number: self._segments.offset})
            if self._room is not None:
                self._room.keep_below(self._segments.number)
        except sqlite3.Error as error:
            self._index_behind = True
            self._retry_at = time.monotonic() + RETRY_S
            self._on_trouble("the recording's index", error)

    def _index_again(self) -> None:
        try:
            catch_up(self._folder, self._index, self._recording)
        except (sqlite3.Error, PortsideError):
            self._retry_at = time.monotonic() + RETRY_S
        else:
            self._index_behind = False
            self._on_trouble("the recording's index", None)

    def close(self) -> None:
        """Write the last notes and let go of the folder."""
        self._retry_at = 0.0
        if self.retries:
            self.flush({})
        self._segments.close()
        with suppress(sqlite3.Error):
            self._index.close()
        os.close(self._lock)
