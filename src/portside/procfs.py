"""Processes read from /proc: their identity, and the sockets that they hold.

A process usually has one table of descriptors, which all its threads share, and /proc/PID/fd shows it. Two kinds of
process differ: one whose first thread has ended while others go on, where /proc/PID/fd is empty; and one with threads
that have tables of their own (CLONE_FILES in clone(2) and unshare(2)). There /proc/PID/task/TID/fd is read.

Nothing here needs numpy, so a forked process can read ahead (``app/proc_prefetcher``) while numpy is loaded.
"""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from portside.fd_tables import other_tables

PROC = "/proc"
COMM_BYTES = 15
"""What the kernel keeps of the name of a program: TASK_COMM_LEN without the NUL."""
_SOCKET = b"socket:["
_ZOMBIE = b"Z"
_MANY = 1000
_COMMAND_BYTES = 4096
_NAME_BYTES = 255  # of a file name (NAME_MAX)
_DELETED = b" (deleted)"

SocketFds = list[tuple[int, int]]
"""Inode and descriptor of each socket that a process holds, by table and descriptor."""


class ProcessIdentity(NamedTuple):
    """A process; ``folder`` is that of its first thread, or where that has ended, of the first that goes on.

    ``program`` is the kernel's name of it, cut at 15 bytes. ``started`` is in ticks since the machine started: a
    process number that is used again has another one.
    """

    started: int
    program: str
    threads: int
    folder: str


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
            descriptors = count_fds(seen.folder, exact=counts)
            yield ProcessSockets(int(name), seen.started, seen.program, descriptors, socket_fds(seen, descriptors))


def fd_count_is_exact(proc: str = PROC) -> bool:
    """Whether the size of a folder of descriptors is their number: from Linux 6.2 on."""
    return _size(f"{proc}/self/fd") > 0


def count_fds(folder: str, *, exact: bool) -> int:
    """Count the descriptors of a thread; -1 where they may not be read. ``exact``: see ``fd_count_is_exact``."""
    if exact:
        return _size(f"{folder}/fd")
    try:
        return len(os.listdir(f"{folder}/fd"))
    except OSError:
        return -1


def _size(path: str) -> int:
    """The size of a folder; -1 where it is gone or hidden."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def process_identity(folder: str) -> ProcessIdentity | None:
    """Read the identity of a process, proc_pid_stat(5); None where it has ended."""
    try:
        with open(f"{folder}/stat", "rb", buffering=0) as file:
            text = file.read(1024)
    except OSError:
        return None
    opening, closing = text.find(b"("), text.rfind(b")")
    fields = text[closing + 1 :].split()
    if len(fields) < 20:
        return None
    threads, started = int(fields[17]), int(fields[19])
    # The bytes of the name are kept: it need not be UTF-8, and escapes here would look like a name that has them.
    program = text[opening + 1 : closing].decode("utf-8", "surrogateescape")
    if fields[0] != _ZOMBIE:
        return ProcessIdentity(started, program, threads, folder)
    others = _other_threads(folder) if threads > 1 else []
    return ProcessIdentity(started, program, threads, f"{folder}/task/{others[0]}") if others else None


def _other_threads(folder: str) -> list[int]:
    """The threads of a process but for the first."""
    first = os.path.basename(folder)
    try:
        return sorted(int(name) for name in os.listdir(f"{folder}/task") if name != first)
    except OSError:
        return []


def command_line(folder: str) -> str | None:
    """The command line of a process, its arguments with spaces between them; None where it has none.

    That of a process which has ended, and of a kernel thread, is gone or empty. Only its first 4096 bytes are kept, and
    ``…`` stands for the rest. Bytes that are no UTF-8 are surrogates, as ``os.fsdecode`` makes them.
    """
    read = _command_bytes(folder)
    text = read[:_COMMAND_BYTES].rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "surrogateescape")
    if len(read) <= _COMMAND_BYTES:
        return text or None
    while text and "\udc80" <= text[-1] <= "\udcff":  # a character that was cut
        text = text[:-1]
    return text + "…"


def full_name(folder: str, program: str) -> str:
    """The name of a program that the kernel has cut at 15 bytes, in full, where it can be found.

    The name is that of the file that was executed: of the program, or of a script, which is one of the interpreter's
    arguments.
    """
    short = os.fsencode(program)
    if len(short) < COMM_BYTES:
        return program
    names = [argument.rpartition(b"/")[2] for argument in _command_bytes(folder).split(b"\0")[:4]]
    try:
        names.append(os.readlink(os.fsencode(f"{folder}/exe")).rpartition(b"/")[2].removesuffix(_DELETED))
    except OSError:  # it has ended, or its file is not ours to see
        pass
    found = next((name for name in names if name.startswith(short)), short)
    return found[:_NAME_BYTES].decode("utf-8", "surrogateescape")


def short_name(program: str) -> str:
    """The name by which ss, ps and top know a program: what the kernel keeps of its whole name."""
    return os.fsencode(program)[:COMM_BYTES].decode("utf-8", "surrogateescape")


def _command_bytes(folder: str) -> bytes:
    """The arguments of a process, each ended by NUL, and one byte more than is used of them; empty where none are."""
    try:
        with open(f"{folder}/cmdline", "rb", buffering=0) as file:
            return file.read(_COMMAND_BYTES + 1)
    except OSError:
        return b""


def socket_fds(process: ProcessIdentity, descriptors: int) -> SocketFds | None:
    """The sockets that a process holds: none where it has ended, None where they may not be read."""
    found = _table_sockets(process.folder, descriptors)
    if found is None or process.threads == 1:
        return found
    for folder in _other_tables(process):
        found += _table_sockets(folder, count_fds(folder, exact=True)) or []
    return list(dict.fromkeys(found))  # a table that changed meanwhile may have been taken for another


def _other_tables(process: ProcessIdentity) -> list[str]:
    """The folders of threads with descriptor tables of their own, one for each table."""
    whole, _, thread = process.folder.partition("/task/")
    first = int(thread or os.path.basename(whole))
    others = [other for other in _other_threads(whole) if other != first]
    tables = other_tables(first, others, lambda thread: count_fds(f"{whole}/task/{thread}", exact=True))
    return [f"{whole}/task/{each}" for each in tables]


def _table_sockets(folder: str, descriptors: int) -> SocketFds | None:
    """The sockets in the descriptor table of a thread: none where it has ended, None where they may not be read."""
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
                target = readlink(b"%d" % number, dir_fd=opened)
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
    """The descriptors that a thread may have, in order.

    The kernel gives the lowest number that is free, and so the table of a process with many descriptors is nearly
    full. To try each place in it costs less than to have it listed, and misses none either.
    """
    if descriptors >= _MANY:
        places = _table_size(folder)
        if descriptors <= places <= 2 * descriptors:
            return range(places)
    return sorted(map(int, os.listdir(opened)))


def _table_size(folder: str) -> int:
    """How many descriptors fit into the table of a thread as it is now; 0 where that is not known."""
    try:
        with open(f"{folder}/status", "rb", buffering=0) as file:
            _, found, after = file.read(4096).partition(b"\nFDSize:")
    except OSError:
        return 0
    return int(after.split(maxsplit=1)[0]) if found else 0
