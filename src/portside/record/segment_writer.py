"""Writing segments: one after the other, rolled by size; a flush is written completely or not at all."""

import errno
import os
import secrets
import time
from contextlib import suppress

from portside.descriptors import create_file
from portside.record.fallocate import Preallocation
from portside.record.files import open_regular
from portside.record.folder import Folder
from portside.record.segment import FILE_HEADER_SIZE, MOST_SEGMENT, encode_file_header
from portside.wire.buffers import MOST_BUFFERS, advance


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
        self._preallocation = Preallocation(-1)

    def begin(self) -> int:
        """The offset at which the next ``append`` writes, in a new segment where it is time for one. Raises OSError."""
        if self._fd < 0 or self.offset >= self._roll_bytes or not os.fstat(self._fd).st_nlink:
            self._roll()  # a segment that was removed is not continued
        return self.offset

    def append(self, buffers: list[bytes]) -> None:
        """Write one flush, after ``begin``, wholly or not at all. Raises OSError."""
        offset = self.offset
        try:
            self._preallocation.reserve(offset, sum(map(len, buffers)))
            end = write_at(self._fd, buffers, offset)
            if self._sync:
                os.fdatasync(self._fd)
        except BaseException:
            self.release_unused()
            raise
        self.offset = end

    def release_unused(self) -> None:
        """Free what is preallocated and unused, and the bytes of a flush that failed. Raises OSError."""
        self._preallocation.release(self.offset)

    def _roll(self) -> None:
        """Begin the next segment. Raises OSError, and leaves no file behind."""
        number = self.number + 1
        while os.path.lexists(self._folder.segment(number)):  # put there by hand
            number += 1
        if number > MOST_SEGMENT:
            raise OSError(errno.EOVERFLOW, f"segment {MOST_SEGMENT} is the last one")
        fd = create_file(self._folder.segment(number), os.O_RDWR | os.O_EXCL, self._folder.file_mode)
        try:
            write_at(fd, [encode_file_header(number, time.time_ns(), self._recording)], 0)
            if self._sync:
                _sync_folder(self._folder.path)
        except OSError:
            os.close(fd)
            os.unlink(self._folder.segment(number))
            raise
        self.close()
        self._fd, self.number, self.offset = fd, number, FILE_HEADER_SIZE
        self._preallocation = Preallocation(fd, self._roll_bytes)

    def close(self) -> None:
        """Close the segment being written."""
        if self._fd >= 0:
            if self._preallocation.reaches_beyond(self.offset):
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
