"""The folder of a recording: its files, and the lock of the server that writes there.

recording.lock    held by the server that writes (an open file description lock, fcntl(2))
segment-000001    the recording itself, see ``segment``
index.sqlite      the position of each block, see ``index``; can be rebuilt
"""

import errno
import fcntl
import os
import re
import stat
import struct
from contextlib import suppress

from portside.descriptors import PRIVATE_MODE
from portside.errors import PortsideError
from portside.record.files import open_regular, size_of
from portside.record.segment import MOST_SEGMENT

INDEX_NAME = "index.sqlite"
_LOCK_NAME = "recording.lock"
_LOST_AND_FOUND = "lost+found"  # what mkfs makes in a new file system
_READ_BITS, _MOST_MODE = 0o444, 0o666
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of fcntl(2), 64 bits
_HAS_OFD_LOCKS = hasattr(fcntl, "F_OFD_SETLK")  # of Linux
_SEGMENT = re.compile(r"segment-(?:[0-9]{6}|[1-9][0-9]{6,9})")


class Folder:
    """The paths of the files in a recording's folder; ``path`` is as the user wrote it.

    ``mode`` is that of files which are made there; None for that of the recording's last segment.
    ``irregular`` are the segments of the last look, by their numbers, that are links, pipes or other things that are
    not read.
    """

    def __init__(self, path: str, mode: int | None = None) -> None:
        self.path = path
        self._mode = mode
        self.irregular: list[int] = []
        self.index = os.path.join(path, INDEX_NAME)

    @property
    def file_mode(self) -> int:
        """The mode of a file that is made."""
        if self._mode is not None:
            return self._mode
        with suppress(PortsideError, OSError):
            for number in self.segments()[-1:]:
                return stat.S_IMODE(os.lstat(self.segment(number)).st_mode) & _MOST_MODE
        return PRIVATE_MODE

    def segment(self, number: int) -> str:
        """The path of a segment."""
        return os.path.join(self.path, f"segment-{number:06d}")

    def segments(self) -> list[int]:
        """The numbers of the segments that are files, in order. Raises PortsideError where there is no recording."""
        try:
            with os.scandir(self.path) as entries:
                files = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
        except OSError as error:
            raise PortsideError(f"recording {self.path}", error) from None
        numbers = {_segment_number(name): is_file for name, is_file in files.items()}
        numbers.pop(None, None)
        if not numbers and INDEX_NAME not in files:
            raise PortsideError(f"recording {self.path}", "there is no recording in this folder")
        self.irregular = sorted(number for number, is_file in numbers.items() if number is not None and not is_file)
        return sorted(number for number, is_file in numbers.items() if number is not None and is_file)

    def segment_size(self, number: int) -> int:
        """The size of a segment in bytes. Raises OSError."""
        return size_of(self.segment(number))

    def lock(self) -> int | None:
        """Lock the folder for writing: a descriptor to keep open, None where another has the lock. Raises OSError."""
        fd = open_regular(os.path.join(self.path, _LOCK_NAME), os.O_RDWR, make=self.file_mode)
        try:
            if _HAS_OFD_LOCKS:
                fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
            else:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return None
            raise
        return fd

    def is_written(self) -> bool:
        """Whether another process holds the lock. Asking does not take it, unless the system has flock(2) alone."""
        with suppress(OSError):
            fd = open_regular(os.path.join(self.path, _LOCK_NAME), os.O_RDONLY)
            try:
                return _is_locked(fd)
            finally:
                os.close(fd)
        return False


def _is_locked(fd: int) -> bool:
    if _HAS_OFD_LOCKS:
        held = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
        return bool(_FLOCK.unpack(held)[0] != fcntl.F_UNLCK)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _segment_number(name: str) -> int | None:
    """The number of the segment that a file would be by its name; None for any other file."""
    number = int(name[8:]) if _SEGMENT.fullmatch(name) else None
    return number if number is not None and number <= MOST_SEGMENT else None


def make_folder(path: str, mode: int = PRIVATE_MODE) -> Folder:
    """A folder to record in, created if need be; ``mode`` is that of its files, and who may read them may enter it.

    Raises PortsideError where it cannot be created, or holds other files.
    """
    folder = Folder(path, mode)
    try:
        if not os.path.exists(path):
            _create(path, mode | (mode & _READ_BITS) >> 2)
        names = [name for name in os.listdir(path) if name != _LOST_AND_FOUND]
    except OSError as error:
        raise PortsideError(f"cannot record to {path}", error) from None
    if names and not {INDEX_NAME, _LOCK_NAME} & set(names) and not any(map(_SEGMENT.fullmatch, names)):
        hint = "name an empty folder, one with a recording, or one that is not there yet"
        raise PortsideError(f"cannot record to {path}", "it holds other files", hint)
    return folder


def _create(path: str, mode: int) -> None:
    """Make a folder with exactly this mode, whatever the umask, and those above it with the usual one."""
    above = os.path.dirname(path.rstrip("/"))
    if above and not os.path.exists(above):
        os.makedirs(above, exist_ok=True)
    with suppress(FileExistsError):  # another server was faster
        os.mkdir(path, mode)
        with suppress(OSError):  # a file system without modes
            os.chmod(path, mode)
