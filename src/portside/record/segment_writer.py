"""Writing segments: one after the other, rolled by size; a flush is written completely or not at all."""

import errno
import os
import secrets
import time
from contextlib import suppress

from portside.record.fallocate import preallocate
from portside.record.files import open_regular
from portside.record.folder import Folder
from portside.record.segment import FILE_HEADER_SIZE, MOST_SEGMENT, encode_file_header
from portside.wire.buffers import MOST_BUFFERS, advance

_LARGE_BYTES = 256 << 10  # of a flush: where so much comes at once, more will
_RESERVED_BYTES = 16 << 20
_SCARCE_BYTES = 4 * _RESERVED_BYTES  # nothing is preallocated while less disk space is free


class SegmentWriter:
    """The segments of one run. A run never appends to a segment of another run, whose end may be torn."""

    def __init__(self, folder: Folder, recording: bytes, next_number: int, roll_bytes: int, *, sync: bool) -> None:
        self.number = next_number - 1  # of the segment that is written
        self.offset = 0  # its length: where the next block goes
        self._folder = folder
        self._recording = recording
        self._roll_bytes = roll_bytes
        self._sync = sync
        self._fd = -1
        self._reserved = 0  # the offset up to which disk space is preallocated

    def begin(self) -> int:
        """The offset at which the next ``append`` writes, in a new segment where it is time for one. Raises OSError."""
        if self._fd < 0 or self.offset >= self._roll_bytes or not os.fstat(self._fd).st_nlink:
            self._roll()  # a segment that was removed is not continued
        return self.offset

    def append(self, buffers: list[bytes]) -> None:
        """Write one flush, after ``begin``, wholly or not at all. Raises OSError."""
        offset = self.offset
        try:
            self._reserve(sum(map(len, buffers)))
            end = write_at(self._fd, buffers, offset)
            if self._sync:
                os.fdatasync(self._fd)
        except BaseException:
            self.release_unused()
            raise
        self.offset = end

    def _reserve(self, size: int) -> None:
        """Preallocate space for a large flush: allocated block by block, that is half of the work of writing."""
        end = self.offset + size
        if size < _LARGE_BYTES or end <= self._reserved:
            return
        disk = os.fstatvfs(self._fd)
        if disk.f_bavail * disk.f_frsize < _SCARCE_BYTES:
            return  # the index needs some, and so do others
        reserved = max(end, min(self.offset + _RESERVED_BYTES, self._roll_bytes))
        try:
            preallocate(self._fd, self.offset, reserved - self.offset)
        except OSError:  # not every file system can; and ext4 keeps what it got before it found no more
            self.release_unused()
        else:
            self._reserved = reserved

    def release_unused(self) -> None:
        """Free what is preallocated and unused, and the bytes of a flush that failed. Raises OSError."""
        os.ftruncate(self._fd, self.offset)
        self._reserved = 0

    def _roll(self) -> None:
        """Begin the next segment. Raises OSError, and leaves no file behind."""
        number = self.number + 1
        while os.path.lexists(self._folder.segment(number)):  # put there by hand
            number += 1
        if number > MOST_SEGMENT:
            raise OSError(errno.EOVERFLOW, f"segment {MOST_SEGMENT} is the last one")
        fd = os.open(self._folder.segment(number), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            write_at(fd, [encode_file_header(number, time.time_ns(), self._recording)], 0)
            if self._sync:
                _sync_folder(self._folder.path)
        except OSError:
            os.close(fd)
            os.unlink(self._folder.segment(number))
            raise
        self.close()
        self._fd, self.number, self.offset, self._reserved = fd, number, FILE_HEADER_SIZE, 0

    def close(self) -> None:
        """Close the segment being written."""
        if self._fd >= 0:
            if self._reserved > self.offset:
                with suppress(OSError):
                    self.release_unused()
            os.close(self._fd)
            self._fd = -1


def write_at(fd: int, buffers: list[bytes], offset: int) -> int:
    """Write buffers at an offset; the offset behind them. Raises OSError, with some of them written."""
    for at in range(0, len(buffers), MOST_BUFFERS):
        part: list[bytes | memoryview] = list(buffers[at : at + MOST_BUFFERS])
        while part:
            written = os.pwritev(fd, part, offset)
            offset += written
            part = advance(part, written)
    return offset


def release_preallocated(path: str) -> None:
    """Free what a run that was killed had preallocated behind the end of its segment."""
    with suppress(OSError):
        fd = open_regular(path, os.O_RDWR)
        try:
            os.ftruncate(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)


def _sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def new_recording_id() -> bytes:
    """The 16 random bytes that name a recording."""
    return secrets.token_bytes(16)
