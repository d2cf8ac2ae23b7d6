"""``--record-max``: the oldest closed connections go first, then the oldest bytes of those that are open.

Room is given back where a connection's blocks lie, as holes in the segments (fallocate(2), FALLOC_FL_PUNCH_HOLE), and
as whole segments when nothing that counts is left in them. The index says what was dropped and when.
"""

import ctypes
import os
import sqlite3
import time
from contextlib import suppress

from portside.record.folder import Folder
from portside.record.index import transaction

_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
_AT_ONCE = 64  # connections dropped in one go
_MOST_DROPPED_ROWS = 100_000  # of connections of which nothing is left but their row
_CHECK_SHARE = 64  # a look at the disk each time this part of the limit was written


class Room:
    """Keeps the segments of a folder below ``most_bytes`` on disk."""

    def __init__(self, folder: Folder, index: sqlite3.Connection, most_bytes: int) -> None:
        self._folder = folder
        self._index = index
        self._most_bytes = most_bytes
        self._looked_at = (0, 0)  # segment and length of the last look
        self._libc = ctypes.CDLL(None, use_errno=True)

    def keep_below(self, current: int) -> None:
        """Give up what is too much; ``current`` is the segment that is written. Raises sqlite3.Error."""
        length = self._length(current)
        segment, looked = self._looked_at
        if segment == current and length - looked < self._most_bytes // _CHECK_SHARE:
            return
        self._looked_at = current, length
        while self._used() > self._most_bytes - self._most_bytes // _CHECK_SHARE:
            if not self._drop_closed(current) and not self._drop_oldest(current):
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

    def _drop_closed(self, current: int) -> bool:
        """Drop some of the connections that closed longest ago; whether there were any."""
        index = self._index
        rows = index.execute(
            "SELECT conn FROM connections WHERE closed IS NOT NULL AND dropped IS NULL ORDER BY closed LIMIT ?",
            (_AT_ONCE,),
        )
        conns = [int(row[0]) for row in rows]
        for conn in conns:
            places = index.execute("SELECT segment, offset, length FROM extents WHERE conn = ?", (conn,)).fetchall()
            self._drop(places, current)
            index.execute("UPDATE connections SET dropped = ? WHERE conn = ?", (time.time_ns(), conn))
        index.execute(
            "DELETE FROM connections WHERE dropped IS NOT NULL AND conn <= "
            "(SELECT max(conn) FROM connections WHERE dropped IS NOT NULL) - ?",
            (_MOST_DROPPED_ROWS,),
        )
        return bool(conns)

    def _drop_oldest(self, current: int) -> bool:
        """Drop the oldest blocks of all, whosoever's; whether there were any outside the segment being written."""
        places = self._index.execute(
            "SELECT segment, offset, length FROM extents WHERE segment < ? ORDER BY segment, offset LIMIT ?",
            (current, _AT_ONCE),
        ).fetchall()
        self._drop(places, current)
        return bool(places)

    def _drop(self, places: list[tuple[int, int, int]], current: int) -> None:
        index = self._index
        with transaction(index):
            index.executemany("DELETE FROM extents WHERE segment = ? AND offset = ?", [place[:2] for place in places])
        for number in {segment for segment, _, _ in places}:
            left = index.execute(
                "SELECT count(*) FROM (SELECT 1 FROM extents WHERE segment = ? AND conn > 0 LIMIT 1)", (number,)
            ).fetchone()[0]
            if not left and number < current:
                self._remove(number)
                continue
            for segment, offset, length in places:
                if segment == number:
                    self._punch(segment, offset, length)

    def _remove(self, number: int) -> None:
        with suppress(OSError):
            os.unlink(self._folder.segment(number))
        with transaction(self._index):
            self._index.execute("DELETE FROM extents WHERE segment = ?", (number,))
            self._index.execute("DELETE FROM segments WHERE segment = ?", (number,))

    def _punch(self, segment: int, offset: int, length: int) -> None:
        """Make a hole of a dropped block and of what was dropped on either side of it: only whole pages are freed."""
        index = self._index
        before = index.execute(
            "SELECT offset + length FROM extents WHERE segment = ? AND offset < ? ORDER BY offset DESC LIMIT 1",
            (segment, offset),
        ).fetchone()
        behind = index.execute(
            "SELECT offset FROM extents WHERE segment = ? AND offset > ? ORDER BY offset LIMIT 1", (segment, offset)
        ).fetchone()
        start = before[0] if before is not None else offset
        end = behind[0] if behind is not None else offset + length
        with suppress(OSError):
            fd = os.open(self._folder.segment(segment), os.O_RDWR | os.O_CLOEXEC)
            try:
                hole = ctypes.c_int64(start), ctypes.c_int64(end - start)
                self._libc.fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, *hole)
            finally:
                os.close(fd)
