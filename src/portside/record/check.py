"""``rec check``: every block against its checksums, the index against the segments; a wrong index is rebuilt."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing

from portside.errors import PortsideError, reason_of
from portside.events import Gap
from portside.record.checked_index import Access, open_checked_index, require_recording_id
from portside.record.folder import Folder
from portside.record.index import Extent, IndexEntry
from portside.record.rebuild import rebuild
from portside.record.recovery import (
    MISSING,
    DamageFound,
    Progress,
    irregular_segments,
    no_progress,
    open_segment,
    read_file_header,
)
from portside.record.report import BlockSpan, CheckReport, Incomplete
from portside.record.scan import Damage, index_entry, scan
from portside.record.segment import FILE_HEADER_SIZE, Damaged, checksum_seed


def check(path: str, progress: Progress = no_progress) -> CheckReport:
    """Verify the recording in a folder, and rebuild its index where that is wrong and may be written.

    ``progress`` is called with bytes done and in all, more than once where the index is rebuilt. Raises PortsideError
    where there is no recording, none of this version, or it cannot be read.
    """
    folder = Folder(path)
    folder.segments()
    lock = None
    try:
        lock = folder.lock()
        access = Access.LIVE if lock is None else Access.EXCLUSIVE
    except OSError:  # no right to write here
        access = Access.LIVE if folder.is_written() else Access.READ_ONLY
    try:
        return _check(folder, access, progress)
    except (OSError, sqlite3.Error) as error:
        raise PortsideError(f"cannot check {path}", error) from None
    finally:
        if lock is not None:
            os.close(lock)


def _check(folder: Folder, access: Access, progress: Progress) -> CheckReport:
    report = CheckReport(access is Access.LIVE)
    index, report.index_error = open_checked_index(folder, access)
    with closing(index):
        recording_id = require_recording_id(index)
        _Checker(folder, index, recording_id, report).run(progress)
        report.connections = int(index.execute("SELECT count(*) FROM connections").fetchone()[0])
    if access is Access.EXCLUSIVE and (report.index_error is not None or report.unknown or report.absent):
        try:
            rebuilt = rebuild(folder, recording_id, progress, evicted=report.may_be_given_up)
        except (OSError, sqlite3.OperationalError) as error:  # the disk is full, for one
            report.rebuild_error = reason_of(error)
        else:
            report.rebuilt = True
            report.aside, report.not_rebuilt, report.connections = rebuilt
    return report


class _Checker:
    """Compares the segments of a folder with an index; differences go into ``report``."""

    def __init__(self, folder: Folder, index: sqlite3.Connection, recording_id: bytes, report: CheckReport) -> None:
        self._folder = folder
        self._index = index
        self._recording_id = recording_id
        self._report = report
        self._have: dict[int, tuple[int, int]] = {}  # bytes in and out of a connection up to the last block read
        self._missing: dict[int, tuple[int, int]] = {}  # and how many of them are in no block
        self._holes = False  # something between the blocks was punched out, or a whole segment removed

    def run(self, progress: Progress) -> None:
        """Read all segments that the index knows; ``progress`` is called with bytes done and in all."""
        self._check_segments(progress)
        self._add_known_damage()
        self._report.found += irregular_segments(self._folder)
        self._check_connections()

    def _check_segments(self, progress: Progress) -> None:
        report = self._report
        ends = dict(self._index.execute("SELECT segment, indexed FROM segments ORDER BY segment"))
        self._holes = bool(ends) and list(ends) != list(range(1, len(ends) + 1))
        whole, done = sum(ends.values()), 0
        for number, end in ends.items():
            try:
                with open_segment(self._folder, number) as fd:
                    self._check_segment(number, fd, end)
            except PortsideError:
                if not report.live or self._is_indexed(number):
                    raise
            else:
                report.segments += 1
                report.bytes += end
            done += end
            progress(done, whole)

    def _check_segment(self, number: int, fd: int, end: int) -> None:
        report = self._report
        if not end:
            return
        try:
            if read_file_header(self._folder, number, fd).recording != self._recording_id:
                report.found.append(DamageFound(number, 0, end, "it belongs to another recording", torn=False))
                return
        except Damaged as damaged:
            size = min(end, FILE_HEADER_SIZE)
            report.found.append(DamageFound(number, 0, size, str(damaged), torn=end < FILE_HEADER_SIZE))
        extents = {extent.offset: extent for extent in self._extents(number)}
        after, damages = FILE_HEADER_SIZE, []
        for each in scan(fd, checksum_seed(self._recording_id), FILE_HEADER_SIZE, end):
            self._holes = self._holes or each.offset > after
            after = each.offset + each.length
            if isinstance(each, Damage):
                damages.append(DamageFound(number, *each))
                continue
            report.blocks += 1
            found = index_entry(number, each)
            self._count_missing(found)
            if extents.pop(each.offset, None) != found.extent and not report.live:
                self._add_unknown(found.extent)
        self._holes = self._holes or (end > after)
        if report.live:  # what was evicted meanwhile is no damage
            extents = {extent.offset: extent for extent in self._extents(number) if extent.offset in extents}
            damages = [each for each in damages if any(_overlap(each, extent) for extent in extents.values())]
        report.found += damages
        for extent in extents.values():
            if not any(_overlap(each, extent) for each in damages):
                report.absent.append(BlockSpan(*extent[:4]))

    def _add_unknown(self, extent: Extent) -> None:
        """Report a block that the index lacks, unless it was about to be evicted when the server was killed."""
        index = self._index
        query = "SELECT 1 FROM connections WHERE conn = ? AND dropped IS NOT NULL"
        if index.execute(query, (extent.conn,)).fetchone():
            return
        query = "SELECT segment, offset FROM extents WHERE conn = ? ORDER BY 1, 2 LIMIT 1"
        first = index.execute(query, (extent.conn,)).fetchone()
        evicted = index.execute("SELECT 1 FROM given_up WHERE conn = ?", (extent.conn,)).fetchone()
        if not evicted or (first is not None and extent[:2] > first):
            self._report.unknown.append(BlockSpan(*extent[:4]))

    def _count_missing(self, block: IndexEntry) -> None:
        """Count the bytes of a connection that are missing before this block, but those that a Gap accounts for."""
        extent = block.extent
        conn = extent.conn
        have = self._have.get(conn, (0, 0))
        if not any(isinstance(event, Gap) for _, event in block.events):
            self._add_missing(conn, extent.received_before - have[0], extent.sent_before - have[1])
        self._have[conn] = extent.received_before + extent.received, extent.sent_before + extent.sent

    def _add_missing(self, conn: int, received: int, sent: int) -> None:
        if received > 0 or sent > 0:
            before = self._missing.get(conn, (0, 0))
            self._missing[conn] = before[0] + max(0, received), before[1] + max(0, sent)

    def _add_known_damage(self) -> None:
        """Report the damage that the index lists and that leaves no trace: segments that are gone, ends cut off."""
        report = self._report
        for row in self._index.execute("SELECT segment, offset, length, why, 0 FROM damage ORDER BY segment, offset"):
            each = DamageFound(*row)
            if each.why == MISSING:
                report.missing.append(each.segment)
            elif not any(each.segment == other.segment and _overlap(each, other) for other in report.found):
                report.found.append(each._replace(torn=False))

    def _check_connections(self) -> None:
        """Report the bytes that are missing of each connection, but those that --record-max evicted."""
        index = self._index
        query = "SELECT conn, received, sent FROM connections WHERE closed IS NOT NULL AND dropped IS NULL"
        for conn, received, sent in index.execute(query):
            have = self._have.get(conn, (0, 0))
            self._add_missing(conn, received - have[0], sent - have[1])
        evicted = {row[0]: row[1:] for row in self._index.execute("SELECT conn, received, sent FROM given_up")}
        self._report.may_be_given_up = self._holes or bool(evicted)
        for conn, (received, sent) in sorted(self._missing.items()):
            known = evicted.get(conn, (0, 0))
            left = max(0, received - known[0]), max(0, sent - known[1])
            if any(left):
                self._report.incomplete.append(Incomplete(conn, *left))

    def _extents(self, segment: int) -> Iterator[Extent]:
        rows = self._index.execute("SELECT * FROM extents WHERE segment = ? ORDER BY offset", (segment,)).fetchall()
        return map(Extent._make, rows)

    def _is_indexed(self, segment: int) -> bool:
        return self._index.execute("SELECT 1 FROM segments WHERE segment = ?", (segment,)).fetchone() is not None


def _overlap(one: DamageFound, other: DamageFound | Extent) -> bool:
    return one.offset < other.offset + other.length and other.offset < one.offset + one.length
