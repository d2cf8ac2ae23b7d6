"""The folder of a recording: its files, and the lock of the server that writes there.

recording.lock    held by the server that writes (an open file description lock, fcntl(2))
segment-000001    the recording itself, see ``segment``
index.sqlite      the position of each block, see ``index``; can be rebuilt
"""

import errno
import fcntl
import os
import re
import struct
from contextlib import suppress

from portside.errors import PortsideError

INDEX_NAME = "index.sqlite"
_LOCK_NAME = "recording.lock"
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of fcntl(2), 64 bits
_SEGMENT = re.compile(r"segment-(?:[0-9]{6}|[1-9][0-9]{6,})")


class Folder:
    """The paths of the files in a recording's folder; ``path`` is as the user wrote it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.index = os.path.join(path, INDEX_NAME)

    def segment(self, number: int) -> str:
        """The path of a segment."""
        return os.path.join(self.path, f"segment-{number:06d}")

    def segments(self) -> list[int]:
        """The numbers of the existing segments, in order. Raises PortsideError where the folder holds no recording."""
        try:
            names = os.listdir(self.path)
        except OSError as error:
            raise PortsideError(f"recording {self.path}", error) from None
        numbers = sorted(int(name[8:]) for name in names if _SEGMENT.fullmatch(name))
        if not numbers and INDEX_NAME not in names:
            raise PortsideError(f"recording {self.path}", "there is no recording in this folder")
        return numbers

    def lock(self) -> int | None:
        """Lock the folder for writing: a descriptor to keep open, None where another has the lock. Raises OSError."""
        fd = os.open(os.path.join(self.path, _LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return None
            raise
        return fd

    def is_written(self) -> bool:
        """Whether another process holds the lock. Asking does not take it (F_OFD_GETLK)."""
        with suppress(OSError):
            fd = os.open(os.path.join(self.path, _LOCK_NAME), os.O_RDONLY | os.O_CLOEXEC)
            try:
                held = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
            finally:
                os.close(fd)
            return bool(_FLOCK.unpack(held)[0] != fcntl.F_UNLCK)
        return False


def make_folder(path: str) -> Folder:
    """A folder to record in, created if need be. Raises PortsideError where it cannot be, or holds other files."""
    folder = Folder(path)
    try:
        if not os.path.exists(path):
            os.makedirs(path, exist_ok=True)
        names = os.listdir(path)
    except OSError as error:
        raise PortsideError(f"cannot record to {path}", error) from None
    if names and not {INDEX_NAME, _LOCK_NAME} & set(names) and not any(map(_SEGMENT.fullmatch, names)):
        hint = "name an empty folder, one with a recording, or one that is not there yet"
        raise PortsideError(f"cannot record to {path}", "it holds other files", hint)
    return folder
