"""Idle connections on loopback, both ends held by a few processes."""

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self

from bench import machine
from bench.build import compiled

PROGRAM = "hold"
CONNECTIONS, PROCESSES = 30_000, 4  # 15,000 descriptors each: a process here may have 20,000


class Crowd:
    """`connections` idle connections until the end of the `with`; the processes end with this one, however it ends."""

    def __init__(self, connections: int, processes: int = PROCESSES) -> None:
        self.sockets = 2 * connections
        self.ports = [machine.free_port() for _ in range(processes)]
        """The listeners' ports, one for each process."""
        self._each = connections // processes
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack as undo:
            for ready in [undo.enter_context(_Holder(at, port, self._each)) for at, port in enumerate(self.ports)]:
                ready()
            self._stack = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class _Holder:
    """One process that holds connections; a context manager of a function that waits until all of them are made."""

    def __init__(self, at: int, port: int, count: int) -> None:
        # An address of its own, so that the client's ports are enough for all.
        self._command = [compiled(PROGRAM), f"127.0.0.{2 + at}", str(port), str(count)]

    def __enter__(self) -> Callable[[], None]:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._wait

    def _wait(self) -> None:
        assert self._process.stdout
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"not all connections could be made: {' '.join(self._command[1:])}")

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)
