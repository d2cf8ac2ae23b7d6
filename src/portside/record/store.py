"""The store: flushes of events into segments, then into the index, and what happens when the disk cannot be written.

Everything here runs on the recorder's thread. Segments and index fail independently of each other:

    state          begins                        meanwhile                       ends
    writing        the recording is opened       a flush is written at once
    outage         a flush cannot be written     flushes are counted as lost;    a flush is written, and before it
                                                 one try every RETRY_S           a Gap for each connection
    index behind   the index cannot be written   segments are written as         the index has caught up with the
                                                 usual; one try every RETRY_S    segments

``on_trouble`` is called at the beginning and at the end of the last two. The server keeps running in every state.
"""

import errno
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import NamedTuple

from portside.descriptors import PRIVATE_MODE
from portside.errors import PortsideError, reason_of
from portside.record.block_builder import BlockBuilder
from portside.record.clock import ClockStep, SteadyClock
from portside.record.folder import make_folder
from portside.record.index import Extent, IndexEntry, Run, last_conn, last_run, open_index, store_recording_id
from portside.record.index_writer import IndexWriter
from portside.record.loss_tracker import LossTracker
from portside.record.notes import encode_run
from portside.record.recovery import DamageFound, catch_up, find_recording_id
from portside.record.retention import Retention
from portside.record.segment import (
    FILE_HEADER_SIZE,
    MOST_BLOCK_BYTES,
    MOST_CONN,
    NOTE,
    BlockPosition,
    checksum_seed,
    encode_block,
)
from portside.record.segment_writer import SegmentWriter, new_recording_id, release_preallocated

RETRY_S = 1.0  # between two tries to write segments or index after one has failed
SEGMENT_BYTES = 64 << 20  # of a segment, after which the next one begins
LEAST_BYTES = 1 << 20  # the smallest --record-max
MOST_BASE = MOST_CONN - (1 << 40)  # the last connection's number: those of any run that comes must be readable

OnTrouble = Callable[[str, "OSError | sqlite3.Error | None"], None]

_log = logging.getLogger("portside.record.store")


class _Outage(NamedTuple):
    """The time in which segments cannot be written: why, and since when (steady time, ns)."""

    error: OSError
    began: int


