"""Writing the index of a recording: rows are collected for a moment, then committed together.

The segments are written first, so nothing is lost when the index is behind: the missing rows are made from the segments
(``catch_up``) as soon as SQLite accepts rows again.
"""

import sqlite3
import time
from contextlib import suppress

from portside.record.folder import Folder
from portside.record.index import IndexEntry, add
from portside.record.recovery import catch_up
from portside.record.retention import Retention

INDEX_S = 0.04  # how far the index may be behind while more is being written: one transaction for several flushes


class IndexWriter:
    """Writes, and finally closes, the open index of the recording ``recording_id``; for the recorder's thread.

    ``behind`` is True from the first commit that failed until ``catch_up`` has succeeded; meanwhile rows are dropped.
    """

    def __init__(
        self, folder: Folder, index: sqlite3.Connection, recording_id: bytes, retention: Retention | None
    ) -> None:
        self.behind = False
        self._folder = folder
        self._index = index
        self._recording_id = recording_id
        self._retention = retention
        self._rows: list[IndexEntry] = []
        self._indexed: dict[int, int] = {}  # the length of each segment once the rows are committed
        self._due_at = 0.0  # on the monotonic clock

    @property
    def is_due(self) -> bool:
        """Whether the last commit is more than INDEX_S ago."""
        return time.monotonic() >= self._due_at

    @property
    def has_rows(self) -> bool:
        """Whether rows wait to be committed."""
        return bool(self._rows)

    def add(self, rows: list[IndexEntry], segment: int, length: int) -> None:
        """Collect the rows of a flush; ``length`` is that of the segment behind it, in bytes."""
        self._rows += rows
        self._indexed[segment] = length

    def commit(self, segment: int) -> None:
        """Commit the rows, then enforce --record-max; ``segment`` is the one being written.

        Raises sqlite3.Error, or what a defect of ours raises, and the index is ``behind`` from then on.
        """
        rows, self._rows = self._rows, []
        indexed, self._indexed = self._indexed, {}
        self._due_at = time.monotonic() + INDEX_S
        if self.behind:
            return
        try:
            add(self._index, rows, indexed)
            if self._retention is not None:
                self._retention.enforce(segment)
        except Exception:
            self.behind = True
            raise

    def catch_up(self) -> None:
        """Read what the index lacks back from the segments. Raises PortsideError and sqlite3.Error."""
        catch_up(self._folder, self._index, self._recording_id)
        self.behind = False

    def close(self) -> None:
        """Close the index."""
        with suppress(sqlite3.Error):
            self._index.close()
