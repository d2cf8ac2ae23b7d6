"""A program in place of standard input and output: it reads the peer's bytes, and its output goes to the peer."""

import math
import os
import shlex
import signal
import subprocess
import time
from typing import IO, cast

from portside.client.stdio import Stdio
from portside.client.tcp_progress import backoff
from portside.errors import PortsideError, UsageError

_EXIT_S = 0.5  # for a program to end by itself once the connection is gone
_TERM_S = 2.0  # for a program to end after SIGTERM


def split_command(command: str) -> list[str]:
    """Split a command line as a shell would, without anything else that a shell does. Raises UsageError."""
    try:
        words = shlex.split(command)
    except ValueError as problem:
        raise UsageError("--exec", f"{command!r}: {problem}") from None
    if not words:
        raise UsageError("--exec", "names no program")
    return words


class Program(Stdio):
    """A running program, in a process group of its own; it inherits our standard error.

    The caller must call ``end``, also after an error.
    """

    def __init__(self, words: list[str]) -> None:
        try:
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, process_group=0
            )
        except (OSError, ValueError) as error:
            raise PortsideError(f"cannot run {words[0]}", error) from None
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)
        super().__init__(self._stdout.fileno(), self._stdin.fileno())

    def sink_broken(self) -> None:
        """Drop what still comes from the peer; the program may still have something to send."""
        self.peer_closed()

    def peer_closed(self) -> None:
        """Close the program's input."""
        self.sink = None
        self._stdin.close()

    def is_over(self) -> bool:
        """Whether the program, which has closed its output, ends by itself within a moment."""
        return self._reaped_within(_EXIT_S)

    def peer_gone(self) -> None:
        """Close our end of the program's output: blocked there, the program would not read its input either."""
        self._stdout.close()

    def end(self) -> int:
        """Reap the program, and terminate it if it keeps running without the connection; its exit status.

        As in a shell, the status is 128 and the signal's number for a program that a signal has ended. It is 0 for one
        that had to be terminated: that program had no status of its own.
        """
        self._stdin.close()
        self._stdout.close()
        if not self._reaped_within(_EXIT_S):
            self.terminate()
            return max(self._process.returncode or 0, 0)
        status = self._process.returncode or 0
        return status if status >= 0 else 128 - status

    def terminate(self) -> None:
        """End the program's process group now. Any thread may call this, whatever another one is doing here."""
        self._signal(signal.SIGTERM)
        if not self._reaped_within(_TERM_S):
            self._signal(signal.SIGKILL)
            self._reaped_within(math.inf)

    def _reaped_within(self, seconds: float) -> bool:
        """Whether the program has ended within so many seconds. Popen's own wait would hold a lock meanwhile."""
        process = self._process
        deadline = time.monotonic() + seconds
        for delay in backoff():
            if process.returncode is not None:
                return True
            try:
                pid, status = os.waitpid(process.pid, os.WNOHANG)
            except ChildProcessError:
                return True  # reaped by another thread, or by the kernel where SIGCHLD is ignored
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(delay)
        raise AssertionError

    def _signal(self, number: int) -> None:
        if self._process.returncode is not None:
            return
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return  # it has just ended
