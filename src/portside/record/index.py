"""The index of a recording: its connections, and the positions of their blocks (SQLite, a row for each block).

The segments are authoritative; a row is written after the bytes that it points to. ``segments.indexed`` is the offset
up to which each segment has been indexed, so an index that is behind, after SIGKILL for example, is brought up to date
from there.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from typing import NamedTuple

from portside.descriptors import create_file
from portside.errors import PortsideError
from portside.events import Closed, Event, Gap, HalfClosed, Opened
from portside.record.clock import ClockStep
from portside.record.limited_index import LimitedIndex, connect, connect_in_memory
from portside.record.soundness import SMALL_TABLES, Row, require_schema, require_sound_rows, schema_of

SCHEMA = 3
ID_BYTES = 16  # of the random name of a recording
BUSY_S = 1.0  # how long the writer waits where another program has locked the index
_MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE runs (run INTEGER PRIMARY KEY, base INTEGER, began INTEGER, pid INTEGER, version TEXT,
        dialled INTEGER);
    CREATE TABLE segments (segment INTEGER PRIMARY KEY, indexed INTEGER NOT NULL);
    CREATE TABLE damage (segment INTEGER, offset INTEGER, length INTEGER, why TEXT, PRIMARY KEY (segment, offset))
        WITHOUT ROWID;
    CREATE TABLE connections (conn INTEGER PRIMARY KEY, peer TEXT, local TEXT, opened INTEGER, half_closed INTEGER,
        closed INTEGER, reason TEXT, error TEXT, duration REAL, received INTEGER, sent INTEGER, dropped INTEGER);
    CREATE TABLE extents (segment INTEGER, offset INTEGER, length INTEGER, conn INTEGER, first INTEGER, last INTEGER,
        received_before INTEGER, sent_before INTEGER, received INTEGER, sent INTEGER, PRIMARY KEY (segment, offset))
        WITHOUT ROWID;
    CREATE INDEX extents_of_conn ON extents (conn, segment, offset);
    CREATE TABLE gaps (conn INTEGER, at INTEGER, received INTEGER, sent INTEGER, duration REAL, why TEXT,
        connections INTEGER);
    """,
    """
    CREATE TABLE given_up (conn INTEGER PRIMARY KEY, received INTEGER, sent INTEGER, at INTEGER);
    CREATE INDEX connections_to_give_up ON connections (closed) WHERE closed IS NOT NULL AND dropped IS NULL;
    """,
    """
    ALTER TABLE connections ADD COLUMN closed_by TEXT;
    ALTER TABLE connections ADD COLUMN began INTEGER;
    CREATE TABLE clock (segment INTEGER, at INTEGER, correction INTEGER, PRIMARY KEY (segment, at)) WITHOUT ROWID;
    """,
)


class Extent(NamedTuple):
    """The place of a block in a segment and a summary of it: sizes in bytes, times in ns since 1970."""

    segment: int
    offset: int
    length: int
    conn: int
    first: int
    last: int
    received_before: int
    sent_before: int
    received: int
    sent: int


class Run(NamedTuple):
    """One run of a server or client that wrote the recording; ``base`` is the last connection before it."""

    run: int
    base: int
    began: int
    pid: int
    version: str
    outbound: bool = False  # a client recorded it: the connection was opened from this side


class IndexEntry(NamedTuple):
    """The part of a block that goes into the index: its place, its events with their steady times, and its notes."""

    extent: Extent
    events: Sequence[tuple[int, Event]]
    steps: Sequence[ClockStep] = ()
    run: Run | None = None


