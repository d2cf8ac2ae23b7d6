"""Opening the files of a recording, which somebody else may have made: regular files alone, never through a link."""

import errno
import os
import stat

from portside.descriptors import create_file


class IrregularFileError(OSError):
    """A file of a recording that is a symbolic link, a pipe, a device or a folder."""


def open_regular(path: str, flags: int, make: int | None = None) -> int:
    """Open a file: its descriptor. Raises OSError; IrregularFileError for what is no file, without waiting for it.

    ``make`` is the mode of the file that is made where there is none.
    """
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags) if make is None else create_file(path, flags, make)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise _irregular(path) from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _irregular(path)
    return fd


def require_regular(path: str) -> None:
    """Raise IrregularFileError where there is something else than a regular file; a missing one is none."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise _irregular(path)


def size_of(path: str) -> int:
    """The size of a regular file in bytes. Raises OSError."""
    require_regular(path)
    return os.lstat(path).st_size


def _irregular(path: str) -> IrregularFileError:
    what = "a symbolic link, which is not followed" if os.path.islink(path) else "no regular file"
    return IrregularFileError(errno.EINVAL, f"it is {what}", path)
