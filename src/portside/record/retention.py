"""``--record-max``: evicts the connections that closed longest ago first, then the oldest bytes of open ones.

A small connection goes as a whole; of a large one no more than must go, its oldest bytes first. Disk space is freed by
punching holes into the segments where the blocks of a connection lie, and by deleting segments in which nothing is
left. The index records what was evicted and when: a whole connection in ``connections.dropped``, the beginning of one
in ``given_up``.
"""

import os
import sqlite3
import time
from contextlib import suppress

from portside.record.fallocate import punch_hole
from portside.record.files import open_regular
from portside.record.folder import Folder
from portside.record.index import forget_segment, transaction
from portside.record.segment import FILE_HEADER_SIZE

_AT_ONCE = 64  # connections dropped in one go
_MOST_DROPPED_ROWS = 100_000  # of connections of which nothing is left but their row, and at most
_ROW_SHARE = 1024  # one for so many bytes of the limit
_CHECK_SHARE = 64  # a look at the disk each time this part of the limit was written
_SMALL_SHARE = 64  # a connection that takes no more than this part of the limit goes as a whole

_GIVE_UP = (
    "INSERT INTO given_up VALUES (?, ?, ?, ?) ON CONFLICT (conn) DO UPDATE SET "
    "received = received + excluded.received, sent = sent + excluded.sent, at = excluded.at"
)
_EMPTY = (
    "SELECT segment FROM segments WHERE segment < ? AND segment NOT IN (SELECT segment FROM damage) "
    "AND NOT EXISTS (SELECT 1 FROM extents WHERE extents.segment = segments.segment AND conn > 0)"
)
_Place = tuple[int, int, int]  # segment, offset, length
_Block = tuple[int, int, int, int, int, int]  # its place, its connection, and its bytes received and sent


class Retention:
    """The limit ``most_bytes`` of disk space for the segments of a folder."""

    def __init__(self, folder: Folder, index: sqlite3.Connection, most_bytes: int) -> None:
        self._folder = folder
        self._index = index
        self._most_bytes = most_bytes
        self._looked_at = (0, 0)  # segment and length of the last look
        self._most_rows = min(_MOST_DROPPED_ROWS, most_bytes // _ROW_SHARE)

    def enforce(self, current: int) -> None:
        """Evict what exceeds the limit; ``current`` is the segment being written. Raises sqlite3.Error."""
        length = self._length(current)
        segment, looked = self._looked_at
        if segment == current and length - looked < self._most_bytes // _CHECK_SHARE:
            return
        self._looked_at = current, length
        most = self._most_bytes - self._most_bytes // _CHECK_SHARE
        while (too_much := self._used() - most) > 0:
            if not self._evict_closed(current, too_much) and not self._evict_oldest(current, too_much):
                return

    def _used(self) -> int:
        used = 0
        for number in self._folder.segments():
            with suppress(OSError):
                used += os.stat(self._folder.segment(number)).st_blocks * 512
        return used

    def _length(self, number: int) -> int:
        with suppress(OSError):
            return os.stat(self._folder.segment(number)).st_size
        return 0

    def _evict_closed(self, current: int, too_much: int) -> bool:
        """Evict ``too_much`` bytes of the connections that closed longest ago; whether there were any."""
        index = self._index
        conns = index.execute(
            "SELECT conn FROM connections WHERE closed IS NOT NULL AND dropped IS NULL ORDER BY closed LIMIT ?",
            (_AT_ONCE,),
        ).fetchall()
        places: list[_Place] = []
        with transaction(index):
            for (conn,) in conns:
                rows = index.execute(
                    "SELECT segment, offset, length, conn, received, sent FROM extents WHERE conn = ? "
                    "ORDER BY segment, offset LIMIT ?",
                    (conn, _AT_ONCE),
                ).fetchall()
                size = sum(row[2] for row in rows)
                if len(rows) == _AT_ONCE or size > max(too_much, self._most_bytes // _SMALL_SHARE):
                    places += self._evict_blocks(rows, too_much)
                    break
                places += (row[:3] for row in rows)
                index.execute("DELETE FROM extents WHERE conn = ?", (conn,))
                index.execute("UPDATE connections SET dropped = ? WHERE conn = ?", (time.time_ns(), conn))
                too_much -= size
                if too_much <= 0:
                    break
            if conns:
                index.execute(
                    "DELETE FROM connections WHERE dropped IS NOT NULL AND conn <= "
                    "(SELECT max(conn) FROM connections WHERE dropped IS NOT NULL) - ?",
                    (self._most_rows,),
                )
        self._free(places, current)
        return bool(conns)

    def _evict_oldest(self, current: int, too_much: int) -> bool:
        """Evict ``too_much`` bytes of the oldest blocks; whether there were any.

        In the segment being written, what the recording says of itself (connection 0) stays.
        """
        index = self._index
        rows = index.execute(
            "SELECT segment, offset, length, conn, received, sent FROM extents WHERE segment < ? OR conn > 0 "
            "ORDER BY segment, offset LIMIT ?",
            (current, _AT_ONCE),
        ).fetchall()
        with transaction(index):
            places = self._evict_blocks(rows, too_much)
        self._free(places, current)
        return bool(places)

    def _evict_blocks(self, rows: list[_Block], too_much: int) -> list[_Place]:
        """Evict the first of these blocks, ``too_much`` bytes of them, within a transaction; where they lie."""
        places: list[_Place] = []
        for segment, offset, length, conn, received, sent in rows:
            if too_much <= 0:
                break
            places.append((segment, offset, length))
            self._index.execute("DELETE FROM extents WHERE segment = ? AND offset = ?", (segment, offset))
            self._index.execute(_GIVE_UP, (conn, received, sent, time.time_ns()))
            too_much -= length
        return places

    def _free(self, places: list[_Place], current: int) -> None:
        """Free the disk space of blocks that are no longer in the index."""
        removed = self._remove_empty(current)
        for segment, offset, length in places:
            if segment not in removed:
                self._punch(segment, offset, length)

    def _remove_empty(self, current: int) -> set[int]:
        """Remove segments without a block of a connection, but those with damage: they are left to be examined."""
        numbers = {int(number) for (number,) in self._index.execute(_EMPTY, (current,))}
        for number in numbers:
            with transaction(self._index):
                forget_segment(self._index, number)
            with suppress(OSError):
                os.unlink(self._folder.segment(number))
        return numbers

    def _punch(self, segment: int, offset: int, length: int) -> None:
        """Punch a hole over an evicted block and its evicted neighbours, as only whole pages are freed."""
        index = self._index
        before = index.execute(
            "SELECT offset + length FROM extents WHERE segment = ? AND offset < ? ORDER BY offset DESC LIMIT 1",
            (segment, offset),
        ).fetchone()
        behind = index.execute(
            "SELECT offset FROM extents WHERE segment = ? AND offset > ? ORDER BY offset LIMIT 1", (segment, offset)
        ).fetchone()
        start = before[0] if before is not None else FILE_HEADER_SIZE
        end = behind[0] if behind is not None else offset + length
        with suppress(OSError):
            fd = open_regular(self._folder.segment(segment), os.O_RDWR)
            try:
                punch_hole(fd, start, end - start)
            finally:
                os.close(fd)
