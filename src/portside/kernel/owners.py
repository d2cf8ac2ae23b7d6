"""Which processes hold which socket: /proc/PID/fd read link by link, as little of it as can be.

1. A process is read when it is new, when the number of its descriptors changed, and when a socket is asked for that
   was never asked for before. So forks, exits, new sockets, and descriptors that are opened, closed or passed on show
   at once.
2. What that cannot show is a descriptor that came while another one went in the same process, for a socket that was
   known already. So processes are also read again when they were read longer than ``max_age_s`` ago, the oldest
   first, and of large ones not more than about 5,000 descriptors in one look.
3. A process is its number and its start time; a socket is its inode and its cookie, which the kernel never gives
   twice. So neither a process number nor an inode that is used again brings an old answer back.
4. A process that may not be read is counted (``unreadable``), for an answer without owners then says less.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portside.kernel.values import Owner

_PROC = "/proc"
_SOCKET = "socket:["
_ZOMBIE = b"Z"
_REREAD_DESCRIPTORS = 5000  # about 30 ms
_MANY = 1000

_Links = list[tuple[int, int]]
"""Inode and descriptor of each socket that a process holds, by descriptor."""


@dataclass(slots=True)
class _Process:
    """What was read of a process. ``sockets`` is None where it may not be read."""

    started: int
    program: str
    descriptors: int
    read_at: float
    sockets: _Links | None


class Owners:
    """Finds the owners of sockets, and remembers them from one call to the next."""

    def __init__(
        self, *, proc: str = _PROC, max_age_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._proc = proc
        self._max_age_s = max_age_s
        self._clock = clock
        self._processes: dict[int, _Process] = {}
        self._cookies: dict[int, int] = {}
        self._owners: dict[int, tuple[Owner, ...]] = {}
        self._counts = _size(f"{proc}/self/fd") > 0

    @property
    def unreadable(self) -> int:
        """How many processes could not be read when it was last asked."""
        return sum(process.sockets is None for process in self._processes.values())

    def of(
        self, inodes: npt.NDArray[np.unsignedinteger], cookies: npt.NDArray[np.unsignedinteger] | None = None
    ) -> dict[int, tuple[Owner, ...]]:
        """The owners of sockets by inode, each descriptor of each process; sockets that have none are left out.

        ``cookies`` belong to the inodes; without them an inode that was used again is not noticed.
        """
        asked = dict(zip(inodes.tolist(), cookies.tolist() if cookies is not None else [0] * len(inodes), strict=True))
        asked.pop(0, None)
        known = self._cookies
        everything_new = any(known.get(inode) != cookie for inode, cookie in asked.items())
        self._cookies = asked
        if self._refresh(everything_new=everything_new) or everything_new:
            self._owners = self._collect(asked)
        return self._owners

    def _refresh(self, *, everything_new: bool) -> bool:
        """Read what has to be read again; whether anything may be different now."""
        now = self._clock()
        before, self._processes = self._processes, {}
        changed = False
        for name in os.listdir(self._proc):
            if not name.isdigit() or (seen := _identity(f"{self._proc}/{name}")) is None:
                continue
            pid, (started, program) = int(name), seen
            # Counted before it is read: what changes meanwhile is a difference the next time.
            descriptors = self._descriptors(name)
            process = before.get(pid)
            if process is None or everything_new or process.started != started or process.descriptors != descriptors:
                process = _Process(started, program, descriptors, now, self._read(name, descriptors))
                changed = True
            elif process.program != program:
                process.program = program
                changed = True
            self._processes[pid] = process
        changed = self._read_oldest(now) or changed
        return changed or self._processes.keys() != before.keys()

    def _read_oldest(self, now: float) -> bool:
        """Read some processes again that were not read for long; whether any holds other sockets now."""
        aged = [(each.read_at, pid) for pid, each in self._processes.items() if now - each.read_at >= self._max_age_s]
        left = _REREAD_DESCRIPTORS
        changed = False
        for _, pid in sorted(aged):
            if left <= 0:
                break
            process = self._processes[pid]
            left -= max(1, process.descriptors)
            links = self._read(str(pid), process.descriptors)
            changed = changed or links != process.sockets
            process.sockets, process.read_at = links, now
        return changed

    def _read(self, name: str, descriptors: int) -> _Links | None:
        return _links(f"{self._proc}/{name}", descriptors)

    def _descriptors(self, name: str) -> int:
        """How many descriptors a process has open: the size of the folder, from Linux 6.2 on."""
        folder = f"{self._proc}/{name}/fd"
        if self._counts:
            return _size(folder)
        try:
            return len(os.listdir(folder))
        except OSError:
            return -1

    def _collect(self, asked: dict[int, int]) -> dict[int, tuple[Owner, ...]]:
        found: dict[int, tuple[Owner, ...]] = {}
        for pid in sorted(self._processes):
            process = self._processes[pid]
            for inode, descriptor in process.sockets or ():
                if inode in asked:
                    owner = (Owner(pid, process.program, descriptor),)
                    found[inode] = found[inode] + owner if inode in found else owner
        return found


def _size(path: str) -> int:
    """The size of a folder; -1 where it is gone or hidden."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _identity(folder: str) -> tuple[int, str] | None:
    """When a process started (ticks since the machine did) and its program; None where it ended (proc_pid_stat(5))."""
    try:
        with open(f"{folder}/stat", "rb", buffering=0) as file:
            text = file.read(1024)
    except OSError:
        return None
    opening, closing = text.find(b"("), text.rfind(b")")
    fields = text[closing + 1 :].split()
    if len(fields) < 20 or fields[0] == _ZOMBIE:
        return None
    return int(fields[19]), text[opening + 1 : closing].decode("utf-8", "backslashreplace")


def _links(folder: str, descriptors: int) -> _Links | None:
    """The sockets among the descriptors of a process; None where it may not be read. None of a process that ended."""
    found: _Links = []
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

    The kernel gives the lowest number that is free, and so the table of a process that has many is nearly full. To
    try each place in it costs less than to have it listed, and misses nothing either.
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
