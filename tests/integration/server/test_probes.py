"""Probes of silent clients: spread over time where there are many."""

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from conftest import Start
from support import Program, connect, wait_until

_PIDFD_GETFD = 438  # pidfd_getfd(2)
MANY = 540


@contextmanager
def socket_of(program: Program, fd: int) -> Iterator[socket.socket]:
    """A socket of another process."""
    pidfd = os.pidfd_open(program.process.pid)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        copy = libc.syscall(_PIDFD_GETFD, pidfd, fd, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        try:
            found = socket.socket(fileno=copy)
        except OSError:
            os.close(copy)
            raise
        with found:
            yield found
    finally:
        os.close(pidfd)


def probed(program: Program) -> dict[int, tuple[int, ...]]:
    """When the socket of each client is probed, and at which interval again (s), by descriptor."""
    found: dict[int, tuple[int, ...]] = {}
    for fd in range(MANY + 200):
        try:
            with socket_of(program, fd) as each:
                if each.family == socket.AF_INET and not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
                    found[fd] = tuple(each.getsockopt(socket.IPPROTO_TCP, option) for option in options)
        except OSError:
            continue  # none, or no socket
    return found


def test_many_clients_are_not_probed_in_one_moment(listen: Start) -> None:
    server = listen("--format", "json", "-o", os.devnull)
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(connect(server.port))
        first = wait_until(lambda: len(found := probed(server)) == MANY and found, "all to be accepted")
        assert {times for fd, times in first.items() if fd < 512} == {(120, 15)}
        for number in range(1, 101):
            stack.enter_context(connect(server.port))
            wait_until(lambda number=number: len(probed(server)) == MANY + number, "it to be accepted")  # type: ignore[misc]
        later = set(probed(server).items()) - set(first.items())
        assert len(later) == 100
        assert {times for _, times in later} == {(60, 9), (64, 11), (68, 13)}


def test_a_few_clients_and_no_probes(listen: Start) -> None:
    for options, times in (
        (("--keepalive", "80s"), (80, 10)),
        (("--keepalive", "1h"), (3600, 15)),
        (("--keepalive", "2"), (2, 1)),
    ):
        server = listen(*options)
        with connect(server.port):
            server.wait_for("connected")
            assert set(probed(server).values()) == {times}
