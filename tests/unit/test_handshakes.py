"""The pre-connect stage of a port with TLS: how many clients it takes at once, and which one gives way."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from certificates import unverified_context

from portside.server.handshakes import PATIENCE_S, Handshakes
from portside.server.listener import Listener
from portside.server.pending_connection import PendingConnection


class Timer:
    def __init__(self, delay: float, callback: Callable[[], None]) -> None:
        self.delay, self.callback, self.cancelled = delay, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class Host:
    """An acceptor and a loop whose clock the test sets."""

    limit_reached = False

    def __init__(self) -> None:
        self.loop: Any = self
        self.time = 100.0
        self.timers: list[Timer] = []
        self.readers: dict[socket.socket, Callable[[], None]] = {}
        self.refused: list[tuple[PendingConnection, str, str | None]] = []
        self.resumed = 0

    def now(self) -> float:
        return self.time

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(delay, callback))
        return self.timers[-1]

    def add_reader(self, sock: socket.socket, callback: Callable[..., None], *arguments: object) -> None:
        self.readers[sock] = lambda: callback(*arguments)

    def remove_reader(self, sock: socket.socket) -> None:
        del self.readers[sock]

    def schedule_check(self, item: object, at: float) -> None:
        pass

    def refuse(self, pending: PendingConnection, reason: str, error: str | None = None) -> None:
        pending.close()
        self.refused.append((pending, reason, error))

    def resume_accepting(self) -> None:
        self.resumed += 1


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def stage(host: Host) -> Iterator[Handshakes]:
    stage = Handshakes(tls=unverified_context(), most=2, expects_header=True)
    stage.bind(host)  # type: ignore[arg-type]
    yield stage
    stage.end()


@pytest.fixture
def accept() -> Iterator[Callable[[], tuple[PendingConnection, socket.socket]]]:
    with ExitStack() as stack:

        def make() -> tuple[PendingConnection, socket.socket]:
            ours, peer = socket.socketpair()
            stack.enter_context(peer)
            listener = Listener(ours, socket.AF_UNIX, "the test's")
            return PendingConnection(ours.detach(), "the test's client", listener), peer

        yield make


Accept = Callable[[], tuple[PendingConnection, socket.socket]]


def test_clients_wait_while_the_stage_is_full_and_young(stage: Handshakes, host: Host, accept: Accept) -> None:
    (first, peer), (second, _) = accept(), accept()
    assert stage.has_room()
    stage.begin(first)
    host.time += 0.25
    stage.begin(second)
    assert not stage.has_room()
    assert not stage.has_room()
    assert [timer.delay for timer in host.timers] == [PATIENCE_S - 0.25]
    peer.sendall(b"no header\r\n")
    host.readers[first.sock]()
    assert [each[:2] for each in host.refused] == [(first, "proxy_header")]
    assert host.timers[0].cancelled
    assert host.resumed == 1
    assert stage.has_room()


def test_the_oldest_gives_way_when_its_time_is_over(stage: Handshakes, host: Host, accept: Accept) -> None:
    clients = [accept()[0] for _ in range(3)]
    for client in clients[:2]:
        stage.begin(client)
        host.time += 0.5
    assert not host.timers
    assert stage.has_room()
    assert not host.refused  # nobody has come for whom it would give way
    stage.begin(clients[2])
    assert host.refused == [(clients[0], "proxy_header", "not finished within 1s, with 2 handshakes at once")]
    assert not stage.has_room()
    host.timers[0].callback()
    assert host.resumed == 1
