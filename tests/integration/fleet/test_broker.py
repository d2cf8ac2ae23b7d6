"""The connection to NATS: what it says where it cannot be made."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread

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


def test_a_server_that_refuses_and_resets() -> None:
    """What the server said is told, and not how it ended the connection, which comes later."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        Thread(target=refuse_and_reset, args=(listener,), daemon=True).start()
        error = failing(BrokerOptions(nats=(f"nats://127.0.0.1:{listener.getsockname()[1]}",)))
        listener.shutdown(socket.SHUT_RDWR)
    assert error.why == "Authorization Violation"
    assert "--creds" in str(error.hint)


def refuse_and_reset(listener: socket.socket) -> None:
    """Answer each client as a nats-server does whose refusal and whose reset arrive together."""
    with suppress(OSError):  # the listener's end
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b'INFO {"auth_required": true, "max_payload": 1048576}\r\n')
                while (line := lines.readline()) and not line.startswith(b"PING"):
                    pass
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(b"-ERR 'Authorization Violation'\r\n")


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
