"""A peer to connect to, in the hands of the test."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from conftest import Start
from support import DEADLINE_S, Program

# The program, with a name that stands for the addresses in the environment, as from DNS.
RESOLVING = (
    sys.executable,
    "-c",
    """
import os, socket, sys
real = socket.getaddrinfo
def resolve(host, port, *rest, **options):
    if host != b"several.test":
        return real(host, port, *rest, **options)
    return [found for address in os.environ["SEVERAL"].split() for found in real(address, port, *rest, **options)]
socket.getaddrinfo = resolve
from portside.cli import main
main()
""",
)


class Peer:
    """A listening socket; each connection that it accepts has a deadline for its calls."""

    def __init__(self, stack: ExitStack, family: int, where: object, backlog: int) -> None:
        self._stack = stack
        self.listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        if family != socket.AF_UNIX:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(where)  # type: ignore[arg-type]
        self.listener.listen(backlog)
        self.listener.settimeout(DEADLINE_S)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def accept(self) -> socket.socket:
        connection, _ = self.listener.accept()
        self._stack.enter_context(connection)
        connection.settimeout(DEADLINE_S)
        return connection


def feed(program: Program, data: bytes) -> threading.Thread:
    """Write to a program's standard input and close that, meanwhile."""
    stdin = program.process.stdin
    assert stdin is not None

    def write() -> None:
        stdin.write(data)
        stdin.close()

    return _in_background(write)


def send(connection: socket.socket, data: bytes | memoryview) -> threading.Thread:
    """Send bytes and close, meanwhile."""

    def write() -> None:
        connection.sendall(data)
        connection.close()

    return _in_background(write)


def echo(connection: socket.socket) -> threading.Thread:
    """Send back what comes, up to its end, and close, meanwhile."""

    def carry() -> None:
        while data := connection.recv(1 << 16):
            connection.sendall(data)
        connection.close()

    return _in_background(carry)


def _in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


MakePeer = Callable[..., Peer]
Connect = Callable[..., Program]


@pytest.fixture
def make_peer() -> Iterator[MakePeer]:
    """Open a listening socket: by default a free port of 127.0.0.1."""
    with ExitStack() as stack:

        def make(family: int = socket.AF_INET, where: object = ("127.0.0.1", 0), backlog: int = 16) -> Peer:
            return Peer(stack, family, where, backlog)

        yield make


@pytest.fixture
def peer(make_peer: MakePeer) -> Peer:
    """A listening socket on a free port of 127.0.0.1."""
    return make_peer()


@pytest.fixture
def connect(start: Start) -> Connect:
    """Start ``portside connect``."""

    def connect_to(*arguments: str, **options: object) -> Program:
        return start("connect", *arguments, **options)

    return connect_to
