"""Bringing an index up to date from the segments, after a crash or when the index is lost or damaged."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from portside.errors import PortsideError
from portside.record.files import open_regular
from portside.record.folder import Folder
from portside.record.index import IndexEntry, add, backfill_connections, forget_segment, recording_id_of, transaction
from portside.record.scan import Damage, index_entry, scan
from portside.record.segment import FILE_HEADER_SIZE, VERSION, Damaged, FileHeader, checksum_seed, decode_file_header

_BATCH_BLOCKS = 2000
MISSING = "the segment is missing"

Progress = Callable[[int, int], None]  # bytes done, and in all


def no_progress(_done: int, _whole: int) -> None:
    """A ``progress`` callback that does nothing."""


class DamageFound(NamedTuple):
    """Damage in a segment: ``length`` bytes at ``offset`` that are no longer part of the recording."""

    segment: int
    offset: int
    length: int
    why: str
    torn: bool  # at its end: writing it was interrupted


def find_recording_id(folder: Folder, index: sqlite3.Connection) -> bytes | None:
    """The 16 bytes that name a recording: from the index, else from a segment; None where it has neither.

    Raises PortsideError for a segment of a later version.
    """
    recording = recording_id_of(index)
    if recording is not None:
        return recording
    for number in folder.segments():
        with open_segment(folder, number) as fd:
            try:
                return read_file_header(folder, number, fd).recording
            except Damaged:
                continue
    return None


def read_file_header(folder: Folder, number: int, fd: int) -> FileHeader:
    """The header of an open segment. Raises Damaged, and PortsideError for one of a later version."""
    header = decode_file_header(os.pread(fd, FILE_HEADER_SIZE, 0))
    if header.version > VERSION:
        why = f"a later version of Portside wrote it (format {header.version}; this one knows {VERSION})"
        raise PortsideError(f"recording {folder.segment(number)}", why, "use that version")
    return header


@contextmanager
def open_segment(folder: Folder, number: int) -> Iterator[int]:
    """The descriptor of a segment, to read in a ``with`` block. Raises PortsideError where it cannot be read."""
    path = folder.segment(number)
    try:
        fd = open_regular(path, os.O_RDONLY)
    except OSError as error:
        raise PortsideError(f"recording {path}", error) from None
    try:
        yield fd
    except OSError as error:
        raise PortsideError(f"recording {path}", error) from None
    finally:
        os.close(fd)


def catch_up(
    folder: Folder, index: sqlite3.Connection, recording: bytes, progress: Progress = no_progress
) -> list[DamageFound]:
    """Index the blocks of all segments that the index lacks; the damage found in them.

    The caller holds the folder's lock, or a copy of the index. ``progress`` is called with bytes done and in
    all. Raises PortsideError and sqlite3.Error.
    """
    known = dict(index.execute("SELECT segment, indexed FROM segments"))
    sizes = {number: _size(folder, number) for number in folder.segments()}
    found: list[DamageFound] = []
    new = False
    whole, done = sum(sizes.values()), 0
    for number in sorted(known.keys() - sizes.keys()):
        found.append(_missing(index, number, known[number]))
        new = True
    for number, size in sizes.items():
        start = known.get(number, 0)
        if start > size:
            found.append(_shortened(index, number, size, start))
            new = True
        elif start < size or number not in known:
            new = True
            found += _take_in(folder, index, recording, number, start)
        done += size
        progress(done, whole)
    if new:
        backfill_connections(index)
        for each in found:
            index.execute("INSERT OR REPLACE INTO damage VALUES (?, ?, ?, ?)", each[:4])
    return [*found, *irregular_segments(folder)]


def irregular_segments(folder: Folder) -> list[DamageFound]:
    """The segments that are not read because they are no files."""
    why = "it is no regular file, and is not read"
    return [DamageFound(number, 0, 0, why, torn=False) for number in folder.irregular]


def _size(folder: Folder, number: int) -> int:
    with open_segment(folder, number) as fd:
        return os.fstat(fd).st_size


def _shortened(index: sqlite3.Connection, number: int, size: int, before: int) -> DamageFound:
    """Remove the blocks behind the end of a segment that was cut off, by a power failure or by hand."""
    with transaction(index):
        index.execute("DELETE FROM extents WHERE segment = ? AND offset + length > ?", (number, size))
        index.execute("UPDATE segments SET indexed = ? WHERE segment = ?", (size, number))
    return DamageFound(number, size, before - size, "its end is missing", torn=False)


def _missing(index: sqlite3.Connection, number: int, size: int) -> DamageFound:
    """Remove a segment whose file is gone. If the file comes back, it is indexed again."""
    with transaction(index):
        forget_segment(index, number)
    return DamageFound(number, 0, size, MISSING, torn=False)


def _take_in(folder: Folder, index: sqlite3.Connection, recording: bytes, number: int, start: int) -> list[DamageFound]:
    """Index a segment from an offset on; the damage found in it."""
    found: list[DamageFound] = []
    index.execute("DELETE FROM damage WHERE segment = ? AND offset >= ?", (number, start))  # it may have been repaired
    with open_segment(folder, number) as fd:
        size = os.fstat(fd).st_size
        if start < FILE_HEADER_SIZE:
            try:
                header = read_file_header(folder, number, fd)
                if header.recording != recording:
                    add(index, [], {number: size})
                    return [DamageFound(number, 0, size, "it belongs to another recording", torn=False)]
            except Damaged as damaged:
                torn = size < FILE_HEADER_SIZE
                if size:  # else it was just begun
                    found.append(DamageFound(number, 0, min(size, FILE_HEADER_SIZE), str(damaged), torn))
            start = min(size, FILE_HEADER_SIZE)
        batch: list[IndexEntry] = []
        for each in scan(fd, checksum_seed(recording), start, size):
            if isinstance(each, Damage):
                found.append(DamageFound(number, *each))
                continue
            batch.append(index_entry(number, each))
            if len(batch) >= _BATCH_BLOCKS:
                add(index, batch, {number: each.offset + each.length})
                batch = []
        add(index, batch, {number: size})
    return found
