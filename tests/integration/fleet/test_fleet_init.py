"""``portside fleet init``: the stream, made, left alone, changed, and refused."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Start
from fleet_publisher import fleet, publish
from fleet_records import message, status
from nats.js.api import StreamConfig, StreamSource
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
    assert changed.out == "changed the stream PORTSIDE: for 3d -> 1m, duplicates known for 5m -> 1m\n"
    assert (config_of(nats.url).max_age, config_of(nats.url).max_bytes) == (60, 64 << 20)


def test_a_stream_that_collects_from_others_gets_no_subjects(nats: NatsServer) -> None:
    async def make() -> None:
        broker = await connect(BrokerOptions(nats=(nats.url,)), name="test")
        await broker.jetstream.add_stream(StreamConfig(name="SITE", subjects=["site.>"]))
        await broker.jetstream.add_stream(StreamConfig(name="PORTSIDE", sources=[StreamSource(name="SITE")]))
        await broker.close()

    asyncio.run(make())
    changed = fleet(nats.url, "init", "--max-bytes", "64M")
    assert changed.status == 0, changed.err
    config = config_of(nats.url)
    assert (config.subjects or [], config.max_bytes) == ([], 64 << 20)
    assert [source.name for source in config.sources or []] == ["SITE"]
    assert fleet(nats.url, "init").out.startswith("the stream PORTSIDE is as it should be: ")


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


def permitted(*publish_to: str) -> str:
    """The permissions of a user, as a row of the page about the fleet has them."""
    subjects = ", ".join(f'"{each}"' for each in publish_to)
    return f'permissions: {{ publish: [{subjects}], subscribe: ["_INBOX.>"] }}'


READ = (
    "$JS.API.CONSUMER.CREATE.PORTSIDE.>",
    "$JS.API.CONSUMER.MSG.NEXT.PORTSIDE.>",
    "$JS.API.CONSUMER.DELETE.PORTSIDE.>",
)
ROWS = {
    "nobody": ("portside.paris.web1.>",),
    "agent": ("portside.paris.web1.>", "$JS.API.STREAM.INFO.PORTSIDE", *READ),
    "reader": READ,
    "maker": (
        "$JS.API.STREAM.INFO.PORTSIDE",
        "$JS.API.STREAM.CREATE.PORTSIDE",
        "$JS.API.STREAM.UPDATE.PORTSIDE",
    ),
}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[NatsServer]:
    """A server with a user for each row of the table of permissions in docs/fleet.md."""
    users = ", ".join(f'{{ user: "{name}", password: "p", {permitted(*row)} }}' for name, row in ROWS.items())
    server = NatsServer(tmp_path, f"authorization {{ users: [ {users} ] }}").start()
    yield server
    server.stop()


def url_of(server: NatsServer, user: str) -> str:
    return f"nats://{user}:p@127.0.0.1:{server.port}"


def test_who_may_not_is_told_at_once(guarded: NatsServer) -> None:
    assert fleet(url_of(guarded, "maker"), "init", "--max-bytes", "64M").status == 0
    for command in ("init", "nodes", "top"):
        done = fleet(url_of(guarded, "nobody"), command)
        assert done.status == 1
        assert "ermissions" in done.err
        assert "hint: this user of NATS may not do that" in done.err


def test_each_may_do_what_it_is_for(guarded: NatsServer, start: Start, tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "fleet.md").read_text()
    assert all(f"`{subject}`" in page for row in (ROWS["reader"], ROWS["maker"]) for subject in row)
    maker, reader = url_of(guarded, "maker"), url_of(guarded, "reader")
    assert fleet(maker, "init", "--max-bytes", "64M").status == 0
    assert fleet(maker, "init", "--max-age", "1h").status == 0
    start(
        "agent", "--nats", url_of(guarded, "agent"), "--node", "web1", "--site", "paris",
        "--outbox", str(tmp_path / "outbox"), env={"XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    wait_until(lambda: "web1" in fleet(reader, "nodes").out, "a sign of life")
    for command in ("top", "events", "connections", "findings"):
        assert fleet(reader, command).status == 0


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
