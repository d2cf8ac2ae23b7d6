"""A program that accepts nobody until it is told to, so that its accept queue overflows."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

NAME = "<img src=//x>\x1b"
"""How it calls itself: markup, and the beginning of a terminal's command."""
_CLIENTS = 6  # of a queue that holds two: backlog + 1
_SOURCE = """
import socket, sys, threading
open("/proc/self/comm", "w").write(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0), backlog=1)
print(listener.getsockname()[1], flush=True)
sys.stdin.readline()
accepted = []
while True:
    accepted.append(listener.accept())
"""


class FullListener:
    """The program, on ``port``; its clients try to connect for as long as the test runs."""

    def __init__(self, stack: ExitStack) -> None:
        command = [sys.executable, "-c", _SOURCE, NAME]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.enter_context(self._process)
        stack.callback(self._process.kill)
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.port = int(self._process.stdout.readline())
        for _ in range(_CLIENTS):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", self.port))

    def accept(self) -> None:
        """Have it accept everybody from now on."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()


@contextmanager
def full_listener() -> Iterator[FullListener]:
    """A listener whose queue is full."""
    with ExitStack() as stack:
        yield FullListener(stack)
