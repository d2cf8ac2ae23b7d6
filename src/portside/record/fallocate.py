"""Disk space set aside or given back without writing: fallocate(2), which the standard library has only in part."""

import ctypes
import os

_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
_libc = ctypes.CDLL(None, use_errno=True)


def preallocate(fd: int, offset: int, size: int) -> None:
    """Set room aside for what will be written there, also behind the end. Raises OSError."""
    _fallocate(fd, _KEEP_SIZE, offset, size)


def punch_hole(fd: int, offset: int, size: int) -> None:
    """Give back the room of what is there, which reads as zeros from now on: of whole pages only. Raises OSError."""
    _fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, offset, size)


def _fallocate(fd: int, mode: int, offset: int, size: int) -> None:
    if _libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(size)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
