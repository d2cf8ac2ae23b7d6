"""The owners of sockets, found through the links in /proc/PID/fd; as few links as possible are read.

1. A process is read when it is new, when the number of its descriptors changed, and when a socket is asked for that
   was never asked for before. So forks, exits, new sockets, and descriptors that are opened, closed or passed on show
   at once.
2. What that cannot show is a descriptor that came while another one went in the same process, for a socket that was
   known already; and one that a thread with a descriptor table of its own closed or was given. So processes are also
   read again when they were read longer than ``max_age_s`` ago, the oldest first, and of large ones not more than about
   5,000 descriptors in one pass.
3. A process is its number and its start time; a socket is its inode and its cookie, which the kernel never gives
   twice. So neither a process number nor an inode that is used again brings an old answer back.
4. What a forked process read ahead of the sockets (``preload``) is taken as it is. Everything is read again only where
   that leaves a socket without an owner that may have been made in between. (The kernel numbers sockets in ascending
   order, each processor 1024 at a time; an old one without an owner has a hidden one.)
5. A name that the kernel has cut, and the command line where it is asked for, are read of those processes alone that
   hold a socket which is asked for; and again when the process is read again.
6. Without ``thorough`` a socket that was never asked for before is first looked for in the processes that changed; all
   are read only where it is not found there, and those that were read long ago six times less often. So a second owner
   may show a minute later, and a machine with many connections, of which some come and go, costs a tenth.
7. A process that may not be read is counted (``unreadable``). Others cannot even be seen: those of another PID
   namespace, or of other users where /proc is mounted with hidepid. Somebody held each socket that has an inode when
   the table was read; so one whose holder is not found has a ``hidden`` one, or its holder has just closed it.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from portside.kernel.models import NOT_LOOKED_UP, Owner
from portside.procfs import (
    COMM_BYTES,
    PROC,
    ProcessSockets,
    SocketFds,
    command_line,
    count_fds,
    fd_count_is_exact,
    full_name,
    process_identity,
    socket_fds,
)
from portside.units import counted

_INODES_AT_ONCE = 1024  # get_next_ino() in fs/inode.c
_REREAD_DESCRIPTORS = 5000  # about 30 ms
_SELDOM = 6
_NO_COMMAND = "the process has ended, or it has no command line"
_NOT_SEEN = "no process that can be seen here holds it"


@dataclass(slots=True)
class _Process:
    """A process and its sockets, None where they may not be read. ``read_at`` is in seconds of the clock.

    ``described`` has the name of the program in full and the command line, once they have been read.
    """

    started: int
    program: str
    descriptors: int
    read_at: float
    sockets: SocketFds | None
    described: tuple[str, str | None] | None = None


class OwnerFinder:
    """The owners of sockets, remembered from one call to the next; with ``commands`` also their command lines.

    ``thorough`` is explained above.
    """

    def __init__(
        self,
        *,
        commands: bool = False,
        proc: str = PROC,
        max_age_s: float = 10.0,
        thorough: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._commands = commands
        self._proc = proc
        self._max_age_s = max_age_s if thorough else _SELDOM * max_age_s
        self._thorough = thorough
        self._clock = clock
        self._processes: dict[int, _Process] = {}
        self._cookies: dict[int, int] = {}
        self._owners: dict[int, tuple[Owner, ...]] = {}
        self._preloaded = False
        self._oldest_new = 0  # sockets made after the preloaded ones have larger inodes
        self._counts = fd_count_is_exact(proc)

    def preload(self, seen: Iterable[ProcessSockets]) -> None:
        """Use the sockets of all processes that were read just before."""
        now = self._clock()
        for pid, started, program, descriptors, sockets in seen:
            self._processes[pid] = _Process(started, program, descriptors, now, sockets)
        self._preloaded = True
        newest = max((inode for each in self._processes.values() for inode, _ in each.sockets or ()), default=0)
        self._oldest_new = newest - _INODES_AT_ONCE * (os.cpu_count() or 1)

    @property
    def unreadable(self) -> int:
        """How many processes could not be read in the last call of ``find``."""
        return sum(process.sockets is None for process in self._processes.values())

    @property
    def no_commands(self) -> str:
        """Why an owner may have no command line."""
        return _NO_COMMAND if self._commands else NOT_LOOKED_UP

    @property
    def hidden(self) -> str:
        """Why a socket that has an inode may be held though the last call of ``find`` found no owner."""
        count = self.unreadable
        if not count:
            return _NOT_SEEN
        return f"{counted(count, 'process', 'processes')} could not be read{' without root' if os.geteuid() else ''}"

    def find(self, inodes: Sequence[int], cookies: Sequence[int] | None = None) -> dict[int, tuple[Owner, ...]]:
        """Find the owners of sockets by inode, each descriptor of each process; sockets without one are left out.

        ``cookies`` are those of the same sockets; without them an inode that is used again is not noticed.
        """
        asked = dict(zip(inodes, [0] * len(inodes) if cookies is None else cookies, strict=True))
        asked.pop(0, None)
        known = self._cookies
        everything_new = any(known.get(inode) != cookie for inode, cookie in asked.items())
        self._cookies = asked
        if self._preloaded:
            self._preloaded = False
            self._refresh(everything_new=False)
            self._owners = self._collect(asked)
            everything_new = any(inode > self._oldest_new for inode in asked.keys() - self._owners.keys())
            if not everything_new:
                return self._owners
        if everything_new and not self._thorough:
            self._refresh(everything_new=False)
            self._owners = self._collect(asked)
            if all(inode in self._owners for inode, cookie in asked.items() if known.get(inode) != cookie):
                return self._owners
        before = self._owners
        if self._refresh(everything_new=everything_new) or everything_new:
            self._owners = self._collect(asked)
        if not everything_new and any(inode in before and inode not in self._owners for inode in asked):
            # Passed on, perhaps to a process that has as many descriptors as before.
            self._refresh(everything_new=True)
            self._owners = self._collect(asked)
        return self._owners

    def _refresh(self, *, everything_new: bool) -> bool:
        """Read again what may have changed; whether any owner may be different now."""
        now = self._clock()
        before, self._processes = self._processes, {}
        changed = False
        for name in os.listdir(self._proc):
            if not name.isdigit() or (seen := process_identity(f"{self._proc}/{name}")) is None:
                continue
            pid, started, program = int(name), seen.started, seen.program
            # Counted before it is read: what changes meanwhile is a difference the next time.
            descriptors = count_fds(seen.folder, exact=self._counts)
            process = before.get(pid)
            if process is None or everything_new or process.started != started or process.descriptors != descriptors:
                process = _Process(started, program, descriptors, now, socket_fds(seen, descriptors))
                changed = True
            elif process.program != program:
                process.program, process.described = program, None
                changed = True
            self._processes[pid] = process
        changed = self._read_oldest(now) or changed
        return changed or self._processes.keys() != before.keys()

    def _read_oldest(self, now: float) -> bool:
        """Read again some processes that were read long ago; whether any holds other sockets now."""
        aged = [(each.read_at, pid) for pid, each in self._processes.items() if now - each.read_at >= self._max_age_s]
        left = _REREAD_DESCRIPTORS
        changed = False
        for _, pid in sorted(aged):
            if left <= 0:
                break
            process = self._processes[pid]
            left -= max(1, process.descriptors)
            seen = process_identity(f"{self._proc}/{pid}")
            links = socket_fds(seen, process.descriptors) if seen is not None else []
            described = self._describe(pid, process) if process.described is not None else None
            changed = changed or links != process.sockets or described != process.described
            process.sockets, process.described, process.read_at = links, described, now
        return changed

    def _collect(self, asked: dict[int, int]) -> dict[int, tuple[Owner, ...]]:
        found: dict[int, tuple[Owner, ...]] = {}
        for pid in sorted(self._processes):
            process = self._processes[pid]
            described = process.described
            for inode, descriptor in process.sockets or ():
                if inode in asked:
                    if described is None:
                        described = process.described = self._describe(pid, process)
                    owner = (Owner(pid, described[0], descriptor, described[1]),)
                    found[inode] = found[inode] + owner if inode in found else owner
        return found

    def _describe(self, pid: int, process: _Process) -> tuple[str, str | None]:
        """The name of a process's program in full, and its command line if it is asked for."""
        cut = len(os.fsencode(process.program)) >= COMM_BYTES
        if not (cut or self._commands):
            return process.program, None
        seen = process_identity(f"{self._proc}/{pid}")
        if seen is None or seen.started != process.started:  # it has ended, and another one may have its number
            return process.program, None
        name = full_name(seen.folder, process.program) if cut else process.program
        return name, command_line(seen.folder) if self._commands else None
