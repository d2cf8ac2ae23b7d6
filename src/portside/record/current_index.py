"""The index of a recording, opened for reading and as new as the segments; in place if that is possible.

the recording                                  the index that is read
is being written by a server                   the server's, which is at most a moment behind
is complete                                    the one on disk, read-only
ended without an orderly end, or has no index  the one on disk, brought up to date under the folder's lock
the same, in a folder without write access     a copy in memory, brought up to date
has an index that is not sound                 one in memory, made from the segments alone
"""

import os
import sqlite3
from typing import NamedTuple

from portside.record.folder import Folder
from portside.record.index import (
    copy_in_memory,
    new_index_in_memory,
    open_index,
    open_index_to_read,
    store_recording_id,
)
from portside.record.limited_index import LimitedIndex
from portside.record.recovery import DamageFound, Progress, catch_up, find_recording_id


class CurrentIndex(NamedTuple):
    """An open index, whether a server writes to it, and the damage found while it was brought up to date.

    ``why_rebuilt`` is why the index on disk is not used; None where it is, or where there is none.
    """

    database: LimitedIndex
    live: bool
    found: list[DamageFound]
    why_rebuilt: str | None = None


def open_current_index(folder: Folder, progress: Progress) -> CurrentIndex:
    """Open the index of a recording and bring it up to date. Raises PortsideError and sqlite3.Error."""
    try:
        return _open(folder, progress)
    except sqlite3.OperationalError:
        raise
    except sqlite3.Error as error:
        if folder.is_written():
            raise
        return rebuild_in_memory(folder, str(error), progress)


def rebuild_in_memory(folder: Folder, why: str, progress: Progress) -> CurrentIndex:
    """An index made from the segments, because the one on disk is not sound. Raises PortsideError and sqlite3.Error."""
    return _caught_up(folder, new_index_in_memory(), progress)._replace(why_rebuilt=why)


def _open(folder: Folder, progress: Progress) -> CurrentIndex:
    segments = folder.segments()
    if folder.is_written():
        return CurrentIndex(open_index_to_read(folder.index), live=True, found=[])
    index = _open_complete(folder, segments)
    if index is not None:
        return CurrentIndex(index, live=False, found=[])
    lock = None
    try:
        lock = folder.lock()
        if lock is not None:
            return _caught_up(folder, open_index(folder.index, make=folder.file_mode), progress)
    except (OSError, sqlite3.OperationalError):
        pass  # no right to write here
    finally:
        if lock is not None:
            os.close(lock)
    if folder.is_written():
        return CurrentIndex(open_index_to_read(folder.index), live=True, found=[])
    try:
        index = copy_in_memory(folder.index)
    except sqlite3.OperationalError:
        index = new_index_in_memory()  # there is none: everything comes from the segments
    return _caught_up(folder, index, progress)


def _open_complete(folder: Folder, segments: list[int]) -> LimitedIndex | None:
    """The index on disk where it covers all bytes of all segments, else None."""
    try:
        index = open_index_to_read(folder.index)
    except sqlite3.OperationalError:
        return None
    try:
        known = dict(index.execute("SELECT segment, indexed FROM segments"))
        if known == {number: folder.segment_size(number) for number in segments}:
            return index
    except OSError:
        pass
    except BaseException:
        index.close()
        raise
    index.close()
    return None


def _caught_up(folder: Folder, index: LimitedIndex, progress: Progress) -> CurrentIndex:
    found: list[DamageFound] = []
    try:
        recording_id = find_recording_id(folder, index)
        if recording_id is not None:
            store_recording_id(index, recording_id)
            found = catch_up(folder, index, recording_id, progress)
    except BaseException:
        index.close()
        raise
    return CurrentIndex(index, live=False, found=found)
