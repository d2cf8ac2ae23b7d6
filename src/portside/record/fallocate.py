"""Disk space preallocated or freed without writing: fallocate(2), which the standard library has only in part."""

import ctypes
import os

_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
_libc = ctypes.CDLL(None, use_errno=True)


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
