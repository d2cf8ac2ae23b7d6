"""``portside.watch``: the connections of this machine as events."""

import asyncio
import gc
import threading

import pytest
from api_runs import LOOPS, run, wait_for

import portside


async def echo(connection: portside.Connection) -> None:
    while data := await connection.receive():
        await connection.send(data)


@pytest.mark.parametrize("loop", LOOPS)
def test_connections_open_and_close(loop: str) -> None:
    async def main() -> None:
        async with portside.listen("127.0.0.1:0", handler=echo) as server:
            async with portside.watch(f"dport = :{server.port}", interval="20ms") as events:
                async with portside.connect(server.port) as client:
                    local = client.local
                    opened = await anext(events)
                assert isinstance(opened, portside.SocketOpened)
                assert (opened.socket.local, opened.socket.remote) == (local, server.addresses[0])
                event: portside.SocketEvent = opened
                while not isinstance(event, portside.SocketClosed):
                    event = await anext(events)
                    assert event.socket.local == local
                assert event.duration is not None
                assert event.at > opened.at

    run(main(), loop)


def test_a_stream_that_was_never_begun_and_one_that_is_dropped_leave_nothing() -> None:
    async def main() -> None:
        portside.watch("sport = 1")
        unread = portside.watch("sport = 1")
        await unread.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(unread)
        async with portside.watch("sport = 1", interval=0.01) as events:
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    run(main())


def test_a_stream_that_is_dropped_ends_its_thread() -> None:
    async def main() -> None:
        async def begins() -> None:
            await portside.watch("sport = 1", interval=0.01).__aenter__()

        await begins()
        gc.collect()
        await wait_for(lambda: "portside watch" not in [each.name for each in threading.enumerate()], "its end")

    run(main())


def test_mistakes_are_told_at_once() -> None:
    with pytest.raises(portside.FilterError, match="did you mean sport"):
        portside.watch("spotr = 5")
    with pytest.raises(portside.UsageError, match="watch: the duration must be at least 1ms"):
        portside.watch(interval=0)


def test_a_source_that_does_not_work_is_an_error_of_the_stream() -> None:
    async def main() -> None:
        with pytest.raises(portside.PortsideError, match="source"):
            await anext(portside.watch(source="nosuch"))
        with pytest.raises(portside.PortsideError, match="/nonexistent"):
            async with portside.watch(netns="/nonexistent"):
                pass

    run(main())