def open_index(path: str, *, make: int | None = None) -> LimitedIndex:
    """The index at this path, to write; where there is none, one is made with the mode ``make``, unless that is None.

    One that is not sound is not changed. Raises sqlite3.Error, OSError where it cannot be made, and PortsideError for
    one of a later version.
    """
    if make is not None and not os.path.lexists(path):
        os.close(create_file(path, os.O_RDWR, make))  # SQLite takes its mode for the journals too
    index = connect(path, "mode=rw", BUSY_S)
    try:
        if _version(index, path) or index.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            _require_sound(index, path)
        index.execute("PRAGMA journal_mode = WAL")
        index.execute("PRAGMA synchronous = NORMAL")
        _migrate(index, path)
    except BaseException:
        index.close()
        raise
    return index


def open_index_to_read(path: str, *, older: bool = False) -> LimitedIndex:
    """The index at this path, read-only; one of an older schema only with ``older``. Raises as ``open_index``."""
    errors: list[sqlite3.Error] = []
    for rest in ("mode=ro", "mode=ro&immutable=1"):  # a folder without the right to write has no place for a journal
        try:
            index = connect(path, rest, BUSY_S)
        except sqlite3.OperationalError as error:
            errors.append(error)
            continue
        try:
            index.execute("PRAGMA query_only = ON")
            version = _version(index, path)
            if not version or (version < SCHEMA and not older):
                raise sqlite3.OperationalError("it is not complete")  # noqa: TRY301
            _require_sound(index, path)
        except sqlite3.OperationalError as error:
            index.close()
            errors.append(error)
        except BaseException:
            index.close()
            raise
        else:
            return index
    raise errors[-1]


def new_index_in_memory() -> LimitedIndex:
    """An empty index in memory."""
    index = connect_in_memory()
    _migrate(index, ":memory:")
    return index


def copy_in_memory(path: str) -> LimitedIndex:
    """A copy in memory of the index at this path, with the present schema. Raises as ``open_index``."""
    with closing(open_index_to_read(path, older=True)) as written:
        index = connect_in_memory()
        try:
            written.backup(index)
            index.limit(path)
            _migrate(index, path)
        except BaseException:
            index.close()
            raise
    return index


def _version(index: sqlite3.Connection, path: str) -> int:
    version = int(index.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA:
        why = f"a later version of Portside wrote it (schema {version}; this one knows {SCHEMA})"
        raise PortsideError(f"index {path}", why, "use that version")
    return version


def _require_sound(index: sqlite3.Connection, path: str) -> None:
    """Raise sqlite3.Error for a database that is no index of ours, and PortsideError for one of a later version."""
    version = _version(index, path)
    if not version:
        raise sqlite3.DatabaseError("it is another program's database")
    require_schema(index, _schema_of(version))
    recording_id_of(index)
    for table in SMALL_TABLES if version == SCHEMA else ():
        require_sound_rows(index, table)


@lru_cache(maxsize=SCHEMA)
def _schema_of(version: int) -> list[Row]:
    with closing(connect_in_memory()) as model:
        _migrate(model, ":memory:", version)
        return schema_of(model)


def _migrate(index: sqlite3.Connection, path: str, version: int = SCHEMA) -> None:
    for step in range(_version(index, path), version):
        index.executescript(f"BEGIN; {_MIGRATIONS[step]} PRAGMA user_version = {step + 1}; COMMIT;")


def add(index: sqlite3.Connection, blocks: Iterable[IndexEntry], indexed: dict[int, int]) -> None:
    """Insert blocks, in order, and the indexed length of each segment, in one transaction. Raises sqlite3.Error."""
    extents, opened, half_closed, closed, gaps, runs, clock = [], [], [], [], [], [], []
    for extent, events, steps, run in blocks:
        extents.append(extent)
        clock += [(extent.segment, *step) for step in steps]
        if run is not None:
            runs.append(run)
        for steady, event in events:
            match event:
                case Opened(at=at, conn=conn, peer=peer, local=local):
                    opened.append((conn, peer, local, at, steady))
                case HalfClosed(at=at, conn=conn):
                    half_closed.append((at, conn))
                case Closed(at=at, conn=conn, reason=reason, received=received, sent=sent):
                    row = conn, event.peer, at, reason, event.error, event.duration, received, sent, event.by
                    closed.append(row)
                case Gap():
                    gaps.append(event)
    with transaction(index):
        index.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)", runs)
        index.executemany("INSERT OR REPLACE INTO clock VALUES (?, ?, ?)", clock)
        index.executemany("INSERT OR REPLACE INTO extents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", extents)
        index.executemany(_OPEN, opened)
        index.executemany("UPDATE connections SET half_closed = ? WHERE conn = ?", half_closed)
        index.executemany(_CLOSE, closed)
        index.executemany("INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?, ?)", map(_gap_row, gaps))
        index.executemany("INSERT OR REPLACE INTO segments VALUES (?, ?)", indexed.items())


