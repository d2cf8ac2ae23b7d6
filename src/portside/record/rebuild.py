"""An index rebuilt from the segments and from rows of the old one, which is kept under another name."""

import os
import sqlite3
from contextlib import closing, suppress

from portside.record.folder import Folder
from portside.record.index import open_index, open_index_to_read, recording_id_of, store_recording_id
from portside.record.limited_index import INDEX_FILES
from portside.record.recovery import MISSING, Progress, catch_up

_SALVAGED = (  # what is in no segment
    ("connections", "SELECT * FROM connections WHERE dropped IS NOT NULL"),
    ("given_up", "SELECT * FROM given_up"),
    ("damage", "SELECT * FROM damage"),
)


def rebuild(
    folder: Folder, recording: bytes, progress: Progress, *, evicted: bool
) -> tuple[str | None, list[str], int]:
    """Rebuild the index: the new path of the old one, what could not be rebuilt, and the number of connections.

    The caller holds the folder's lock. Raises OSError and sqlite3.Error, and then the old index is in its place.
    """
    salvaged = _salvage(folder, recording)
    made = f"{folder.index}.new"
    _remove(made)
    try:
        with closing(open_index(made, make=folder.file_mode)) as index:
            store_recording_id(index, recording)
            catch_up(folder, index, recording, progress)
            _carry_over(folder, index, salvaged)
            not_rebuilt = _not_rebuilt(index, known=salvaged is not None, evicted=evicted)
            connections = int(index.execute("SELECT count(*) FROM connections").fetchone()[0])
    except BaseException:
        _remove(made)
        raise
    aside = _move_aside(folder)
    os.rename(made, folder.index)
    return aside, not_rebuilt, connections


def _salvage(folder: Folder, recording: bytes) -> dict[str, list[tuple[object, ...]]] | None:
    """Rows of the old index that are in no segment; None where it cannot be read, or is another recording's."""
    with suppress(sqlite3.Error), closing(open_index_to_read(folder.index)) as old:
        if recording_id_of(old) == recording:
            return {table: old.execute(query).fetchall() for table, query in _SALVAGED}
    return None


def _carry_over(
    folder: Folder, index: sqlite3.Connection, salvaged: dict[str, list[tuple[object, ...]]] | None
) -> None:
    if salvaged is None:
        return
    for table, rows in salvaged.items():
        if table == "damage":  # damage in existing segments is found again
            numbers = folder.segments()
            rows = [row for row in rows if row[3] == MISSING or _is_behind(folder, row, numbers)]  # noqa: PLW2901
        for row in rows:
            marks = ", ".join("?" * len(row))
            index.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608
    dropped = [(row[-1], row[0]) for row in salvaged["connections"]]
    index.executemany("UPDATE connections SET dropped = ? WHERE conn = ?", dropped)
    index.execute("DELETE FROM extents WHERE conn IN (SELECT conn FROM connections WHERE dropped IS NOT NULL)")


def _is_behind(folder: Folder, row: tuple[object, ...], numbers: list[int]) -> bool:
    """Whether a row of ``damage`` is about the end of a segment that was cut off."""
    number, offset = row[0], row[1]
    if not isinstance(number, int) or not isinstance(offset, int) or number not in numbers:
        return False
    return offset >= folder.segment_size(number)


def _not_rebuilt(index: sqlite3.Connection, *, known: bool, evicted: bool) -> list[str]:
    problems = []
    if not known and evicted:
        problems.append("which connections --record-max gave up, and when")
    nameless = int(index.execute("SELECT count(*) FROM connections WHERE opened IS NULL").fetchone()[0])
    if nameless:
        problems.append(f"who {nameless} connection{'s' if nameless > 1 else ''} came from: the beginning is lost")
    if not known:
        problems.append("which segments or ends of segments were lost before")
    return problems


def _move_aside(folder: Folder) -> str | None:
    if not os.path.lexists(folder.index):
        for end in INDEX_FILES:
            with suppress(FileNotFoundError):
                os.unlink(folder.index + end)
        return None
    number = 1
    while os.path.lexists(aside := f"{folder.index}.damaged-{number}"):
        number += 1
    for end in INDEX_FILES:
        with suppress(FileNotFoundError):
            os.rename(folder.index + end, aside + end)
    return aside


def _remove(path: str) -> None:
    for end in INDEX_FILES:
        with suppress(FileNotFoundError):
            os.unlink(path + end)