class Store:
    """The recording in the folder ``path``, locked, brought up to date and ready for one more run.

    ``base`` is the number of the last connection in the recording: those of the run go on from there; ``found`` is the
    damage that an earlier run left. ``most_bytes`` is --record-max, ``sync`` --record-sync (fdatasync after each
    flush), ``outbound`` is True for a client's connection, which was opened from this side. ``on_trouble`` is called
    with what cannot be written and why, and with None when it can be written again.

    Raises PortsideError where the folder cannot be written, is being written by another server, or holds a recording
    of a later version.
    """

    def __init__(
        self,
        path: str,
        *,
        version: str,
        mode: int = PRIVATE_MODE,
        sync: bool = False,
        most_bytes: int | None = None,
        outbound: bool = False,
        on_trouble: OnTrouble = lambda _what, _error: None,
    ) -> None:
        self._folder = folder = make_folder(path, mode)
        self._on_trouble = on_trouble
        self._losses = LossTracker()
        self._outage: _Outage | None = None
        self._retry_at = 0.0  # on the monotonic clock
        self.clock = SteadyClock()
        self._correction = 0  # of the wall clock, by the steps in the segments
        self._flush = 0  # the number of the last flush
        try:
            lock = folder.lock()
        except OSError as error:
            raise PortsideError(f"cannot record to {path}", error) from None
        if lock is None:
            raise PortsideError(f"cannot record to {path}", "another server is recording there", "name another folder")
        self._lock = lock
        try:
            self._open(version, most_bytes, sync=sync, outbound=outbound)
        except (OSError, sqlite3.Error) as error:
            damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
            hint = f"portside rec check {path}" if damaged else None
            raise PortsideError(f"cannot record to {path}", error, hint) from None

    def _open(self, version: str, most_bytes: int | None, *, sync: bool, outbound: bool) -> None:
        with ExitStack() as on_failure:
            on_failure.callback(os.close, self._lock)
            with suppress(PortsideError):  # a new folder has none
                for number in self._folder.segments()[-1:]:
                    release_preallocated(self._folder.segment(number))  # before anything else needs disk space
            index = open_index(self._folder.index, make=self._folder.file_mode)
            on_failure.callback(index.close)
            self._bring_up_to_date(index, most_bytes, sync=sync)
            on_failure.callback(self._segments.close)
            run = Run(last_run(index) + 1, self.base, self.clock.now(), os.getpid(), version, outbound)
            first = BlockBuilder(0)
            first.add(NOTE, run.began, encode_run(run))
            self._write([first], run)  # fails at once where nothing can be written
            on_failure.pop_all()
        _log.info("run %d in %s begins at connection %d", run.run, self._folder.path, self.base + 1)

    def _bring_up_to_date(self, index: sqlite3.Connection, most_bytes: int | None, *, sync: bool) -> None:
        folder = self._folder
        if sync:
            index.execute("PRAGMA synchronous = FULL")
        recording_id = find_recording_id(folder, index)
        if recording_id is None:
            recording_id = new_recording_id()
        store_recording_id(index, recording_id)
        self._seed = checksum_seed(recording_id)
        self.found: list[DamageFound] = catch_up(folder, index, recording_id)
        self.base = last_conn(index)
        if self.base > MOST_BASE:
            why = f"its last connection is {self.base}, and no higher number can be read"
            raise PortsideError(f"cannot record to {folder.path}", why, "name another folder")
        roll = SEGMENT_BYTES if most_bytes is None else max(LEAST_BYTES // 8, min(SEGMENT_BYTES, most_bytes // 8))
        following = max(folder.segments(), default=0) + 1
        self._segments = SegmentWriter(folder, recording_id, following, roll, sync=sync)
        self._most_block_bytes = MOST_BLOCK_BYTES // 2 if most_bytes is None else roll  # what is evicted goes by blocks
        retention = Retention(folder, index, most_bytes) if most_bytes is not None else None
        self._index = IndexWriter(folder, index, recording_id, retention)

    @property
    def retries(self) -> bool:
        """Whether segments or index wait to be written again."""
        return self._outage is not None or self._index.behind

    def flush(self, blocks: dict[int, BlockBuilder], more: Callable[[], bool] = lambda: False) -> None:
        """Write the blocks that were collected, one for each connection. An error is an outage, never an exception.

        While ``more()`` is True the index may be up to INDEX_S behind.
        """
        if self.retries and time.monotonic() < self._retry_at:
            if self._outage is not None:
                self._lose(blocks)
                return
        elif self._index.behind:
            self._catch_up_index()
        todo = list(blocks.values())
        if self._outage is not None:
            todo = self._after_outage(blocks, self._outage)
        if not todo:
            return
        try:
            self._write(todo, more=more)
        except Exception as error:  # noqa: BLE001 - a defect in here must neither end the run nor pass in silence
            self._retry_at = time.monotonic() + RETRY_S
            self._lose(blocks)
            if self._index.has_rows:
                self._commit_index()
            if self._outage is None:
                self._begin_outage(_Outage(_as_os_error(error), self._first_time(blocks.values())))
            return
        if self._outage is not None:
            self._end_outage()

    def _begin_outage(self, outage: _Outage) -> None:
        self._outage = outage
        _log.info("no segment can be written: %s", outage.error)
        self._on_trouble("recording", outage.error)

    def _end_outage(self) -> None:
        self._losses.clear()
        self._outage = None
        _log.info("segments can be written again")
        self._on_trouble("recording", None)

    def _lose(self, blocks: dict[int, BlockBuilder]) -> None:
        for block in blocks.values():
            self._losses.count_lost(block)

    def _after_outage(self, blocks: dict[int, BlockBuilder], outage: _Outage) -> list[BlockBuilder]:
        """The blocks that mark the gap, each continued by those that were collected of its connection since."""
        end = self._first_time(blocks.values())
        wall = end + self.clock.correction
        marks = self._losses.gap_blocks(outage.began, end, wall, reason_of(outage.error))
        of_conn = {block.conn: block for block in marks}
        for block in blocks.values():
            if block.conn in of_conn:
                of_conn[block.conn].extend(block)
            else:
                marks.append(block)
        return marks

    def _first_time(self, blocks: Iterable[BlockBuilder]) -> int:
        """The steady time of the first entry in the blocks, or now: a gap begins or ends there."""
        return min((block.times[0] for block in blocks if block.times), default=self.clock.now())

    def _write(
        self, blocks: list[BlockBuilder], run: Run | None = None, more: Callable[[], bool] = lambda: False
    ) -> None:
        """Write one flush: segment, sums of the connections, index. Raises OSError where the segment takes nothing."""
        self._flush = (self._flush + 1) & 0xFFFFFFFF
        offset = self._segments.begin()
        number = self._segments.number
        if self._correction and offset == FILE_HEADER_SIZE:
            blocks = self._with_correction(blocks)
        buffers: list[bytes] = []
        rows: list[IndexEntry] = []
        for whole in blocks:
            before = self._losses.before(whole.conn)
            for block in whole.parts(self._most_block_bytes):
                position = BlockPosition(self._flush, block.conn, *before)
                made = encode_block(
                    self._seed, offset, position, times=block.times, metas=block.metas, bodies=block.bodies
                )
                buffers += made
                length = sum(map(len, made))
                times, sums = (block.times[0], block.times[-1]), (block.received, block.sent)
                extent = Extent(number, offset, length, block.conn, *times, *before, *sums)
                rows.append(IndexEntry(extent, block.events, block.steps, run))
                offset += length
                before = before[0] + block.received, before[1] + block.sent
        self._segments.append(buffers)
        for block in blocks:
            self._losses.count_written(block)
            if block.steps:
                self._correction = block.steps[-1].correction
        self._index.add(rows, number, self._segments.offset)
        if self._index.is_due or not more():
            self._commit_index()

    def _with_correction(self, blocks: list[BlockBuilder]) -> list[BlockBuilder]:
        """The blocks of a segment's first flush, with a note before them of how the wall clock differs by now."""
        first = BlockBuilder(0)
        first.add_step(ClockStep(self._first_time(blocks), self._correction))
        return [first, *blocks]

    def _commit_index(self) -> None:
        try:
            self._index.commit(self._segments.number)
        except Exception as error:  # noqa: BLE001 - the segment is written: whatever it is, the recording is whole
            self._retry_at = time.monotonic() + RETRY_S
            with suppress(OSError):
                self._segments.release_unused()  # the disk may be full of it
            _log.info("the index cannot be written: %s", error)
            self._on_trouble("the recording's index", error if isinstance(error, sqlite3.Error) else _as_sqlite(error))

    def _catch_up_index(self) -> None:
        try:
            self._index.catch_up()
        except Exception as error:  # noqa: BLE001 - on_trouble was called when the index fell behind
            self._retry_at = time.monotonic() + RETRY_S
            _log.debug("the index cannot be brought up to date yet: %s", error)
        else:
            _log.info("the index is up to date again")
            self._on_trouble("the recording's index", None)

    def abandon(self, error: Exception) -> None:
        """Report that a defect of ours ends the recording, and unlock the folder."""
        _log.info("the recording ends", exc_info=error)
        self._on_trouble("recording any more", _as_os_error(error))
        self._unlock()

    def close(self) -> None:
        """Write the marks of a gap and the rows that wait, and unlock the folder."""
        self._retry_at = 0.0
        try:
            if self.retries:
                self.flush({})
            if self._index.has_rows:
                self._commit_index()
        finally:
            self._unlock()

    def _unlock(self) -> None:
        if self._lock < 0:
            return
        self._segments.close()
        self._index.close()
        os.close(self._lock)
        self._lock = -1


def _as_os_error(error: Exception) -> OSError:
    return error if isinstance(error, OSError) else OSError(errno.EIO, _internal(error))


def _as_sqlite(error: Exception) -> sqlite3.Error:
    return sqlite3.InternalError(_internal(error))


def _internal(error: Exception) -> str:
    return f"{reason_of(error)} (an internal error, {type(error).__name__})"
