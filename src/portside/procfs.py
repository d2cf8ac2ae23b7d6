"""Processes read from /proc: their identity, and the sockets that they hold.

Nothing here needs numpy, so a forked process can read ahead (``app/proc_prefetcher``) while numpy is loaded.
"""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

PROC = "/proc"
_SOCKET = "socket:["
_ZOMBIE = b"Z"
_MANY = 1000

SocketFds = list[tuple[int, int]]
"""Inode and descriptor of each socket that a process holds, by descriptor."""


class ProcessSockets(NamedTuple):
    """A process with the sockets that it holds, None where they may not be read.

    ``started`` is in ticks since the machine started, ``descriptors`` is the number of open descriptors (-1: not
    known).
    """

    pid: int
    started: int
    program: str
    descriptors: int
    sockets: SocketFds | None


def iter_processes(proc: str = PROC) -> Iterator[ProcessSockets]:
    """Read all processes with their sockets."""
    counts = fd_count_is_exact(proc)
    for name in os.listdir(proc):
        if name.isdigit() and (seen := process_identity(f"{proc}/{name}")) is not None:
            # Counted before the sockets are read: a change in between shows as another count the next time.
            descriptors = count_fds(proc, name, exact=counts)
            yield ProcessSockets(int(name), *seen, descriptors, socket_fds(f"{proc}/{name}", descriptors))


def fd_count_is_exact(proc: str = PROC) -> bool:
    """Whether the size of a folder of descriptors is their number: from Linux 6.2 on."""
    return _size(f"{proc}/self/fd") > 0


def count_fds(proc: str, name: str, *, exact: bool) -> int:
    """Count the descriptors of a process; -1 where they may not be read. ``exact``: see ``fd_count_is_exact``."""
    folder = f"{proc}/{name}/fd"
    if exact:
        return _size(folder)
    try:
        return len(os.listdir(folder))
    except OSError:
        return -1


def _size(path: str) -> int:
    """The size of a folder; -1 where it is gone or hidden."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def process_identity(folder: str) -> tuple[int, str] | None:
    """The start time of a process, in ticks since the machine started, and its program; None where it has ended.

    See proc_pid_stat(5). A process number that is used again belongs to another start time.
    """
    try:
        with open(f"{folder}/stat", "rb", buffering=0) as file:
            text = file.read(1024)
    except OSError:
        return None
    opening, closing = text.find(b"("), text.rfind(b")")
    fields = text[closing + 1 :].split()
    if len(fields) < 20 or fields[0] == _ZOMBIE:
        return None
    return int(fields[19]), text[opening + 1 : closing].decode("utf-8", "surrogateescape")


def socket_fds(folder: str, descriptors: int) -> SocketFds | None:
    """The sockets among the descriptors of a process: none where it has ended, None where it may not be read."""
    found: SocketFds = []
    try:
        opened = os.open(f"{folder}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return None
    except OSError:
        return found
    readlink = os.readlink
    try:
        # Relative to the open folder: the kernel need not walk the path again for each of many thousand links.
        for number in _numbers(folder, opened, descriptors):
            try:
                target = readlink(str(number), dir_fd=opened)
            except FileNotFoundError:  # no such descriptor, or closed meanwhile
                continue
            if target.startswith(_SOCKET):
                found.append((int(target[len(_SOCKET) : -1]), number))
    except PermissionError:
        return None
    except OSError:  # the process ended meanwhile: it holds nothing
        return []
    finally:
        os.close(opened)
    return found


def _numbers(folder: str, opened: int, descriptors: int) -> Iterable[int]:
    """The descriptors that a process may have, in order.

    The kernel gives the lowest number that is free, and so the table of a process with many descriptors is nearly
    full. To try each place in it costs less than to have it listed, and misses none either.
    """
    if descriptors >= _MANY:
        places = _table_size(folder)
        if descriptors <= places <= 2 * descriptors:
            return range(places)
    return sorted(map(int, os.listdir(opened)))


def _table_size(folder: str) -> int:
    """How many descriptors fit into the table of a process as it is now; 0 where that is not known."""
    try:
        with open(f"{folder}/status", "rb", buffering=0) as file:
            _, found, after = file.read(4096).partition(b"\nFDSize:")
    except OSError:
        return 0
    return int(after.split(maxsplit=1)[0]) if found else 0
