"""The file of ``rec export``: written beside its name, and renamed when it is complete."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from portside.descriptors import create_file
from portside.errors import PortsideError
from portside.record.fallocate import Preallocation
from portside.wire.buffers import MOST_BUFFERS, advance

_FLUSH_BYTES = 1 << 20
_SMALL_BYTES = 4096  # buffers that are smaller on average are joined: the kernel takes longer for each than a copy


class ExportFile:
    """Collects buffers and writes them with writev(2), large ones without a copy; for one descriptor, left open.

    With ``preallocates`` the file is a new one on a disk, and ``flush`` cuts it off behind the last byte.
    """

    def __init__(self, fd: int, *, preallocates: bool = False) -> None:
        self._fd = fd
        self._buffers: list[bytes | memoryview] = []
        self._collected = 0
        self._written = 0
        self._preallocation = Preallocation(fd) if preallocates else None

    def write(self, data: bytes) -> None:
        """Add the next bytes. Raises OSError."""
        self._buffers.append(data)
        self._collected += len(data)
        if self._collected >= _FLUSH_BYTES:
            self._write_collected()

    def writelines(self, buffers: Iterable[bytes | memoryview]) -> None:
        """Add buffers, whose content must not change. Raises OSError."""
        before = len(self._buffers)
        self._buffers += buffers
        self._collected += sum(map(len, self._buffers[before:]))
        if self._collected >= _FLUSH_BYTES:
            self._write_collected()

    def flush(self) -> None:
        """Write what is collected, and free the disk space that was preallocated. Raises OSError."""
        self._write_collected()
        if self._preallocation is not None:
            self._preallocation.release(self._written)

    def _write_collected(self) -> None:
        buffers, size = self._buffers, self._collected
        if self._preallocation is not None:
            self._preallocation.reserve(self._written, size)
        if len(buffers) > size // _SMALL_BYTES:
            buffers = [b"".join(buffers)]
        for at in range(0, len(buffers), MOST_BUFFERS):
            part = buffers[at : at + MOST_BUFFERS]
            while part:
                written = os.writev(self._fd, part)
                self._written += written
                part = advance(part, written)
        self._buffers, self._collected = [], 0


@contextmanager
def written(path: str) -> Iterator[ExportFile]:
    """A file to write, renamed to ``path`` when it is complete; ``-`` is standard output.

    A new file is private; one that is there keeps its mode. A pipe or a device is written in place. Raises
    PortsideError where it cannot be written, and BrokenPipeError where the reader of a pipe went away.
    """
    try:
        if path == "-" or path.startswith(("/dev/fd/", "/dev/std", "/proc/")) or not _is_plain(path):
            yield from _in_place(path)
        else:
            yield from _replaced(os.path.realpath(path))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PortsideError(f"cannot write {path}", error) from None


def _is_plain(path: str) -> bool:
    """Whether the path is that of a regular file, or of none yet."""
    with suppress(FileNotFoundError):
        return stat.S_ISREG(os.stat(path).st_mode)
    return True


def _in_place(path: str) -> Iterator[ExportFile]:
    with open(1 if path == "-" else path, "wb", 0, closefd=path != "-") as opened:
        file = ExportFile(opened.fileno())
        yield file
        file.flush()


def _replaced(path: str) -> Iterator[ExportFile]:
    part = os.path.join(os.path.dirname(path), f".{os.urandom(4).hex()}.part")  # whatever the length of its name
    fd = create_file(part, os.O_WRONLY | os.O_EXCL)
    try:
        try:
            with suppress(FileNotFoundError):
                os.fchmod(fd, stat.S_IMODE(os.stat(path).st_mode))
            file = ExportFile(fd, preallocates=True)
            yield file
            file.flush()
        finally:
            os.close(fd)
        os.rename(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
