"""What the acceptor does when a part that it calls raises."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from portside.events import Event
from portside.server.admission import Admission
from portside.server.connection import Connection
from portside.server.faults.injector import FaultInjector
from portside.server.listener import Listener
from portside.server.pending_connection import PendingConnection
from portside.server.pre_connect import PreConnect
from portside.server.server import Server
from portside.settings.faults import parse_fault

DEADLINE_S = 20
HELLO = b"hello\n"


class BrokenStage(PreConnect):
    """A pre-connect stage that raises for its first client."""

    def __init__(self) -> None:
        self.begun = 0

    def begin(self, pending: PendingConnection) -> None:
        self.begun += 1
        if self.begun == 1:
            raise RuntimeError("a bug of the stage")
        super().begin(pending)


@asynccontextmanager
async def serving(stage: PreConnect, *faults: str, most: int | None = None) -> AsyncIterator[Server]:
    """A running server; errors are reported to the loop's handler and not raised."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)

    def publish(_event: Event, _size: int = 0) -> None:
        pass

    injector = FaultInjector(loop, [parse_fault(each) for each in faults], 1, publish) if faults else None
    server = Server(loop, publish, admission=Admission(most=most), pre_connect=stage, faults=injector, greeting=HELLO)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    server.acceptor.start([Listener(sock, socket.AF_INET, "the test's")])
    try:
        yield server
    finally:
        await server.shut_down(patience=1)
        server.poller.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await test()

    asyncio.run(bounded())


async def first_bytes(server: Server) -> bytes:
    """What a new client gets before anything else; nothing where the server closes its connection."""
    (listener,) = server.acceptor._listeners
    reader, writer = await asyncio.open_connection(*listener.socket.getsockname())
    try:
        return await reader.read(len(HELLO))
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("faults", [(), ("accept-delay 1ms",)])
def test_a_stage_that_raises_costs_its_client_alone_and_no_descriptor(faults: tuple[str, ...]) -> None:
    async def test() -> None:
        stage = BrokenStage()
        async with serving(stage, *faults) as server:
            before = descriptors()
            assert await first_bytes(server) == b""
            assert descriptors() == before
            assert await first_bytes(server) == HELLO
            assert stage.begun == 2

    run(test)


def test_a_client_that_could_not_be_connected_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with serving(PreConnect(), most=1) as server:

            def fail(*_: object) -> Connection:
                raise RuntimeError("a bug in a connection")

            with monkeypatch.context() as patch:
                patch.setattr(server.acceptor, "_make_connection", fail)
                assert await first_bytes(server) == b""
            assert await first_bytes(server) == HELLO

    run(test)
