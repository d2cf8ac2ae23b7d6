"""``rec check``: every block against its checksums, and the index against the segments; a wrong index is made anew."""

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress

from portside.errors import PortsideError
from portside.events import Gap
from portside.record.folder import Folder
from portside.record.index import (
    Extent,
    IndexEntry,
    new_index_in_memory,
    open_index,
    open_index_to_read,
    recording_id_of,
    store_recording_id,
)
from portside.record.rebuild import rebuild
from portside.record.recovery import (
    MISSING,
    DamageFound,
    Progress,
    catch_up,
    no_progress,
    open_segment,
    read_file_header,
)
from portside.record.report import BlockSpan, CheckReport, Incomplete
from portside.record.scan import Damage, index_entry, scan
from portside.record.segment import FILE_HEADER_SIZE, Damaged, checksum_seed


def check(path: str, progress: Progress = no_progress) -> CheckReport:
    """Verify the recording in a folder, and make its index anew where that is wrong and may be written.

    ``progress`` is called with bytes done and in all, more than once where the index is made anew. Raises PortsideError
    where there is no recording, none of this version, or it cannot be read.
    """
    folder = Folder(path)
    folder.segments()
    lock = None
    try:
        lock = folder.lock()
        live = lock is None
    except OSError:  # no right to write here
        live = folder.is_written()
    try:
        return _Check(folder, progress, live=live).run(may_write=lock is not None)
    except (OSError, sqlite3.Error) as error:
        raise PortsideError(f"cannot check {path}", error) from None
    finally:
        if lock is not None:
            os.close(lock)


