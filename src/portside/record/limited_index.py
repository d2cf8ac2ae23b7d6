"""SQLite as it is opened for a file that somebody else may have made.

1. The file and its journals are regular files: SQLite would follow a link, and write through it.
2. Nothing that a schema brings along is run: views and triggers call no function with a side effect, and an index
   whose schema is not ours is not read at all (see ``soundness``).
3. A statement ends: it may take steps in proportion to the size of the file, which is more than it needs to read all
   rows there are, and less than pages need that refer to each other.
"""

import os
import sqlite3
from contextlib import suppress
from typing import Any, Final

from portside.record.files import IrregularFileError, require_regular

INDEX_FILES: Final = ("", "-wal", "-shm", "-journal")
_LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_LENGTH: 1 << 24,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 16,
    sqlite3.SQLITE_LIMIT_COLUMN: 64,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_STEPS_AT_ONCE: Final = 100_000  # of SQLite's virtual machine, between two looks at what a statement has taken
_LEAST_STEPS: Final = 20_000_000
_STEPS_PER_BYTE: Final = 50  # of the file: a row has at least as many bytes as columns, and takes some steps for each


class LimitedIndex(sqlite3.Connection):
    """A connection whose statements are interrupted (``sqlite3.OperationalError``) where they take too many steps."""

    path: str | None = None  # of the file; None in memory
    _steps = 0

    def limit(self, path: str | None) -> None:
        """Apply the limits, before anything is read; those of a copy in memory are those of the file at ``path``."""
        self.path = path
        for category, most in _LIMITS.items():
            self.setlimit(category, most)
        self.set_progress_handler(self._count_steps, _STEPS_AT_ONCE)
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
            super().execute(f"PRAGMA {pragma}")

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Run a statement, with steps of its own."""
        self._steps = 0
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        """Run a statement for each row, with steps of its own."""
        self._steps = 0
        return super().executemany(*arguments)

    def _count_steps(self) -> bool:
        """Whether the statement is to be interrupted."""
        self._steps += _STEPS_AT_ONCE
        return self.path is not None and self._steps > _LEAST_STEPS + _STEPS_PER_BYTE * self._size()

    def _size(self) -> int:
        size = 0
        for end in INDEX_FILES:
            with suppress(OSError):
                size += os.stat(f"{self.path}{end}").st_size
        return size


def connect(path: str, options: str, busy_s: float) -> LimitedIndex:
    """Open the database at a path; ``options`` are those of a URI. Raises sqlite3.Error."""
    try:
        for end in INDEX_FILES:
            require_regular(path + end)
    except IrregularFileError as error:
        raise sqlite3.DatabaseError(f"{os.path.basename(str(error.filename))}: {error.strerror}") from None
    index = sqlite3.connect(
        f"{_uri(path)}?{options}",
        timeout=busy_s,
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        factory=LimitedIndex,
    )
    try:
        index.limit(path)
    except BaseException:
        index.close()
        raise
    return index


def connect_in_memory() -> LimitedIndex:
    """An empty database in memory."""
    index = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=LimitedIndex)
    index.limit(None)
    return index


def _uri(path: str) -> str:
    escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file://{escaped}" if path.startswith("/") else f"file:{escaped}"
