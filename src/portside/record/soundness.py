"""Whether an index can be one of ours: its schema to the letter, and the value of every row that is used.

An index that is not sound is made anew from the segments, whose blocks have checksums, in memory or (``rec check``) in
its place.
"""

import sqlite3
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from portside.events import ClosedBy
from portside.record.event_entry import MOST_SECONDS
from portside.record.segment import MOST_BLOCK_BYTES, MOST_BYTES, MOST_CONN, MOST_SEGMENT, MOST_TIME

_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
_ROWS_AT_ONCE = 500

Row = tuple[Any, ...]

_Time = Annotated[int, Meta(ge=0, le=MOST_TIME)]
_Sum = Annotated[int, Meta(ge=0, le=MOST_BYTES)]
_Conn = Annotated[int, Meta(ge=0, le=MOST_CONN)]
_Segment = Annotated[int, Meta(ge=0, le=MOST_SEGMENT)]
_Reason = Annotated[str, Meta(pattern="^[a-z_]{1,32}$")]
_Seconds = Annotated[float, Meta(ge=0, le=MOST_SECONDS)]

_COLUMNS: Final[dict[str, dict[str, Any]]] = {
    "runs": {
        "run": _Conn, "base": _Conn, "began": _Time, "pid": _Time, "version": str, "dialled": Literal[0, 1] | None,
    },
    "segments": {"segment": _Segment, "indexed": _Time},
    "damage": {"segment": _Segment, "offset": _Time, "length": _Time, "why": str},
    "given_up": {"conn": _Conn, "received": _Sum, "sent": _Sum, "at": _Time},
    "clock": {"segment": _Segment, "at": _Time, "correction": Annotated[int, Meta(ge=-MOST_TIME, le=MOST_TIME)]},
    "connections": {
        "conn": Annotated[int, Meta(ge=1, le=MOST_CONN)], "peer": str | None, "local": str | None,
        "opened": _Time | None, "half_closed": _Time | None, "closed": _Time | None, "reason": _Reason | None,
        "error": str | None, "duration": _Seconds | None, "received": _Sum | None, "sent": _Sum | None,
        "dropped": _Time | None, "closed_by": ClosedBy | None, "began": _Time | None,
    },
    "extents": {
        "segment": _Segment, "offset": _Time, "length": Annotated[int, Meta(ge=0, le=MOST_BLOCK_BYTES + 1024)],
        "conn": _Conn, "first": _Time, "last": _Time, "received_before": _Sum, "sent_before": _Sum,
        "received": _Sum, "sent": _Sum,
    },
}  # fmt: skip
_ROWS: Final = {  # structs, because msgspec finds a class faster than a type of many parts
    table: msgspec.defstruct(table, [("rows", list[tuple[tuple(columns.values())]])], array_like=True)  # type: ignore[misc]
    for table, columns in _COLUMNS.items()
}
_QUERIES: Final = {table: f"SELECT {', '.join(columns)} FROM {table} " for table, columns in _COLUMNS.items()}  # noqa: S608
_RowSum = Annotated[int, Meta(ge=0, le=MOST_BYTES + MOST_BLOCK_BYTES)]  # two columns of a row that is sound
_SUMS: Final = msgspec.defstruct("Sums", [("rows", list[tuple[_RowSum, ...]])], array_like=True)
SMALL_TABLES: Final = ("runs", "segments", "damage", "given_up", "clock")
LARGE_TABLES: Final = ("connections", "extents")


def require_schema(index: sqlite3.Connection, schema: list[Row]) -> None:
    """Raise sqlite3.DatabaseError where an index has another schema, as ``schema_of`` gives it."""
    if schema_of(index) != schema:
        raise sqlite3.DatabaseError("it is not complete, or holds what no index does")


def schema_of(index: sqlite3.Connection) -> list[Row]:
    """The tables, indexes, views and triggers of an index."""
    rows = index.execute(_SCHEMA).fetchmany(100)
    return [tuple(" ".join(each.split()) if isinstance(each, str) else each for each in row) for row in rows]


def require_sound_rows(index: sqlite3.Connection, table: str) -> None:
    """Raise sqlite3.DatabaseError where a row of a table has a value that cannot be."""
    cursor = index.execute(_QUERIES[table])
    while rows := _fetched(cursor, _ROWS_AT_ONCE):
        _convert(rows, table, _ROWS[table])


def sound_rows(index: sqlite3.Connection, table: str, rest: str, *parameters: int) -> list[Row]:
    """The rows of a table, all its columns; ``rest`` is what follows in the query. Raises as ``require_sound_rows``."""
    return _convert(_fetched(index.execute(_QUERIES[table] + rest, parameters)), table, _ROWS[table])


def sound_extents(index: sqlite3.Connection, rest: str, end: tuple[int, int], *parameters: int) -> list[Row]:
    """Rows of ``extents`` in their order, behind ``end`` (segment, offset). Raises as ``require_sound_rows``.

    Blocks do not overlap: what is in a block, however it looks, is payload, and would be read once for each block that
    is said to begin in it.
    """
    rows = sound_rows(index, "extents", rest, *parameters)
    for segment, offset, length, *_ in rows:
        if (segment, offset) < end:
            raise sqlite3.DatabaseError("blocks in its table extents overlap")
        end = segment, offset + length
    return rows


def sound_sums(index: sqlite3.Connection, query: str, *parameters: int) -> list[tuple[int, ...]]:
    """The rows of a query for sums over the table ``extents``. Raises as ``require_sound_rows``."""
    return _convert(_fetched(index.execute(query, parameters)), "extents", _SUMS)


def _fetched(cursor: sqlite3.Cursor, most: int | None = None) -> list[Row]:
    try:
        return cursor.fetchall() if most is None else cursor.fetchmany(most)
    except sqlite3.OperationalError as error:
        if str(error).startswith(("Could not decode", "interrupted", "integer overflow")):
            raise sqlite3.DatabaseError(str(error)) from None
        raise


def _convert(rows: list[Row], table: str, kind: Any) -> list[Row]:
    try:
        return msgspec.convert((rows,), kind).rows  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise sqlite3.DatabaseError(f"a value in its table {table} cannot be: {error}") from None