class _Check:
    """One check of a folder."""

    def __init__(self, folder: Folder, progress: Progress, *, live: bool) -> None:
        self._folder = folder
        self._progress = progress
        self._report = CheckReport(live)
        self._have: dict[int, tuple[int, int]] = {}  # bytes of a connection up to here
        self._missing: dict[int, tuple[int, int]] = {}  # and what was missing before
        self._holes = False

    def run(self, *, may_write: bool) -> CheckReport:
        report = self._report
        recordings = self._recordings()
        index = self._open_index(recordings, may_write=may_write)
        with closing(index):
            recording = _recording_id_of(index)
            self._recording, self._seed = recording, checksum_seed(recording)
            self._segments(index)
            self._told(index)
            self._connections(index)
            report.connections = int(index.execute("SELECT count(*) FROM connections").fetchone()[0])
        if may_write and (report.index_error is not None or report.unknown or report.absent):
            done = rebuild(self._folder, recording, self._progress, evicted=report.may_be_given_up)
            report.rebuilt, report.aside, report.not_rebuilt, report.connections = True, *done
        return report

    # The index.

    def _recordings(self) -> Counter[bytes]:
        """The names of recordings in the headers of segments."""
        recordings: Counter[bytes] = Counter()
        for number in self._folder.segments():
            with suppress(Damaged), open_segment(self._folder, number) as fd:
                recordings[read_file_header(self._folder, number, fd).recording] += 1
        return recordings

    def _open_index(self, recordings: Counter[bytes], *, may_write: bool) -> sqlite3.Connection:
        """The index brought up to date; one made of the segments, in memory, where it is lost or damaged."""
        folder, report = self._folder, self._report
        try:
            if report.live:
                return self._sound(open_index_to_read(folder.index), recordings)
            if may_write:
                index = self._sound(open_index(folder.index), recordings)
            else:
                index = new_index_in_memory()
                with closing(self._sound(open_index_to_read(folder.index), recordings)) as written:
                    written.backup(index)
            try:
                self._catch_up(index, recordings)
            except BaseException:
                index.close()
                raise
            return index  # noqa: TRY300
        except sqlite3.Error as error:
            missing = not os.path.lexists(folder.index)
            report.index_error = "it is missing" if missing else str(error)
        index = new_index_in_memory()
        if not recordings:
            index.close()
            raise PortsideError(f"recording {folder.path}", "nothing in it can be read")
        self._catch_up(index, recordings)
        return index

    def _sound(self, index: sqlite3.Connection, recordings: Counter[bytes]) -> sqlite3.Connection:
        """The same index. Raises sqlite3.Error where it is damaged, or another recording's."""
        try:
            wrong = _what_is_wrong(index, recordings)
        except BaseException:
            index.close()
            raise
        if wrong is not None:
            index.close()
            raise sqlite3.DatabaseError(wrong)
        return index

    def _catch_up(self, index: sqlite3.Connection, recordings: Counter[bytes]) -> None:
        for recording, _ in recordings.most_common(1):
            store_recording_id(index, recording)
        catch_up(self._folder, index, _recording_id_of(index))

    # The segments.

    def _segments(self, index: sqlite3.Connection) -> None:
        report, folder = self._report, self._folder
        ends = dict(index.execute("SELECT segment, indexed FROM segments ORDER BY segment"))
        self._holes = bool(ends) and list(ends) != list(range(1, len(ends) + 1))
        whole, done = sum(ends.values()), 0
        for number, end in ends.items():
            try:
                with open_segment(folder, number) as fd:
                    self._segment(index, number, fd, end)
            except PortsideError:
                if not report.live or _is_there(index, number):
                    raise
            else:
                report.segments += 1
                report.bytes += end
            done += end
            self._progress(done, whole)

    def _segment(self, index: sqlite3.Connection, number: int, fd: int, end: int) -> None:
        report = self._report
        if not end:
            return
        try:
            if read_file_header(self._folder, number, fd).recording != self._recording:
                report.found.append(DamageFound(number, 0, end, "it belongs to another recording", torn=False))
                return
        except Damaged as damaged:
            size = min(end, FILE_HEADER_SIZE)
            report.found.append(DamageFound(number, 0, size, str(damaged), torn=end < FILE_HEADER_SIZE))
        extents = {extent.offset: extent for extent in _extents(index, number)}
        after, damages = FILE_HEADER_SIZE, []
        for each in scan(fd, self._seed, FILE_HEADER_SIZE, end):
            self._holes = self._holes or each.offset > after
            after = each.offset + each.length
            if isinstance(each, Damage):
                damages.append(DamageFound(number, *each))
                continue
            report.blocks += 1
            found = index_entry(number, each)
            self._follow(found)
            if extents.pop(each.offset, None) != found.extent and not report.live:
                self._unknown(index, found.extent)
        self._holes = self._holes or (end > after)
        if report.live:  # what was given up meanwhile is no damage
            extents = {extent.offset: extent for extent in _extents(index, number) if extent.offset in extents}
            damages = [each for each in damages if any(_overlap(each, extent) for extent in extents.values())]
        report.found += damages
        for extent in extents.values():
            if not any(_overlap(each, extent) for each in damages):
                report.absent.append(BlockSpan(*extent[:4]))

    def _unknown(self, index: sqlite3.Connection, extent: Extent) -> None:
        """A block that the index does not know, unless it was about to be given up when the server was killed."""
        query = "SELECT 1 FROM connections WHERE conn = ? AND dropped IS NOT NULL"
        if index.execute(query, (extent.conn,)).fetchone():
            return
        query = "SELECT segment, offset FROM extents WHERE conn = ? ORDER BY 1, 2 LIMIT 1"
        first = index.execute(query, (extent.conn,)).fetchone()
        evicted = index.execute("SELECT 1 FROM given_up WHERE conn = ?", (extent.conn,)).fetchone()
        if not evicted or (first is not None and extent[:2] > first):
            self._report.unknown.append(BlockSpan(*extent[:4]))

    def _follow(self, block: IndexEntry) -> None:
        """Count what is missing of a connection before this block."""
        extent = block.extent
        conn = extent.conn
        have = self._have.get(conn, (0, 0))
        if not any(isinstance(event, Gap) for event in block.events):
            self._miss(conn, extent.received_before - have[0], extent.sent_before - have[1])
        self._have[conn] = extent.received_before + extent.received, extent.sent_before + extent.sent

    def _miss(self, conn: int, received: int, sent: int) -> None:
        if received > 0 or sent > 0:
            before = self._missing.get(conn, (0, 0))
            self._missing[conn] = before[0] + max(0, received), before[1] + max(0, sent)

    # What follows from them.

    def _told(self, index: sqlite3.Connection) -> None:
        """Damage that an earlier look wrote down and that cannot be seen any more: what is gone, and ends cut off."""
        report = self._report
        for row in index.execute("SELECT segment, offset, length, why, 0 FROM damage ORDER BY segment, offset"):
            each = DamageFound(*row)
            if each.why == MISSING:
                report.missing.append(each.segment)
            elif not any(each.segment == other.segment and _overlap(each, other) for other in report.found):
                report.found.append(each._replace(torn=False))

    def _connections(self, index: sqlite3.Connection) -> None:
        """What is missing at the ends of connections, and what of all that was given up."""
        query = "SELECT conn, received, sent FROM connections WHERE closed IS NOT NULL AND dropped IS NULL"
        for conn, received, sent in index.execute(query):
            have = self._have.get(conn, (0, 0))
            self._miss(conn, received - have[0], sent - have[1])
        evicted = {row[0]: row[1:] for row in index.execute("SELECT conn, received, sent FROM given_up")}
        self._report.may_be_given_up = self._holes or bool(evicted)
        for conn, (received, sent) in sorted(self._missing.items()):
            known = evicted.get(conn, (0, 0))
            left = max(0, received - known[0]), max(0, sent - known[1])
            if any(left):
                self._report.incomplete.append(Incomplete(conn, *left))


def _what_is_wrong(index: sqlite3.Connection, recordings: Counter[bytes]) -> str | None:
    said = str(index.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if said != "ok":
        return said
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    with closing(new_index_in_memory()) as right:
        if index.execute(tables).fetchall() != right.execute(tables).fetchall():
            return "it is not complete"
    return "it belongs to another recording" if recordings and _recording_id_of(index) not in recordings else None


def _recording_id_of(index: sqlite3.Connection) -> bytes:
    """The name of the recording. Raises sqlite3.DatabaseError where the index does not know it."""
    recording = recording_id_of(index)
    if recording is None:
        raise sqlite3.DatabaseError("it is not complete")
    return recording


def _extents(index: sqlite3.Connection, number: int) -> Iterator[Extent]:
    for row in index.execute("SELECT * FROM extents WHERE segment = ? ORDER BY offset", (number,)).fetchall():
        yield Extent(*row)


def _is_there(index: sqlite3.Connection, number: int) -> bool:
    return index.execute("SELECT 1 FROM segments WHERE segment = ?", (number,)).fetchone() is not None


def _overlap(one: DamageFound, other: DamageFound | Extent) -> bool:
    return one.offset < other.offset + other.length and other.offset < one.offset + one.length
