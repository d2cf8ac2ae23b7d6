"""A program on a terminal of its own: the first process of a session, with the terminal as its controlling terminal.

``subprocess`` can do this only with code that runs in the child (``preexec_fn``), which is unsafe beside the threads of
the server. posix_spawn(3) needs none: it makes the session before it opens the terminal, and the first terminal that
the first process of a session opens is its controlling terminal (tty_ioctl(4)).
"""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from portside.procfs import PROC

# What a login gives its programs, whatever the server itself ignores: started by a shell with `&`, it ignores SIGINT.
_DEFAULT_SIGNALS: Final = (
    signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU,
    signal.SIGPIPE, signal.SIGXFSZ,
)  # fmt: skip

_MOST_AGE_S: Final = 0.01  # of a reading of all processes, from its begin


class TerminalProcess:
    """A started program; ``path`` is that of its terminal. Raises OSError where it cannot be started, and ValueError.

    The counterpart of ``subprocess.Popen``, as far as ``ProcessGroup`` wants it.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], path: str) -> None:
        terminal = (os.POSIX_SPAWN_OPEN, 0, path, os.O_RDWR, 0)
        copies = [(os.POSIX_SPAWN_DUP2, 0, fd) for fd in (1, 2)]
        self.pid = os.posix_spawnp(
            words[0],
            list(words),
            environment,
            file_actions=[terminal, *copies],
            setsid=True,
            setsigmask=(),
            setsigdef=_DEFAULT_SIGNALS,
        )

    def wait(self) -> int:
        """Wait for the end of the program; its exit status, or the negative number of the signal that ended it."""
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:
            return 0  # the kernel has reaped it: SIGCHLD is ignored here


class SessionGroups:
    """The process groups of sessions, read from all of /proc at once.

    A reading is shared by those who ask at about the same time: when hundreds of clients leave together, each program's
    session is asked for several times.
    """

    def __init__(self, proc: str = PROC, clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._clock = clock
        self._groups: dict[int, set[int]] = {}
        self._read_at = -float("inf")  # seconds of the clock, at its begin
        self._read_for_s = 0.0

    def groups(self, session: int, since: float | None = None) -> set[int]:
        """The process groups of a session: that of its first process, and where others are left, theirs too.

        A shell makes a group for each of its jobs. One that was made while the processes were read may be missing, and
        for about as long as that takes, or for ``_MOST_AGE_S``, a reading is used again; with ``since``, a time of the
        clock, only one that has begun then or later.
        """
        if since is None:
            is_old = self._clock() - self._read_at > max(_MOST_AGE_S, 2 * self._read_for_s)
        else:
            is_old = self._read_at < since
        if is_old:
            self._read()
        return {session, *self._groups.get(session, ())}

    def _read(self) -> None:
        self._read_at = self._clock()
        self._groups = {}
        try:
            processes = [name for name in os.listdir(self._proc) if name.isdigit()]
        except OSError:  # no descriptor is left
            return
        for name in processes:
            try:
                with open(f"{self._proc}/{name}/stat", "rb", buffering=0) as file:
                    text = file.read(1024)
            except OSError:
                continue  # it has ended
            fields = text[text.rfind(b")") + 1 :].split(maxsplit=4)
            if len(fields) > 4 and fields[0] not in (b"Z", b"X"):
                self._groups.setdefault(int(fields[3]), set()).add(int(fields[2]))
        self._read_for_s = self._clock() - self._read_at
