"""The store: flushes into segments, then into the index; a full disk, a locked index, old data given up.

Everything here runs on the recorder's thread. Where the disk takes nothing the server goes on and the recording has a
gap, said once, marked when it is over; where only the index takes nothing it is brought up to date later.
"""

import errno
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

from portside.errors import PortsideError, reason_of
from portside.record.block_builder import BlockBuilder
from portside.record.folder import make_folder
from portside.record.index import Extent, IndexEntry, Run, add, last_conn, last_run, open_index, store_recording_id
from portside.record.loss_tracker import LossTracker
from portside.record.recovery import DamageFound, catch_up, recording_id
from portside.record.retention import Retention
from portside.record.scan import encode_run
from portside.record.segment import MOST_BLOCK_BYTES, NOTE, BlockPosition, checksum_seed, encode_block
from portside.record.segments import SegmentWriter, new_recording_id, release_preallocated

RETRY_S = 1.0
INDEX_S = 0.04
SEGMENT_BYTES = 64 << 20
LEAST_BYTES = 1 << 20  # --record-max

OnTrouble = Callable[[str, "OSError | sqlite3.Error | None"], None]


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
        outbound: bool = False,
        on_trouble: OnTrouble = lambda _what, _error: None,
    ) -> None:
        self._folder = folder = make_folder(path)
        self._sync = sync
        self._on_trouble = on_trouble
        self._ledger = LossTracker()
        self._gap: OSError | None = None
        self._gap_began = 0
        self._index_behind = False
        self._index_at = 0.0
        self._rows: list[IndexEntry] = []  # written, and not in the index yet,
        self._indexed: dict[int, int] = {}  # and how far that is in each segment
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
            self._open(version, most_bytes, outbound=outbound)
        except (OSError, sqlite3.Error) as error:
            damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
            hint = f"portside rec check {path}" if damaged else None
            raise PortsideError(f"cannot record to {path}", error, hint) from None

    def _open(self, version: str, most_bytes: int | None, *, outbound: bool) -> None:
        with ExitStack() as on_failure:
            on_failure.callback(os.close, self._lock)
            with suppress(PortsideError):  # a new folder has none
                for number in self._folder.segments()[-1:]:
                    release_preallocated(self._folder.segment(number))  # before anything asks for room
            self._index = index = open_index(self._folder.index, make=True)
            on_failure.callback(index.close)
            self._bring_up_to_date(most_bytes)
            on_failure.callback(self._segments.close)
            run = Run(last_run(index) + 1, self.base, time.time_ns(), os.getpid(), version, outbound)
            first = BlockBuilder(0)
            first.add(NOTE, run.began, encode_run(run))
            self._write([first], run)  # says at once where nothing can be written
            on_failure.pop_all()

    def _bring_up_to_date(self, most_bytes: int | None) -> None:
        folder, index = self._folder, self._index
        if self._sync:
            index.execute("PRAGMA synchronous = FULL")
        recording = recording_id(folder, index)
        if recording is None:
            recording = new_recording_id()
        store_recording_id(index, recording)
        self._recording, self._seed = recording, checksum_seed(recording)
        self.found: list[DamageFound] = catch_up(folder, index, recording)
        self.base = last_conn(index)
        roll = SEGMENT_BYTES if most_bytes is None else max(LEAST_BYTES // 8, min(SEGMENT_BYTES, most_bytes // 8))
        following = max(folder.segments(), default=0) + 1
        self._segments = SegmentWriter(folder, recording, following, roll, sync=self._sync)
        self._room = Retention(folder, index, most_bytes) if most_bytes is not None else None

    @property
    def retries(self) -> bool:
        """Whether something waits for the disk."""
        return self._gap is not None or self._index_behind

    def flush(self, blocks: dict[int, BlockBuilder], more: Callable[[], bool] = lambda: False) -> None:
        """Keep what was collected. Raises nothing: what goes wrong is said, and a gap in the recording.

        Where there is ``more`` to be kept at once, the index may be up to ``INDEX_S`` behind.
        """
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
            self._write(todo, more=more)
        except Exception as error:  # noqa: BLE001 - a mistake in here must neither end the run nor pass in silence
            self._retry_at = time.monotonic() + RETRY_S
            self._lose(blocks)
            if self._rows:
                self._to_index()
            if self._gap is None:
                self._gap, self._gap_began = _as_os_error(error), _first_time(blocks)
                self._on_trouble("recording", self._gap)
            return
        if self._gap is not None:
            self._ledger.gap_over()
            self._gap = None
            self._on_trouble("recording", None)

    def _lose(self, blocks: dict[int, BlockBuilder]) -> None:
        for block in blocks.values():
            self._ledger.lost(block)

    def _after_gap(self, blocks: dict[int, BlockBuilder]) -> list[BlockBuilder]:
        """The notes on the gap, and after them what was collected since."""
        end = _first_time(blocks)
        why = reason_of(self._gap) if self._gap is not None else ""
        marks = self._ledger.gap_blocks(end, max(0, end - self._gap_began) / 1e9, why)
        of_conn = {block.conn: block for block in marks}
        for block in blocks.values():
            if block.conn in of_conn:
                of_conn[block.conn].extend(block)
            else:
                marks.append(block)
        return marks

    def _write(
        self, blocks: list[BlockBuilder], run: Run | None = None, more: Callable[[], bool] = lambda: False
    ) -> None:
        """One flush: segments, accounts, index. Raises OSError where the segment could not be written."""
        self._flush = (self._flush + 1) & 0xFFFFFFFF
        offset = self._segments.begin()
        number = self._segments.number
        buffers: list[bytes] = []
        rows: list[IndexEntry] = []
        for whole in blocks:
            before = self._ledger.before(whole.conn)
            for block in whole.parts(MOST_BLOCK_BYTES):
                place = BlockPosition(self._flush, block.conn, *before)
                made = encode_block(
                    self._seed, offset, place, times=block.times, metas=block.metas, bodies=block.bodies
                )
                buffers += made
                length = sum(map(len, made))
                times, sums = (block.times[0], block.times[-1]), (block.received, block.sent)
                extent = Extent(number, offset, length, block.conn, *times, *before, *sums)
                rows.append(IndexEntry(extent, block.events, run))
                offset += length
                before = before[0] + block.received, before[1] + block.sent
        self._segments.append(buffers)
        for block in blocks:
            self._ledger.kept(block)
        self._rows += rows
        self._indexed[number] = self._segments.offset
        if time.monotonic() >= self._index_at or not more():
            self._to_index()

    def _to_index(self) -> None:
        """Have the index know what was written: one transaction for some flushes costs less than one for each."""
        rows, self._rows = self._rows, []
        indexed, self._indexed = self._indexed, {}
        self._index_at = time.monotonic() + INDEX_S
        if self._index_behind:
            return  # it will be brought up to date from the segments
        try:
            add(self._index, rows, indexed)
            if self._room is not None:
                self._room.enforce(self._segments.number)
        except Exception as error:  # noqa: BLE001 - the segment is written: whatever it is, the recording is whole
            self._index_behind = True
            self._retry_at = time.monotonic() + RETRY_S
            with suppress(OSError):
                self._segments.give_back()  # the disk may be full of it
            self._on_trouble("the recording's index", error if isinstance(error, sqlite3.Error) else _as_sqlite(error))

    def _index_again(self) -> None:
        try:
            catch_up(self._folder, self._index, self._recording)
        except Exception:  # noqa: BLE001 - as it was said when this began
            self._retry_at = time.monotonic() + RETRY_S
        else:
            self._index_behind = False
            self._on_trouble("the recording's index", None)

    def give_up(self, error: Exception) -> None:
        """Say that nothing more is written, by a mistake of ours, and let go of the folder."""
        self._on_trouble("recording any more", _as_os_error(error))
        self._let_go()

    def close(self) -> None:
        """Write the last notes and let go of the folder."""
        self._retry_at = 0.0
        try:
            if self.retries:
                self.flush({})
            if self._rows:
                self._to_index()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._lock < 0:
            return
        self._segments.close()
        with suppress(sqlite3.Error):
            self._index.close()
        os.close(self._lock)
        self._lock = -1


def _first_time(blocks: dict[int, BlockBuilder]) -> int:
    """When the first of this happened: a gap begins, or ends, there."""
    return min((block.times[0] for block in blocks.values() if block.times), default=time.time_ns())


def _as_os_error(error: Exception) -> OSError:
    return error if isinstance(error, OSError) else OSError(errno.EIO, _internal(error))


def _as_sqlite(error: Exception) -> sqlite3.Error:
    return sqlite3.InternalError(_internal(error))


def _internal(error: Exception) -> str:
    return f"{reason_of(error)} (an internal error, {type(error).__name__})"
