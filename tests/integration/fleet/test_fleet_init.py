"""``portside fleet init``: the stream, made, left alone, changed, and refused."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_publisher import fleet, publish
from fleet_records import message, status
from nats.js.api import StreamConfig
from nats_server import NATS_SERVER, NatsServer
from support import connect as tcp_connect
from support import wait_until

from portside.fleet.broker import connect
from portside.settings.broker import BrokerOptions


def config_of(url: str) -> StreamConfig:
    async def ask() -> StreamConfig:
        broker = await connect(BrokerOptions(nats=(url,)), name="test")
        try:
            config: StreamConfig = (await broker.jetstream.stream_info("PORTSIDE")).config
            return config
        finally:
            await broker.close()

    return asyncio.run(ask())


def test_made_once_and_left_alone(nats: NatsServer) -> None:
    made = fleet(nats.url, "init", "--max-bytes", "64M", "--max-age", "24h")
    assert made.status == 0, made.err
    assert made.out.startswith("made the stream PORTSIDE: subjects portside.>, storage file, at most 64M, for 24h")
    config = config_of(nats.url)
    assert (config.max_bytes, config.max_age, config.duplicate_window) == (64 << 20, 86400, 300)
    assert config.allow_direct
    again = fleet(nats.url, "init")
    assert again.out.startswith("the stream PORTSIDE is as it should be: ")
    assert config_of(nats.url).max_bytes == 64 << 20


def test_other_limits(nats: NatsServer) -> None:
    fleet(nats.url, "init", "--max-bytes", "64M")
    publish(nats.url, [message("node", status())])
    changed = fleet(nats.url, "init", "--max-age", "1m")
    assert changed.out == "changed the stream PORTSIDE: for 3d00h -> 1m00, duplicates known for 5m00 -> 1m00\n"
    assert (config_of(nats.url).max_age, config_of(nats.url).max_bytes) == (60, 64 << 20)


def test_more_replicas_than_servers(nats: NatsServer) -> None:
    done = fleet(nats.url, "init", "--replicas", "3", "--max-bytes", "64M")
    assert (done.status, done.out) == (1, "")
    assert "replicas" in done.err
    assert "hint: replicas need a cluster of as many servers" in done.err


def test_replicas_that_no_cluster_has() -> None:
    done = fleet("nats://127.0.0.1:1", "init", "--replicas", "2")
    assert done.status == 2
    assert "--replicas is 1, 3 or 5" in done.err


def test_no_room_for_as_much(nats: NatsServer) -> None:
    done = fleet(nats.url, "init", "--max-bytes", "4000T")
    assert done.status == 1
    assert "hint: --max-bytes SIZE asks for less" in done.err


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[NatsServer]:
    """A server with a user who may only publish as one node."""
    users = (
        'authorization { users: [ { user: "all", password: "p" }, { user: "node", password: "p", '
        'permissions: { publish: ["portside.paris.web1.>"], subscribe: ["_INBOX.>"] } } ] }'
    )
    server = NatsServer(tmp_path, users).start()
    yield server
    server.stop()


def test_who_may_not_is_told_at_once(guarded: NatsServer) -> None:
    assert fleet(f"nats://all:p@127.0.0.1:{guarded.port}", "init", "--max-bytes", "64M").status == 0
    for command in ("init", "nodes", "top"):
        done = fleet(f"nats://node:p@127.0.0.1:{guarded.port}", command)
        assert done.status == 1
        assert "ermissions" in done.err
        assert "hint: this user of NATS may not do that" in done.err


def test_a_server_without_jetstream(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    process = subprocess.Popen([NATS_SERVER, "-a", "127.0.0.1", "-p", str(server.port)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_there(server.port), "the server")
        for command in ("init", "nodes"):
            done = fleet(server.url, command)
            assert done.status == 1
            assert "this NATS server has no JetStream" in done.err
    finally:
        process.kill()
        process.wait()


def is_there(port: int) -> bool:
    try:
        tcp_connect(port).close()
    except OSError:
        return False
    return True
