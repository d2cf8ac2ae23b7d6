"""``portside.Control``: a running server, asked and told from Python."""

import asyncio
import socket
from contextlib import ExitStack

import pytest
from api_client import loading
from api_runs import run
from conftest import Start
from support import connect

import portside


@pytest.fixture
def listen(listen: Start) -> Start:
    return loading(listen)


def test_connections_are_listed_and_acted_on(listen: Start) -> None:
    server = listen("--echo")
    control = portside.Control(server.process.pid)

    async def main() -> None:
        with connect(server.port) as one, connect(server.port) as two:
            server.wait_for("connected", count=2)
            assert (await control.server())["pid"] == server.process.pid
            found = [each async for each in control.connections(sort="-conn")]
            assert [each["conn"] for each in found] == [2, 1]
            assert [each["peer"] async for each in control.connections("conn = 1")] == [found[1]["peer"]]
            assert (await control.send(1, b"\0hi"))["sent"] == 3
            assert one.recv(10) == b"\0hi"
            assert (await control.connection(1))["kernel"]["state"] == "ESTABLISHED"
            await control.note(1, "the slow one", tags=["lab"])
            assert [each["conn"] async for each in control.connections("tag = lab")] == [1]
            assert (await control.pause(1))["changed"]
            assert (await control.resume(1))["changed"]
            fault = await control.add_fault(1, "latency 1ms")
            assert [each["id"] for each in await control.faults(1)] == [fault["id"]]
            await control.remove_fault(1, fault["id"])
            await control.throttle(1, "1M/s")
            await control.throttle(1, None)
            assert (await control.limits(max_conns=2))["max_conns"] == 2
            assert (await control.broadcast(b"all"))["sent"] == 2
            await control.deny("192.0.2.0/24")
            await control.close(2)
            assert two.recv(10) == b"all"
            assert two.recv(10) == b""
            await control.drain(within="10s")
            assert one.recv(10) == b"all"
        await asyncio.to_thread(server.wait)

    run(main())
    assert server.process.returncode == 0


def test_events_come_as_values_until_the_server_ends(listen: Start) -> None:
    server = listen("--echo")
    control = portside.Control(f"127.0.0.1:{server.port}")

    async def main() -> None:
        await control.server()
        async with control.events("conn = 1", payload="all") as events:
            waiting = asyncio.ensure_future(anext(events))
            with connect(server.port) as client:
                while not waiting.done():  # the server has no stream for us yet
                    client.sendall(b"ping")
                    assert client.recv(10) == b"ping"
                    await asyncio.wait({waiting}, timeout=0.2)
                event = await waiting
                while not isinstance(event, portside.Received):
                    event = await anext(events)
                assert (event.conn, event.data) == (1, b"ping")
            server.signal(15)
            async for _ in events:
                pass
        await asyncio.to_thread(server.wait)

    run(main())


def test_what_cannot_be_done_is_told(listen: Start) -> None:
    server = listen("--echo")
    assert server.port
    control = portside.Control(server.process.pid)

    async def main() -> None:
        with pytest.raises(portside.PortsideError, match="7"):
            await control.send(7, b"x")
        with pytest.raises(portside.FilterError, match="spotr"):
            await anext(control.connections("spotr = 1"))
        with pytest.raises(portside.FilterError, match="spotr"):
            await anext(control.events("spotr = 1"))
        with pytest.raises(portside.PortsideError, match="is none of those that run here"):
            await portside.Control(1).server()
        async with control.events() as events:
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    run(main())


def test_findings_of_the_machine_of_a_server(listen: Start) -> None:
    """The queue of a server that accepts nobody takes two of six clients."""
    server = listen("--backlog", "1", "--fault", "never-accept")
    port = server.port
    control = portside.Control(server.process.pid)

    async def main() -> None:
        with ExitStack() as clients:
            for _ in range(6):
                client = clients.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
            while not (found := await control.findings(f"sport = :{port}", min_severity="warning"))["items"]:
                pass
        assert {each["subject"]["pid"] for each in found["items"]} == {server.process.pid}
        with pytest.raises(portside.FilterError):
            await control.findings("sport ~ 1")

    run(main())
