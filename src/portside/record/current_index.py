"""The index of a recording, opened for reading and as new as the segments; in place if that is possible.

the recording                                  the index that is read
is being written by a server                   the server's, which is at most a moment behind
is complete                                    the one on disk, read-only
ended without an orderly end, or has no index  the one on disk, brought up to date under the folder's lock
the same, in a folder without write access     a copy in memory, brought up to date
"""

import os
import sqlite3
from contextlib import closing
from typing import NamedTuple

from portside.record.folder import Folder
from portside.record.index import new_index_in_memory, open_index, open_index_to_read, store_recording_id
from portside.record.recovery import DamageFound, Progress, catch_up, find_recording_id


class CurrentIndex(NamedTuple):
    """An open index, whether a server writes to it, and the damage found while it was brought up to date."""

    database: sqlite3.Connection
    live: bool
    found: list[DamageFound]


def open_current_index(folder: Folder, progress: Progress) -> CurrentIndex:
    """Open the index of a recording and bring it up to date. Raises PortsideError and sqlite3.Error."""
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
            return _caught_up(folder, open_index(folder.index, make=True), progress)
    except (OSError, sqlite3.OperationalError):
        pass  # no right to write here
    finally:
        if lock is not None:
            os.close(lock)
    if folder.is_written():
        return CurrentIndex(open_index_to_read(folder.index), live=True, found=[])
    return _caught_up(folder, _copy_in_memory(folder), progress)


def _open_complete(folder: Folder, segments: list[int]) -> sqlite3.Connection | None:
    """The index on disk where it covers all bytes of all segments, else None."""
    try:
        index = open_index_to_read(folder.index)
    except sqlite3.OperationalError:
        return None
    known = dict(index.execute("SELECT segment, indexed FROM segments"))
    try:
        sizes = {number: os.stat(folder.segment(number)).st_size for number in segments}
    except OSError:
        sizes = {}
    if known == sizes:
        return index
    index.close()
    return None


def _copy_in_memory(folder: Folder) -> sqlite3.Connection:
    index = new_index_in_memory()
    try:
        with closing(open_index_to_read(folder.index)) as written:
            written.backup(index)
    except sqlite3.OperationalError:
        pass  # there is none: everything comes from the segments
    return index


def _caught_up(folder: Folder, index: sqlite3.Connection, progress: Progress) -> CurrentIndex:
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
