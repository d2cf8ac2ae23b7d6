"""What goes wrong in a program that embeds a server: closed loops, cancellation, handlers that raise, forks."""

import asyncio
import gc
import os
import socket
import warnings
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from api_runs import LOOPS, open_descriptors, run, wait_for
from support import read_to_end

import portside


async def echo(connection: portside.Connection) -> None:
    while data := await connection.receive():
        await connection.send(data)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    "options", [{}, {"handler": echo}, {"echo": True}, {"tls": True, "handler": echo}, {"record": "rec", "output": "a"}]
)
def test_a_loop_that_is_closed_under_a_server(
    loop: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing the server afterwards closes its sockets; a server that is dropped closes them with a ResourceWarning."""
    monkeypatch.chdir(tmp_path)
    LOOPS[loop]().close()
    for closes in (True, False):
        gc.collect()
        before = open_descriptors()
        own = LOOPS[loop]()
        server = own.run_until_complete(_opened(**options))
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            own.run_until_complete(_some_turns())
            _end(own)
            if closes:
                asyncio.run(server.close())
                assert server.is_closed
            else:
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    del server
                    gc.collect()
                assert any("unclosed <portside.Server on 127.0.0.1:" in str(each.message) for each in told)
            client.settimeout(10)
            assert read_to_end(client) == b""
        gc.collect()
        assert {fd for fd in open_descriptors() if fd not in before} == set()


async def _opened(**options: Any) -> portside.Server:
    return await portside.listen("127.0.0.1:0", **options)


async def _some_turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Close a loop as ``asyncio.run`` does, whatever still runs in it."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_that_is_closed_under_a_connection(loop: str, tmp_path: Path) -> None:
    LOOPS[loop]().close()
    for closes in (True, False):
        gc.collect()
        before = open_descriptors()
        own = LOOPS[loop]()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            opening = _connected(listener.getsockname()[1], record=tmp_path / str(closes))
            connection = own.run_until_complete(opening)
            peer = listener.accept()[0]
            _end(own)
            if closes:
                asyncio.run(connection.close())
                assert connection.reason == "local_closed"
            else:
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    del connection
                    gc.collect()
                assert any("unclosed <portside.Connection #1" in str(each.message) for each in told)
            with peer:
                peer.settimeout(10)
                assert read_to_end(peer) == b""
        gc.collect()
        assert {fd for fd in open_descriptors() if fd not in before} == set()


async def _connected(port: int, **options: Any) -> portside.Connection:
    return await portside.connect(port, **options)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_handler_that_raises_costs_its_own_connection(loop: str) -> None:
    reported: list[dict[str, Any]] = []

    async def main() -> None:
        own = asyncio.get_running_loop()
        own.set_exception_handler(lambda _loop, context: reported.append(context))

        async def handler(connection: portside.Connection) -> None:
            if await connection.receive() == b"bad":
                raise LookupError("no such thing")
            await connection.send(b"good")

        async with portside.listen("127.0.0.1:0", handler=handler) as server:
            events = server.events()
            async with portside.connect(server.port) as bad, portside.connect(server.port) as good:
                await bad.send(b"bad")
                assert await bad.receive() == b""
                await good.send(b"good")
                assert await good.receive() == b"good"
        closed = [event async for event in events if isinstance(event, portside.Closed)]
        assert (closed[0].reason, closed[0].error) == ("error", "LookupError: no such thing")
        assert closed[1].error is None

    run(main(), loop)
    assert [str(each["exception"]) for each in reported] == ["no such thing"]


def test_a_handler_that_outlives_its_connection_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    from portside.api import handlers

    monkeypatch.setattr(handlers, "GRACE_S", 0.01)
    ended: list[str] = []

    async def handler(connection: portside.Connection) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(str(connection.reason))

    async def main() -> None:
        async with portside.listen("127.0.0.1:0", handler=handler) as server:
            async with portside.connect(server.port) as client:
                await wait_for(lambda: server.connections, "the connection")
                await client.reset()
            await wait_for(lambda: ended, "the end of the handler")
        async with portside.listen("127.0.0.1:0", handler=handler) as server, portside.connect(server.port):
            await wait_for(lambda: server.connections, "the connection")
            await server.close()

    run(main())
    assert ended == ["peer_reset", "shutdown"]


def test_a_handler_may_close_its_server() -> None:
    async def main() -> None:
        server: portside.Server

        async def handler(_connection: portside.Connection) -> None:
            await server.close()

        server = await portside.listen("127.0.0.1:0", handler=handler)
        async with portside.connect(server.port) as client:
            assert await client.receive() == b""
        await server.close()
        assert server.is_closed

    run(main())


async def _cancelled_in(waits: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Cancel a coroutine at each of its first turns, once in each run, until a run is done before."""
    for turns in range(12):
        task = asyncio.create_task(waits())
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.done():
            task.result()
            return
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("tls", [False, True])
def test_cancellation_in_every_await_leaves_nothing(loop: str, tls: bool) -> None:
    async def main() -> None:
        options: dict[str, Any] = {"tls": True} if tls else {}
        async with portside.listen("127.0.0.1:0", handler=echo, **options) as server:
            if tls:
                options["tls_verify"] = False

            async def connects() -> None:
                async with portside.connect(
                    f"localhost:{server.port}" if not tls else server.port, **options
                ) as client:
                    await client.send(b"x")
                    await client.receive()

            async def listens() -> None:
                async with portside.listen("127.0.0.1:0", handler=echo) as other:
                    async with portside.connect(other.port) as client:
                        await client.send(b"x")
                        await client.receive()

            await _cancelled_in(connects)
            await _cancelled_in(listens)
            async with portside.connect(server.port, **options) as client:
                for waits in (
                    client.receive,
                    client.wait_closed,
                    lambda: anext(client.lines()),
                    lambda: anext(client.frames("fixed:4")),
                    lambda: anext(server.events()),
                ):
                    task = asyncio.ensure_future(waits())
                    await asyncio.sleep(0)
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                await client.send(b"still\n")
                assert await anext(client.lines()) == b"still\n"

    run(main(), loop)


def test_cancellation_of_a_send_that_waits_and_of_a_close() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0") as server:
            client = await portside.connect(server.port, transcript=0)
            await server.accept()

            async def flood() -> None:
                while True:
                    await client.send(b"x" * 65536)

            flooding = asyncio.create_task(flood())
            await wait_for(lambda: client._connection.write_paused, "a full buffer")
            flooding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await flooding
            closing = asyncio.create_task(client.close())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            await client.wait_closed()  # at once: what waited for the peer is dropped

    run(main())


def test_a_client_that_does_not_read_bounds_send() -> None:
    async def main() -> None:
        sent = 0

        async def handler(connection: portside.Connection) -> None:
            nonlocal sent
            while True:
                await connection.send(b"x" * 65536)
                sent += 65536

        async with portside.listen("127.0.0.1:0", handler=handler, transcript=0) as server:
            async with portside.connect(server.port, transcript=0) as client:
                (connection,) = await wait_for(lambda: server.connections, "the connection")
                await wait_for(lambda: connection._connection.write_paused, "a full buffer")
                held = sent - connection._connection.sent
                assert held <= 0
                assert connection._connection.buffered_bytes < 1 << 20
                await client.reset()

    run(main())


def test_garbage_on_a_tls_port_is_an_event_and_no_more() -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", handler=echo, tls=True) as server:
            events = server.events()
            async with portside.connect(server.port) as client:
                await client.send(os.urandom(64).replace(b"\x16", b"\0"))
                refused = await anext(events)
                assert isinstance(refused, portside.Refused)
                assert refused.reason == "tls_failed"
            await events.aclose()

    run(main())


def test_accept_ends_with_its_server() -> None:
    async def main() -> None:
        server = await portside.listen("127.0.0.1:0")
        accepting = asyncio.create_task(server.accept())
        await asyncio.sleep(0)
        await server.close()
        with pytest.raises(ConnectionAbortedError, match="the server is closed"):
            await accepting
        async with portside.listen("127.0.0.1:0", handler=echo) as other:
            with pytest.raises(RuntimeError, match="the handler serves"):
                await other.accept()

    run(main())


def test_nothing_warns_about_what_was_closed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        async def main() -> None:
            async with portside.listen("127.0.0.1:0", handler=echo) as server, portside.connect(server.port) as client:
                await client.send(b"x")

        run(main())
        gc.collect()
