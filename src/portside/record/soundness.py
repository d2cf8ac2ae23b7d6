"""Whether an index can be one of ours: its schema to the letter, and the value of every row that is used.

An index that is not sound is made anew from the segments, whose blocks have checksums, in memory or (``rec check``) in
its place. A check of rows is one statement of SQLite, so it costs a fraction of reading them.
"""

import sqlite3
from functools import lru_cache
from typing import Final

from portside.record.event_entry import MOST_SECONDS
from portside.record.segment import MOST_BLOCK_BYTES, MOST_BYTES, MOST_CONN, MOST_SEGMENT, MOST_TIME

_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"


def _integer(name: str, most: int, least: int = 0) -> str:
    """The condition under which a column cannot be an integer of ours, as SQL."""
    return f"typeof({name}) <> 'integer' OR {name} NOT BETWEEN {least} AND {most}"


def _text(name: str) -> str:
    return f"typeof({name}) <> 'text'"


def _or_null(name: str, condition: str) -> str:
    return f"({name} IS NOT NULL AND ({condition}))"


def _times(*names: str) -> list[str]:
    return [_integer(name, MOST_TIME) for name in names]


def _sums(*names: str) -> list[str]:
    return [_integer(name, MOST_BYTES) for name in names]


_CONNECTION_TIMES = ("opened", "half_closed", "closed", "dropped", "began")
_UNSOUND: Final = {
    "runs": [
        _integer("run", MOST_CONN), _integer("base", MOST_CONN), *_times("began", "pid"), _text("version"),
        _or_null("dialled", _integer("dialled", 1)),
    ],
    "segments": [_integer("segment", MOST_SEGMENT), _integer("indexed", MOST_TIME)],
    "damage": [_integer("segment", MOST_SEGMENT), *_times("offset", "length"), _text("why")],
    "given_up": [_integer("conn", MOST_CONN), *_sums("received", "sent"), *_times("at")],
    "clock": [
        _integer("segment", MOST_SEGMENT), *_times("at"), _integer("correction", MOST_TIME, -MOST_TIME),
    ],
    "connections": [
        _integer("conn", MOST_CONN, 1),
        *(_or_null(name, _text(name)) for name in ("peer", "local", "error")),
        *(_or_null(name, _integer(name, MOST_TIME)) for name in _CONNECTION_TIMES),
        *(_or_null(name, _integer(name, MOST_BYTES)) for name in ("received", "sent")),
        _or_null(
            "reason", "typeof(reason) <> 'text' OR length(reason) NOT BETWEEN 1 AND 32 OR reason GLOB '*[^a-z_]*'"
        ),
        _or_null("duration", f"typeof(duration) <> 'real' OR duration NOT BETWEEN 0 AND {MOST_SECONDS}"),
        _or_null("closed_by", "closed_by <> 'upstream'"),
        "closed IS NULL AND coalesce(reason, received, sent, duration) IS NOT NULL",
        "closed IS NOT NULL AND (reason IS NULL OR received IS NULL OR sent IS NULL OR duration IS NULL)",
    ],
    "extents": [
        _integer("segment", MOST_SEGMENT), *_times("offset", "first", "last"),
        _integer("length", MOST_BLOCK_BYTES + (1 << 10)), _integer("conn", MOST_CONN),
        *_sums("received_before", "sent_before", "received", "sent"),
    ],
}  # fmt: skip
SMALL_TABLES: Final = ("runs", "segments", "damage", "given_up", "clock")


@lru_cache(maxsize=8)
def _query(table: str, *, of_conn: bool) -> str:
    query = f"SELECT 1 FROM {table} WHERE ({' OR '.join(_UNSOUND[table])})"  # noqa: S608
    return f"{query} AND conn = ? LIMIT 1" if of_conn else f"{query} LIMIT 1"


def require_schema(index: sqlite3.Connection, complete: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError where an index has another schema than ``complete``, which is new."""
    if _schema(index) != _schema(complete):
        raise sqlite3.DatabaseError("it is not complete, or holds what no index does")


def _schema(index: sqlite3.Connection) -> list[tuple[object, ...]]:
    rows = index.execute(_SCHEMA).fetchmany(100)
    return [tuple(" ".join(each.split()) if isinstance(each, str) else each for each in row) for row in rows]


def require_sound_rows(index: sqlite3.Connection, table: str, conn: int | None = None) -> None:
    """Raise sqlite3.DatabaseError where a row of a table, or one of a connection, has a value that cannot be."""
    parameters = () if conn is None else (conn,)
    if index.execute(_query(table, of_conn=conn is not None), parameters).fetchone() is not None:
        raise sqlite3.DatabaseError(f"a value in its table {table} cannot be")
