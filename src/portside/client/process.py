"""A program at our end: what the peer sends is its standard input, its standard output goes to the peer."""

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

_LEAVES_S = 0.5  # that a program may take to end by itself once the connection is gone
_TERMINATES_S = 2.0  # that it may take after SIGTERM


def split_command(command: str) -> list[str]:
    """A command line as a shell would cut it, without anything else that a shell does. Raises UsageError."""
    try:
        words = shlex.split(command)
    except ValueError as problem:
        raise UsageError("--exec", f"{command!r}: {problem}") from None
    if not words:
        raise UsageError("--exec", "names no program")
    return words


class Program(Stdio):
    """A running program, in a process group of its own; its standard error is ours.

    Whoever starts one calls ``end``, whatever happened in between.
    """

    patient = True

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
        """It reads no more: what still comes is dropped, and it may still have something to say."""
        self.peer_closed()

    def peer_closed(self) -> None:
        """Let it read to the end."""
        self.sink = None
        self._stdin.close()

    def is_over(self) -> bool:
        """Whether it ends by itself, having closed its output."""
        return self._reaped_within(_LEAVES_S)

    def peer_gone(self) -> None:
        """Stop reading its output: were it to block there, it would no longer read its input either."""
        self._stdout.close()

    def end(self) -> None:
        """Reap it; where it goes on running without the connection, end it."""
        self._stdin.close()
        self._stdout.close()
        if not self._reaped_within(_LEAVES_S):
            self.terminate()

    def terminate(self) -> None:
        """End its whole process group now. Another thread may call this, whatever the first one does with it."""
        self._signal(signal.SIGTERM)
        if not self._reaped_within(_TERMINATES_S):
            self._signal(signal.SIGKILL)
            self._reaped_within(math.inf)

    def _reaped_within(self, seconds: float) -> bool:
        """Whether it has ended. Not Popen's own wait, which holds a lock for as long as it waits."""
        process = self._process
        deadline = time.monotonic() + seconds
        for pause in backoff():
            if process.returncode is not None:
                return True
            try:
                pid, status = os.waitpid(process.pid, os.WNOHANG)
            except ChildProcessError:
                return True  # reaped by another thread
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(pause)
        raise AssertionError

    def _signal(self, number: int) -> None:
        if self._process.returncode is not None:
            return
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return  # it ended in this moment
