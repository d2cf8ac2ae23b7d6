"""The index that ``rec check`` compares with the segments: the one on disk if it is sound, else a rebuilt one."""

import enum
import os
import sqlite3
from collections import Counter
from contextlib import suppress

from portside.errors import PortsideError
from portside.record.folder import Folder
from portside.record.index import (
    copy_in_memory,
    new_index_in_memory,
    open_index,
    open_index_to_read,
    recording_id_of,
    store_recording_id,
)
from portside.record.recovery import catch_up, open_segment, read_file_header
from portside.record.segment import Damaged
from portside.record.soundness import LARGE_TABLES, require_sound_rows


class Access(enum.Enum):
    """The access that a check has to the folder."""

    LIVE = enum.auto()  # a server writes there: read only what its index knows
    EXCLUSIVE = enum.auto()  # the folder's lock is ours: a wrong index may be replaced
    READ_ONLY = enum.auto()  # no server writes there, and we must not either


RecordingIds = Counter[bytes]  # how many segments have each 16-byte id


def open_checked_index(folder: Folder, access: Access) -> tuple[sqlite3.Connection, str | None]:
    """An index that knows all segments, and why the one on disk could not be used (None where it could).

    Raises PortsideError where neither index nor segments can be read, and sqlite3.Error.
    """
    recording_ids = _read_recording_ids(folder)
    try:
        return _open_sound_index(folder, access, recording_ids), None
    except sqlite3.Error as error:
        why = str(error) if os.path.lexists(folder.index) else "it is missing"
    index = new_index_in_memory()
    if not recording_ids:
        index.close()
        raise PortsideError(f"recording {folder.path}", "nothing in it can be read")
    _catch_up(folder, index, recording_ids)
    return index, why


def require_recording_id(index: sqlite3.Connection) -> bytes:
    """The 16 bytes that name the recording. Raises sqlite3.DatabaseError where the index does not know them."""
    recording_id = recording_id_of(index)
    if recording_id is None:
        raise sqlite3.DatabaseError("it is not complete")
    return recording_id


def _read_recording_ids(folder: Folder) -> RecordingIds:
    recording_ids: RecordingIds = Counter()
    for number in folder.segments():
        with suppress(Damaged), open_segment(folder, number) as fd:
            recording_ids[read_file_header(folder, number, fd).recording] += 1
    return recording_ids


def _open_sound_index(folder: Folder, access: Access, recording_ids: RecordingIds) -> sqlite3.Connection:
    """The index on disk, or a copy of it in memory, brought up to date. Raises sqlite3.Error where it is unusable."""
    if access is Access.LIVE:
        return _verified(open_index_to_read(folder.index), recording_ids)
    if access is Access.EXCLUSIVE:
        with suppress(sqlite3.OperationalError):  # the disk may be full: verifying must not need to write
            return _caught_up(folder, _verified(open_index(folder.index), recording_ids), recording_ids)
    return _caught_up(folder, _verified(copy_in_memory(folder.index), recording_ids), recording_ids)


def _caught_up(folder: Folder, index: sqlite3.Connection, recording_ids: RecordingIds) -> sqlite3.Connection:
    """The index given, brought up to date. Raises as ``_catch_up``, and closes it then."""
    try:
        _catch_up(folder, index, recording_ids)
    except BaseException:
        index.close()
        raise
    return index


def _verified(index: sqlite3.Connection, recording_ids: RecordingIds) -> sqlite3.Connection:
    """The index given. Raises sqlite3.Error, and closes it, where it is damaged or another recording's."""
    try:
        defect = _find_defect(index, recording_ids)
    except BaseException:
        index.close()
        raise
    if defect is not None:
        index.close()
        raise sqlite3.DatabaseError(defect)
    return index


def _find_defect(index: sqlite3.Connection, recording_ids: RecordingIds) -> str | None:
    verdict = str(index.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if verdict != "ok":
        return verdict
    for table in LARGE_TABLES:
        require_sound_rows(index, table)
    foreign = bool(recording_ids) and require_recording_id(index) not in recording_ids
    return "it belongs to another recording" if foreign else None


def _catch_up(folder: Folder, index: sqlite3.Connection, recording_ids: RecordingIds) -> None:
    for recording_id, _ in recording_ids.most_common(1):
        store_recording_id(index, recording_id)
    catch_up(folder, index, require_recording_id(index))
