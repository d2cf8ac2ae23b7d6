"""A program in a session of its own, from its start until neither the program nor a child of it is left.

Signals go to the whole process group, because a shell's children should end with the shell. On a terminal they go to
all groups of the session, because there a shell makes a group for each of its jobs. A pidfd (pidfd_open(2)) reports the
end of the program; for the end of its children the process groups are polled.

    state        entered when                                                       next
    RUNNING      the program is started                                             EXITED, TERMINATING, KILLED, OVER
    EXITED       the program ends by itself; children of it may go on               ORPHANED, OVER
    TERMINATING  terminate: SIGTERM is sent, on a terminal a second after the
                 hang-up, and the program has not ended yet                         ORPHANED, KILLED
    ORPHANED     terminate after the program's end, or its end after terminate:
                 children of it are left                                            OVER
    KILLED       kill, or TERMINATES_S after terminate: SIGKILL is sent, and the
                 program has not ended yet                                          OVER
    OVER         no process of the group is left, or only ones sent SIGKILL; or
                 the group may not be signalled (a program of another user)         none

A shell may have started a job while the groups of its session were read, and may have ended since. So on a terminal two
readings have to find nothing, of which the second began after the first had found nothing.

A program in uninterruptible sleep ends when it wakes up; the server does not wait for that.
"""

import asyncio
import enum
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, cast

from portside.behaviours.terminal_process import SessionGroups, TerminalProcess

TERMINATES_S = 2.0  # that a program may take after SIGTERM
_HANGS_UP_S = 1.0  # of them that it may take, on a terminal, after SIGHUP: a shell writes its history, vim the file
_POLL_S = 0.02  # between looks whether its children are gone
_POLL_SESSION_S = 0.1  # the same on a terminal, where each look reads all of /proc
_SECOND_LOOK_S = 0.05  # after a look that found nothing on a terminal
_SESSIONS = SessionGroups()


class ProcessState(enum.Enum):
    """The state of a process group; the module docstring has the table of transitions."""

    RUNNING = enum.auto()
    EXITED = enum.auto()
    TERMINATING = enum.auto()
    ORPHANED = enum.auto()
    KILLED = enum.auto()
    OVER = enum.auto()


class ProcessGroup:
    """A started program and its children, on three pipes, or on the terminal of which ``terminal`` is the path.

    ``on_exit`` is called once when the program has ended, with its exit status (negative: the number of a signal), and
    ``on_over`` once when the group is OVER. Raises OSError where the program cannot be started, and ValueError for
    words that no program can have.
    """

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        on_exit: Callable[[int], None],
        on_over: Callable[[], None],
        terminal: str | None = None,
    ) -> None:
        self.state = ProcessState.RUNNING
        self._on_exit = on_exit
        self._on_over = on_over
        self._has_terminal = terminal is not None
        self._gone_at: float | None = None  # when a look found no process on the terminal; by time.monotonic()
        self.pipes: tuple[IO[bytes], ...] = ()  # standard input, output and error; none on a terminal
        self._process: subprocess.Popen[bytes] | TerminalProcess
        if terminal is not None:
            self._process = TerminalProcess(words, environment, terminal)
        else:
            # Not the loop's own way, which keeps an end of standard output open until the program has ended.
            pipe = subprocess.PIPE
            process = self._process = subprocess.Popen(
                words, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, env=environment, start_new_session=True
            )
            self.pipes = cast("tuple[IO[bytes], IO[bytes], IO[bytes]]", (process.stdin, process.stdout, process.stderr))
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError:  # no descriptor is left for it
            for file in self.pipes:
                file.close()
            self._signal(signal.SIGKILL)
            self._process.wait()  # a moment: it has hardly begun
            raise
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @property
    def pid(self) -> int:
        """The number of the program's process, and of its group."""
        return self._process.pid

    @property
    def has_exited(self) -> bool:
        """Whether the program itself has ended; its children may go on."""
        return self._pidfd < 0

    def terminate(self) -> None:
        """Ask the program and its children to end; SIGKILL follows after TERMINATES_S.

        A terminal has hung up before, which sends SIGHUP; there SIGTERM follows for those who ignore that.
        """
        if self.state not in (ProcessState.RUNNING, ProcessState.EXITED):
            return
        is_reached = self._signal(0 if self._has_terminal else signal.SIGTERM)
        if not is_reached and not (self._has_terminal and self.has_exited):  # there it takes a second look
            self._set_over()
            return
        loop, now = asyncio.get_running_loop(), time.monotonic()
        if self._has_terminal:
            loop.call_later(_HANGS_UP_S, self._terminate_others, now + _HANGS_UP_S)
        loop.call_later(TERMINATES_S, self._kill, now + TERMINATES_S)
        if self.state is ProcessState.EXITED:
            self._set_orphaned()
        else:
            self.state = ProcessState.TERMINATING

    def _terminate_others(self, since: float) -> None:
        if self.state is not ProcessState.OVER:
            self._signal(signal.SIGTERM, since)

    def kill(self) -> None:
        """End what did not end by itself."""
        self._kill()

    def _kill(self, since: float | None = None) -> None:
        if self.state is ProcessState.OVER:
            return
        self._signal(signal.SIGKILL, since)
        if self.has_exited:
            self._set_over()
        else:
            self.state = ProcessState.KILLED

    def _reap(self) -> None:
        """Collect the exit status of the program, which has ended."""
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        status = self._process.wait()
        match self.state:
            case ProcessState.RUNNING:
                self.state = ProcessState.EXITED
            case ProcessState.TERMINATING:
                self._set_orphaned()
            case ProcessState.KILLED:
                self._set_over()
        self._on_exit(status)

    def _set_orphaned(self) -> None:
        self.state = ProcessState.ORPHANED
        self._poll_children()

    def _poll_children(self) -> None:
        if self.state is not ProcessState.ORPHANED:
            return
        loop = asyncio.get_running_loop()
        if self._signal(0, self._gone_at):
            self._gone_at = None
            loop.call_later(_POLL_SESSION_S if self._has_terminal else _POLL_S, self._poll_children)
        elif self._has_terminal and self._gone_at is None:
            self._gone_at = time.monotonic()
            loop.call_later(_SECOND_LOOK_S, self._poll_children)
        else:
            self._set_over()

    def _set_over(self) -> None:
        self.state = ProcessState.OVER
        self._on_over()

    def _signal(self, number: int, since: float | None = None) -> bool:
        """Send a signal to the group (0 sends none); whether there was a process that could get it.

        ``since`` is when the groups of a terminal have to be read at the earliest, by ``time.monotonic()``.
        """
        pid = self._process.pid
        groups = _SESSIONS.groups(pid, since) if self._has_terminal else (pid,)
        reached = [_signal_group(group, number) for group in groups]
        return any(reached)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
