"""What a program that uses Portside writes; type checkers read it, and nothing runs it."""

import asyncio
from pathlib import Path
from typing import Any, assert_type

import portside
from portside import sync


async def echo(connection: portside.Connection) -> None:
    async for line in connection.lines():
        assert_type(line, bytes)
        await connection.send(line)
    async for frame in connection.frames("length:u16be"):
        assert_type(frame, bytes)
    assert_type(connection.peer, str)
    assert_type(connection.tls, portside.Tls | None)
    assert_type(await connection.kernel(), portside.Socket)
    assert_type(connection.transcript, portside.Transcript)


async def main() -> None:
    async with portside.listen("127.0.0.1:0", handler=echo, idle_timeout="5s", record=Path("rec")) as server:
        assert_type(server, portside.Server)
        assert_type(server.addresses, tuple[str, ...])
        assert_type(server.connections, tuple[portside.Connection, ...])
        async for event in server.events():
            assert_type(event, portside.Event)
            if isinstance(event, portside.Closed):
                assert_type(event.received, int)
        async with portside.connect(server.port, tls=True, tls_verify=False, timeout=2.5) as connection:
            assert_type(connection, portside.Connection)
            assert_type(await connection.receive(), bytes)
    started = await portside.listen(12345, fault=["latency 200ms"], greet=b"hello\n")
    assert_type(started, portside.Server)
    try:
        await portside.connect("127.0.0.1:1")
    except portside.PortsideError as error:
        assert_type(error.what, str)


async def elsewhere() -> None:
    control = portside.Control("127.0.0.1:12345")
    async for each in control.connections("idle > 10s", sort="-idle"):
        await control.close(int(each["conn"]), "reset")
    async with control.events(payload="all") as events:
        async for event in events:
            assert_type(event, portside.Event | portside.Missed)
    async for change in portside.watch("sport = :12345", interval="200ms"):
        assert_type(change, portside.SocketEvent)
        if isinstance(change, portside.SocketClosed):
            assert_type(change.duration, float | None)


def without_a_loop() -> None:
    def handler(connection: sync.Connection) -> None:
        for line in connection.lines():
            assert_type(line, bytes)

    with portside.sync.listen("127.0.0.1:0", handler=handler) as server:
        with portside.sync.connect(server.port) as connection:
            assert_type(connection, sync.Connection)
            assert_type(connection.receive(), bytes)
        for event in server.events():
            assert_type(event, portside.Event)
    control = portside.sync.Control("127.0.0.1:12345")
    control.settimeout(5)
    for each in control.connections("idle > 10s", sort="-idle"):
        control.close(int(each["conn"]), "reset")
    assert_type(control.server(), dict[str, Any])
    assert_type(control.faults(1), list[dict[str, Any]])
    assert_type(control.limits(max_conns=2), dict[str, Any])
    with control.events(payload="all") as happened:
        for one in happened:
            assert_type(one, portside.Event | portside.Missed)
    for change in portside.sync.watch("sport = :12345"):
        assert_type(change, portside.SocketEvent)
    assert_type(portside.sockets("sport = :12345"), list[portside.Socket])
    assert_type(portside.Recording("rec"), portside.Recording)


if __name__ == "__main__":
    asyncio.run(main())
    without_a_loop()
