"""Disk space preallocated or freed without writing: fallocate(2), which the standard library has only in part."""

import ctypes
import os

LARGE_WRITE_BYTES = 256 << 10  # where so much comes at once, more will
_RESERVED_BYTES = 16 << 20
_SCARCE_BYTES = 4 * _RESERVED_BYTES  # nothing is preallocated while less disk space is free
_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
_libc = ctypes.CDLL(None, use_errno=True)


class Preallocation:
    """Disk space preallocated for a file that grows by large writes.

    Allocated block by block, on ext4, disk space is half of the work of writing. What is left over must be released:
    the file takes the space from others until then.
    """

    def __init__(self, fd: int, most_bytes: int | None = None) -> None:
        self._fd = fd
        self._most_bytes = most_bytes  # how long the file is going to be, where that is known
        self._end = 0  # the offset up to which space is preallocated

    def reserve(self, offset: int, size: int) -> None:
        """Preallocate for a write of ``size`` bytes at ``offset``, the end of the file, and for those after it.

        Nothing is preallocated for a small write, and where disk space is scarce. Raises OSError.
        """
        end = offset + size
        if size < LARGE_WRITE_BYTES or end <= self._end:
            return
        disk = os.fstatvfs(self._fd)
        if disk.f_bavail * disk.f_frsize < _SCARCE_BYTES:
            return  # an index needs some, and so do others
        ahead = offset + _RESERVED_BYTES
        reserved = max(end, ahead if self._most_bytes is None else min(ahead, self._most_bytes))
        try:
            preallocate(self._fd, offset, reserved - offset)
        except OSError:  # not every file system can; and ext4 keeps what it got before it found no more
            self.release(offset)
        else:
            self._end = reserved

    def release(self, offset: int) -> None:
        """Free all space behind ``offset``, the end of what is written. Raises OSError."""
        os.ftruncate(self._fd, offset)
        self._end = 0

    def reaches_beyond(self, offset: int) -> bool:
        """Whether space behind ``offset`` is preallocated."""
        return self._end > offset


def preallocate(fd: int, offset: int, size: int) -> None:
    """Allocate disk blocks for ``size`` bytes at ``offset``, also behind the end of the file. Raises OSError."""
    _fallocate(fd, _KEEP_SIZE, offset, size)


def punch_hole(fd: int, offset: int, size: int) -> None:
    """Free the whole pages in ``size`` bytes at ``offset``; all of them read as zeros from then on. Raises OSError."""
    _fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, offset, size)


def _fallocate(fd: int, mode: int, offset: int, size: int) -> None:
    if _libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(size)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
