"""Descriptors: files made private, reads and writes in blocking or non-blocking mode, the reader at the other end."""

import fcntl
import os
import select
import stat
import sys
import termios
from contextlib import suppress
from typing import Final

PRIVATE_MODE: Final = 0o600  # of files with payload: their owner alone may read and write them


def create_file(path: str, flags: int, mode: int = PRIVATE_MODE) -> int:
    """Open a file, and make it with exactly this mode, whatever the umask, if it is not there. Raises OSError."""
    flags |= os.O_CREAT | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_EXCL, mode)
    except FileExistsError:
        if flags & os.O_EXCL:
            raise
        return os.open(path, flags, mode)
    with suppress(OSError):  # a file system without modes
        os.fchmod(fd, mode)
    return fd


def write_all(fd: int, data: memoryview) -> None:
    """Write all of ``data``; waits until it is written even if the descriptor is non-blocking. Raises OSError."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            wait_for(fd, select.POLLOUT)


def wait_for(fd: int, event: int) -> None:
    """Wait until a descriptor can be read (POLLIN) or written (POLLOUT), or has failed."""
    poll = select.poll()
    poll.register(fd, event)
    poll.poll()


def may_lose_reader(fd: int) -> bool:
    """Whether a descriptor is a pipe or a socket, whose reader may go away; poll(2) then reports an error."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def is_pipe_or_file(fd: int) -> bool:
    """Whether a descriptor is a pipe, a socket or a regular file: something that was put there to be read."""
    return may_lose_reader(fd) or is_regular_file(fd)


def is_regular_file(fd: int) -> bool:
    """Whether a descriptor is a regular file."""
    return stat.S_ISREG(os.fstat(fd).st_mode)


def readable_bytes(fd: int) -> int:
    """The bytes of a pipe, a socket or a regular file that can be read without waiting."""
    if is_regular_file(fd):
        return max(0, os.fstat(fd).st_size - os.lseek(fd, 0, os.SEEK_CUR))
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


def keep_stdout_for_data() -> int:
    """Make standard error of standard output, for the code of others in this process and the programs that it starts.

    The result is another descriptor of what standard output was: for data alone.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return kept


def keep_inherited_descriptors() -> None:
    """Have no program inherit the descriptors that this process has inherited, apart from 0, 1 and 2.

    Those that Python opens are never inherited.
    """
    for name in os.listdir("/dev/fd"):
        if int(name) > 2:
            with suppress(OSError):  # the descriptor with which the folder was read
                os.set_inheritable(int(name), False)
