"""The connection to NATS: what it says where it cannot be made."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats_server import NatsServer
from support import free_port

from portside.errors import PortsideError
from portside.fleet.broker import BrokerConnection, connect
from portside.settings.broker import BrokerOptions


def failing(options: BrokerOptions) -> PortsideError:
    async def attempt() -> BrokerConnection:
        return await connect(options, name="test")

    with pytest.raises(PortsideError) as caught:
        asyncio.run(attempt())
    return caught.value


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that wants a user and a password."""
    server = NatsServer(tmp_path, 'authorization { user: "me", password: "s3cret" }').start()
    yield server
    server.stop()


def test_a_server_that_is_there(nats: NatsServer) -> None:
    async def ask() -> int:
        broker = await connect(BrokerOptions(nats=(nats.url,)), name="test")
        info = await broker.jetstream.account_info()
        await broker.close()
        return info.streams

    assert asyncio.run(ask()) == 0


def test_nobody_is_there() -> None:
    error = failing(BrokerOptions(nats=(f"nats://127.0.0.1:{free_port()}",)))
    assert "cannot connect to nats://127.0.0.1" in str(error)
    assert error.why == "Connection refused"
    assert "JetStream" in str(error.hint)


def test_wrong_password(guarded: NatsServer) -> None:
    error = failing(BrokerOptions(nats=(f"nats://me:wr0ng@127.0.0.1:{guarded.port}",)))
    assert "uthorization" in str(error)
    assert "wr0ng" not in str(error)
    assert "--creds" in str(error.hint)


def test_right_password(guarded: NatsServer) -> None:
    async def attempt() -> bool:
        broker = await connect(BrokerOptions(nats=(f"nats://me:s3cret@127.0.0.1:{guarded.port}",)), name="test")
        connected = broker.client.is_connected
        await broker.close()
        return connected

    assert asyncio.run(attempt())


def test_files_that_are_not_there(nats: NatsServer) -> None:
    for given in ({"creds": "/nowhere"}, {"nkey": "/nowhere"}, {"tls_ca": "/nowhere"}, {"tls_cert": "/nowhere"}):
        error = failing(BrokerOptions(nats=(nats.url,), **given))
        assert "/nowhere" in str(error)
        assert "No such file" in str(error)
