"""The database of an outbox: SQLite in WAL mode, a row a message.

``synchronous=NORMAL``: a commit is in the kernel's memory when it returns, so that SIGKILL of the agent at any moment
loses nothing that was committed. After a loss of power the last moments may be missing (the database is whole all the
same); an fsync(2) a commit would keep them, and cost more than all else that the agent does.

Rows have rising numbers that are never used again. ``sendings`` says which have been sent and may be in the stream:
those up to ``last``, which were first sent when the stream had had ``after`` messages. The newest of them always stays;
the first, of a new database, says that nothing is known of the stream.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, NamedTuple

from portside.errors import PortsideError

_VERSION: Final = 1
_TABLES: Final = """
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, subject TEXT NOT NULL, records INTEGER NOT NULL,
    clock REAL NOT NULL, data BLOB NOT NULL
) STRICT;
CREATE TABLE sendings (last INTEGER PRIMARY KEY, after INTEGER NOT NULL, stream TEXT NOT NULL) STRICT;
INSERT INTO sendings VALUES (0, 0, '');
CREATE TABLE clock (kernel TEXT NOT NULL, base REAL NOT NULL) STRICT;
"""
_POSITIONS: Final = """
CREATE TABLE IF NOT EXISTS positions (source TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
"""  # made with the first of them, since the first outboxes had none
_PAGE: Final = 4096
_ROW_BYTES: Final = 256  # what a row takes beside its data: name, index, subject
_CACHE_KIB: Final = 1024
_WAL_BYTES: Final = 4 << 20
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}  # the last: other tables
_AT_ONCE: Final = 500
_MOST_POSITIONS: Final = 256
NO_POSITIONS: Final[Mapping[str, int]] = MappingProxyType({})


class Outgoing(NamedTuple):
    """A message to be kept: its ``Nats-Msg-Id``, subject, count of records and bytes.

    ``positions`` are how far sources had been read, by their names, when the last of its records was made.
    """

    name: str
    subject: str
    records: int
    data: bytes
    positions: Mapping[str, int] = NO_POSITIONS


class OutboxRow(NamedTuple):
    """A message as it is kept, with the number of its row."""

    id: int
    name: str
    subject: str
    records: int
    data: bytes


class Sending(NamedTuple):
    """The rows up to ``last`` may be in the stream (named by when it was made), behind its message ``after``.

    ``at`` is when they were first sent, by the kernel's clock; it is known in that run alone, and not kept.
    """

    last: int
    after: int
    stream: str
    at: float = float("-inf")


class Amount(NamedTuple):
    """Messages, their records, and the bytes they take on disk."""

    messages: int = 0
    records: int = 0
    bytes: int = 0


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the file is no good database; others are of the disk, and may pass."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF in _DAMAGED


def _damage(what: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def cost(length: int) -> int:
    """The bytes that a row with so many bytes of data takes: large ones have pages of their own."""
    whole = length + _ROW_BYTES
    return whole if whole < _PAGE else -(-whole // _PAGE) * _PAGE


class Database:
    """An open database; for one thread at a time. Each method raises sqlite3.Error."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            self._open(path)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, path: str) -> None:
        run = self._connection.execute
        self._connection.text_factory = lambda data: data.decode(errors="replace")
        run(f"PRAGMA page_size = {_PAGE}")
        run("PRAGMA auto_vacuum = INCREMENTAL")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run(f"PRAGMA cache_size = -{_CACHE_KIB}")
        run(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        (version,) = run("PRAGMA user_version").fetchone()
        if version == 0:
            with self.transaction():
                for each in _TABLES.split(";"):
                    run(each)
                run(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise PortsideError(f"outbox {os.path.dirname(path)}", "a later version of Portside has written it")
        else:
            (found,) = run("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise _damage(found)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction: all that is done inside is done, or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close it; the WAL becomes part of it."""
        self._connection.close()

    def amount(self) -> Amount:
        """All that is in it."""
        messages = records = taken = 0
        for count, length in self._connection.execute("SELECT records, length(data) FROM messages"):
            messages, records, taken = messages + 1, records + count, taken + cost(length)
        return Amount(messages, records, taken)

    def last_row(self) -> int:
        """The highest number that a row has had."""
        query = "SELECT max(coalesce((SELECT max(id) FROM messages), 0), coalesce((SELECT max(last) FROM sendings), 0))"
        return int(self._connection.execute(query).fetchone()[0])

    def insert(self, first: int, messages: Sequence[Outgoing], clock: float) -> None:
        """Add messages, in rows from the number ``first`` on, and how far their sources have been read."""
        self._connection.executemany(
            "INSERT INTO messages (id, name, subject, records, clock, data) VALUES (?, ?, ?, ?, ?, ?)",
            ((at, each.name, each.subject, each.records, clock, each.data) for at, each in enumerate(messages, first)),
        )
        for each in messages:
            if each.positions:
                self.save_positions(each.positions)

    def read(self, after: int, most: int, most_bytes: int) -> list[OutboxRow]:
        """The next rows behind one, oldest first: at most so many, and one at least, however large."""
        found: list[OutboxRow] = []
        query = "SELECT id, name, subject, records, data FROM messages WHERE id > ? ORDER BY id LIMIT ?"
        for row in self._connection.execute(query, (after, most)):
            stored = OutboxRow(*row)
            most_bytes -= len(stored.data)
            if most_bytes < 0 and found:
                break
            found.append(stored)
        return found

    def remove(self, rows: Iterable[int]) -> Amount:
        """Remove rows by their numbers: what has been removed."""
        removed = self._at_once("DELETE FROM messages WHERE id IN ({}) RETURNING records, length(data)", rows)
        return Amount(len(removed), sum(row[0] for row in removed), sum(cost(row[1]) for row in removed))

    def rows_named(self, names: Iterable[str]) -> list[int]:
        """The rows of messages, by their ``Nats-Msg-Id``; those that are not there are left out."""
        return [row[0] for row in self._at_once("SELECT id FROM messages WHERE name IN ({})", names)]

    def _at_once(self, query: str, values: Iterable[int] | Iterable[str]) -> list[tuple[int, ...]]:
        wanted, found = list(values), []
        for at in range(0, len(wanted), _AT_ONCE):
            some = wanted[at : at + _AT_ONCE]
            found += self._connection.execute(query.format(",".join("?" * len(some))), some).fetchall()
        return found

    def remove_oldest(self, after: int, least_bytes: int, made_before: float) -> Amount:
        """Remove the oldest rows behind one that take so many bytes, and all that were made before a time."""
        rows, freed = [], 0
        query = "SELECT id, length(data), clock FROM messages WHERE id > ? ORDER BY id"
        for row, length, clock in self._connection.execute(query, (after,)):
            if freed >= least_bytes and clock >= made_before:
                break
            rows.append(row)
            freed += cost(length)
        return self.remove(rows)

    def mark(self, sending: Sending) -> None:
        """Say that the rows up to one may be in the stream from now on."""
        self._connection.execute("INSERT OR REPLACE INTO sendings VALUES (?, ?, ?)", sending[:3])

    def forget_sendings(self, before: int) -> None:
        """Forget the sendings of rows before one, but for the newest."""
        self._connection.execute(
            "DELETE FROM sendings WHERE last < ? AND last < (SELECT max(last) FROM sendings)", (before,)
        )

    def first_row(self) -> int | None:
        """The oldest row; None where there is none."""
        found = self._connection.execute("SELECT min(id) FROM messages").fetchone()[0]
        return None if found is None else int(found)

    def sendings(self) -> list[Sending]:
        """The sendings, oldest first."""
        rows = self._connection.execute("SELECT last, after, stream FROM sendings ORDER BY last")
        return [Sending(*row) for row in rows]

    def subjects(self, last: int) -> list[str]:
        """The subjects of the rows up to one."""
        rows = self._connection.execute("SELECT DISTINCT subject FROM messages WHERE id <= ?", (last,))
        return [row[0] for row in rows]

    def oldest_clock(self) -> float | None:
        """When the oldest row was made; None where there is none."""
        row = self._connection.execute("SELECT clock FROM messages ORDER BY id LIMIT 1").fetchone()
        return None if row is None else float(row[0])

    def latest_clock(self) -> float:
        """The latest time at which a row was made; 0 where there is none."""
        return float(self._connection.execute("SELECT coalesce(max(clock), 0) FROM messages").fetchone()[0])

    def clock_base(self) -> tuple[str, float] | None:
        """The run of the kernel and the base that were saved."""
        row = self._connection.execute("SELECT kernel, base FROM clock").fetchone()
        return None if row is None else (str(row[0]), float(row[1]))

    def save_clock_base(self, kernel: str, base: float) -> None:
        """Save them in the place of those before."""
        with self.transaction():
            self._connection.execute("DELETE FROM clock")
            self._connection.execute("INSERT INTO clock VALUES (?, ?)", (kernel, base))

    def positions(self) -> dict[str, int]:
        """How far each source has been read; the one that was heard of last is the last."""
        run = self._connection.execute
        if not run("SELECT 1 FROM sqlite_master WHERE name = 'positions'").fetchone():
            return {}
        return dict(run("SELECT source, number FROM positions ORDER BY rowid"))

    def save_positions(self, positions: Mapping[str, int]) -> None:
        """Save how far sources have been read; those that were not heard of for the longest time are forgotten."""
        run = self._connection.execute
        run(_POSITIONS)
        for each in positions.items():
            run("INSERT OR REPLACE INTO positions VALUES (?, ?)", each)
        newest = "SELECT rowid FROM positions ORDER BY rowid DESC LIMIT ?"
        run(f"DELETE FROM positions WHERE rowid NOT IN ({newest})", (_MOST_POSITIONS,))  # noqa: S608

    def shrink(self) -> None:
        """Give pages that hold nothing back to the file system, where they are many."""
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        if free * _PAGE > _WAL_BYTES:
            self._connection.executescript("PRAGMA incremental_vacuum")  # execute() would end it after one page