_OPEN = "INSERT OR IGNORE INTO connections (conn, peer, local, opened, began) VALUES (?, ?, ?, ?, ?)"
_CLOSE = """
    INSERT INTO connections (conn, peer, closed, reason, error, duration, received, sent, closed_by)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (conn) DO UPDATE SET closed = excluded.closed, reason = excluded.reason, error = excluded.error,
        duration = excluded.duration, received = excluded.received, sent = excluded.sent, closed_by = excluded.closed_by
"""  # without a row where the block with its opening is damaged


def _gap_row(gap: Gap) -> tuple[object, ...]:
    return gap.conn, gap.at, gap.received, gap.sent, gap.duration, gap.why, gap.connections


def forget_segment(index: sqlite3.Connection, segment: int) -> None:
    """Delete what the index knows of a segment whose file is gone."""
    for table in ("extents", "segments", "clock"):
        index.execute(f"DELETE FROM {table} WHERE segment = ?", (segment,))  # noqa: S608


def backfill_connections(index: sqlite3.Connection) -> None:
    """Insert a row for each connection that has blocks but neither an opening nor a closing."""
    index.execute(
        "INSERT OR IGNORE INTO connections (conn) SELECT DISTINCT conn FROM extents WHERE conn > 0 "
        "AND conn NOT IN (SELECT conn FROM connections)"
    )


@contextmanager
def transaction(index: sqlite3.Connection) -> Iterator[None]:
    """A transaction around the statements of a ``with`` block, rolled back where one raises."""
    index.execute("BEGIN IMMEDIATE")
    try:
        yield
        index.execute("COMMIT")
    finally:
        if index.in_transaction:  # also where it could not be committed
            with suppress(sqlite3.Error):
                index.execute("ROLLBACK")


def clock_steps(index: sqlite3.Connection, segment: int) -> list[ClockStep]:
    """The steps of the wall clock in a segment, in the order of their times."""
    rows = index.execute("SELECT at, correction FROM clock WHERE segment = ? ORDER BY at", (segment,))
    return [ClockStep(*row) for row in rows]


def recording_id_of(index: sqlite3.Connection) -> bytes | None:
    """The 16 bytes that name the recording; None where the index does not know them yet. Raises sqlite3.Error."""
    row = index.execute("SELECT value FROM meta WHERE name = 'recording'").fetchone()
    if row is None:
        return None
    if not isinstance(row[0], bytes) or len(row[0]) != ID_BYTES:
        raise sqlite3.DatabaseError("the name of the recording in it cannot be one")
    return row[0]


def store_recording_id(index: sqlite3.Connection, recording: bytes) -> None:
    """Store the 16 bytes that name the recording, unless the index has them."""
    index.execute("INSERT OR IGNORE INTO meta VALUES ('recording', ?)", (recording,))


def last_run(index: sqlite3.Connection) -> int:
    """The number of the last run, 0 before the first."""
    return int(index.execute("SELECT coalesce(max(run), 0) FROM runs").fetchone()[0])


def last_conn(index: sqlite3.Connection) -> int:
    """The highest number of a connection, 0 where there is none."""
    return int(index.execute("SELECT coalesce(max(conn), 0) FROM connections").fetchone()[0])
