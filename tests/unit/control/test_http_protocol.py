"""The time that a request may take: a client that sends a byte now and then holds no place for long."""

import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from portside.control.http_protocol import BODY_TIMEOUT_S, HEADER_TIMEOUT_S, STALLED_S, ControlProtocol

if TYPE_CHECKING:
    import asyncio

HEAD = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


class Timer:
    """A timer that the test fires."""

    def __init__(self, delay: float, callback: Callable[[], None]) -> None:
        self.delay = delay
        self.fire = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Task:
    """A task that never ends."""

    def add_done_callback(self, callback: object) -> None:
        pass


class Loop:
    """A loop whose timers are in ``timers`` and whose tasks are never run."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(delay, callback))
        return self.timers[-1]

    def create_task(self, coroutine: Any) -> Any:
        coroutine.close()
        return Task()

    @property
    def running(self) -> list[float]:
        return [timer.delay for timer in self.timers if not timer.cancelled]


class Transport:
    """A transport that keeps what is written."""

    def __init__(self, sock: socket.socket) -> None:
        self.written = b""
        self.ended = False
        self._sock = sock

    def get_extra_info(self, name: str) -> object:
        return self._sock if name == "socket" else None

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.ended = True

    abort = close

    def is_closing(self) -> bool:
        return self.ended


async def application(scope: object, receive: object, send: object) -> None:
    """An application that is never run."""


Client = tuple[ControlProtocol, Transport, Loop]


@pytest.fixture
def client() -> Iterator[Client]:
    """A client that has just connected, its transport and its loop."""
    config = Config(application, http=ControlProtocol, ws="none", lifespan="off", log_config=None)
    config.load()
    ours, theirs = socket.socketpair()
    transport, loop = Transport(ours), Loop()
    protocol = ControlProtocol(config, ServerState(), {}, cast("asyncio.AbstractEventLoop", loop))
    protocol.connection_made(cast("asyncio.Transport", transport))
    yield protocol, transport, loop
    ours.close()
    theirs.close()


def test_a_client_that_sends_nothing_is_answered_408(client: Client) -> None:
    _, transport, loop = client
    (timer,) = loop.timers
    assert timer.delay == HEADER_TIMEOUT_S
    timer.fire()
    assert transport.written.startswith(b"HTTP/1.1 408 ")
    assert transport.ended


def test_bytes_that_trickle_in_do_not_prolong_the_headers(client: Client) -> None:
    protocol, transport, loop = client
    for byte in HEAD[:20]:
        protocol.data_received(bytes([byte]))
    (timer,) = [each for each in loop.timers if not each.cancelled]
    begun = loop.timers.index(timer)
    for byte in HEAD[20:40]:
        protocol.data_received(bytes([byte]))
    assert loop.timers[begun + 1 :] == []
    timer.fire()
    assert transport.written.startswith(b"HTTP/1.1 408 ")


def test_a_body_has_a_time_of_its_own_and_then_there_is_none(client: Client) -> None:
    protocol, transport, loop = client
    protocol.data_received(HEAD)
    assert loop.running == [BODY_TIMEOUT_S]
    protocol.data_received(b"x" * 10)
    assert loop.running == []
    assert not transport.ended


def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(client: Client) -> None:
    protocol, transport, loop = client
    protocol.data_received(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    protocol.pause_writing()
    assert loop.running == [STALLED_S]
    protocol.resume_writing()
    assert loop.running == []
    protocol.pause_writing()
    loop.timers[-1].fire()
    assert transport.ended
