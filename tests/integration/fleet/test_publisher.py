"""The publisher and its bad days: whatever becomes of the broker, in the end all is in the stream, nothing twice."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fleet_stream import (
    Station,
    change_stream,
    delete_stream,
    leader_of_stream,
    make_stream,
    numbers_in_stream,
    wait_forgotten,
    wait_messages,
)
from nats_server import NatsServer, cluster
from support import wait_until

from portside.fleet.outbox import clock, publisher
from portside.fleet.outbox.session import PublishSession
from portside.fleet.outbox.store import Outbox

StartStation = Callable[..., Station]


@pytest.fixture
def station(tmp_path: Path) -> Iterator[StartStation]:
    """Starts stations, which end with the test."""
    started: list[Station] = []

    def start(url: str, **given: object) -> Station:
        started.append(Station(tmp_path, url, **given))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_what_is_made_is_in_the_stream(nats: NatsServer, station: StartStation) -> None:
    make_stream(nats.url)
    one = station(nats.url)
    for _ in range(20):
        one.make(500)
    one.wait_sent()
    assert numbers_in_stream(nats.url) == list(range(10_000)), "in its order"
    assert one.publisher.counts.records == 10_000
    assert one.publisher.counts.resent == 0
    assert one.outbox.status().records == 0
    assert not one.said


def test_a_broker_that_is_killed_and_comes_back(nats: NatsServer, station: StartStation) -> None:
    make_stream(nats.url)
    one = station(nats.url)
    for _ in range(3):
        for _ in range(20):
            one.make(200, "x" * 100)
        wait_until(lambda: one.publisher.counts.acknowledged, "the first acknowledgements")
        nats.kill()
        one.make(200, "x" * 100)
        wait_until(lambda: not one.publisher.is_connected, "the connection to be lost")
        wait_until(lambda: not one.outbox.is_empty(), "what cannot be sent to be kept")
        nats.start()
        one.make(200)
        one.wait_sent()
    assert sorted(numbers_in_stream(nats.url)) == list(range(one.made))
    assert one.publisher.counts.connections >= 4
    assert "cannot publish to" in one.said[0][0]
    one.wait_said("again")


def test_there_is_no_broker_at_first(nats: NatsServer, station: StartStation) -> None:
    make_stream(nats.url)
    nats.stop()
    one = station(nats.url)
    one.make(10)
    assert "nats-server" in str(one.wait_said("Connection refused"))
    nats.start()
    one.wait_sent()
    assert numbers_in_stream(nats.url) == list(range(10))


def test_a_stream_that_is_missing_and_is_made(nats: NatsServer, station: StartStation) -> None:
    one = station(nats.url)
    one.make(10)
    assert "fleet init" in str(one.wait_said("there is no stream"))
    make_stream(nats.url)
    one.wait_sent()
    assert numbers_in_stream(nats.url) == list(range(10))
    assert sum("there is no stream" in each for each, _ in one.said) == 1


def test_a_stream_that_is_deleted_and_made_again(nats: NatsServer, station: StartStation) -> None:
    make_stream(nats.url)
    one = station(nats.url)
    one.make(1000)
    one.wait_sent()
    delete_stream(nats.url)
    one.make(1000)
    one.wait_said("there is no stream")
    make_stream(nats.url)
    one.wait_sent()
    assert numbers_in_stream(nats.url) == list(range(1000, 2000))


def test_a_stream_without_room(nats: NatsServer, station: StartStation) -> None:
    make_stream(nats.url, max_bytes=200_000, discard="new")
    one = station(nats.url)
    for _ in range(20):
        one.make(30, "x" * 1000)
        one.wait_kept()
    assert "--max-bytes" in str(one.wait_said("JetStream refuses: maximum bytes exceeded"))
    assert one.outbox.status().records > 0
    change_stream(nats.url, max_bytes=10_000_000)
    one.wait_sent()
    assert sorted(numbers_in_stream(nats.url)) == list(range(600))
    one.wait_said("again")


def test_a_broker_without_room(tmp_path: Path, station: StartStation) -> None:
    """Its disk is full: JetStream may not use more of it."""
    server = NatsServer(tmp_path)
    server.limits = "max_file_store: 300KB"
    server.start()
    try:
        make_stream(server.url)
        one = station(server.url)
        for _ in range(20):
            one.make(30, "x" * 1000)
        one.wait_said("JetStream refuses")
        assert one.outbox.status().records > 0
        server.kill()
        server.limits = ""
        server.start()
        one.wait_sent()
        assert sorted(numbers_in_stream(server.url)) == list(range(600))
    finally:
        server.stop()


def test_messages_that_are_larger_than_the_stream_takes(nats: NatsServer, station: StartStation) -> None:
    make_stream(nats.url, max_msg_size=10_000)
    one = station(nats.url)
    one.make(1)
    one.wait_sent()
    one.make(1, "x" * 20_000)
    assert "max_msg_size" in str(one.wait_said("with 1 records"))
    one.make(1)
    one.wait_sent()
    assert numbers_in_stream(nats.url) == [0, 2]
    assert one.outbox.status().dropped == 1


def test_messages_that_are_larger_than_the_server_takes(tmp_path: Path, station: StartStation) -> None:
    server = NatsServer(tmp_path, "max_payload: 20000").start()
    try:
        make_stream(server.url)
        one = station(server.url)
        one.make(1, "x" * 20_000)
        one.wait_said("with 1 records")
        one.make(1)
        one.wait_sent()
        assert numbers_in_stream(server.url) == [1]
    finally:
        server.stop()


@pytest.mark.timeout(300)
def test_the_leader_of_a_cluster_is_killed(tmp_path: Path, station: StartStation) -> None:
    servers = cluster(tmp_path)
    try:
        urls = ",".join(each.url for each in servers)

        def is_made() -> bool:
            try:
                make_stream(urls, num_replicas=3)
            except Exception:  # noqa: BLE001 - there is no leader of the cluster yet
                return False
            return True

        wait_until(is_made, "the cluster")
        one = station(servers[0].url, most_unacked=8)
        assert one._options.nats == (servers[0].url,), "the others are learned"
        for _ in range(20):
            one.make(100, "x" * 500)
        wait_until(lambda: one.publisher.counts.acknowledged, "the first acknowledgements")
        leader = leader_of_stream(urls)
        next(each for each in servers if each.name == leader).kill()
        for _ in range(20):
            one.make(100, "x" * 500)
        one.wait_sent()
        left = ",".join(each.url for each in servers if each.process is not None)
        assert sorted(numbers_in_stream(left)) == list(range(4000))
    finally:
        for each in servers:
            each.kill()


def test_wrong_credentials(tmp_path: Path, station: StartStation) -> None:
    server = NatsServer(tmp_path, 'authorization { user: "me", password: "new" }').start()
    try:
        make_stream(f"nats://me:new@127.0.0.1:{server.port}")
        one = station(f"nats://me:0ld@127.0.0.1:{server.port}")
        one.make(10)
        assert "--creds" in str(one.wait_said("uthorization"))
        assert "0ld" not in str(one.said)
        server.kill()
        server.more = 'authorization { user: "me", password: "0ld" }'
        server.start()
        one.wait_sent()
        one.wait_said("again")
        assert numbers_in_stream(f"nats://me:0ld@127.0.0.1:{server.port}") == list(range(10))
    finally:
        server.stop()


@pytest.mark.parametrize("denied", ["portside.>", "$JS.API.STREAM.INFO.>"])
def test_what_may_not_be_published(tmp_path: Path, station: StartStation, denied: str) -> None:
    users = 'authorization {{ users: [{{user: "a", password: "a"}}, {{user: "me", password: "p" {}}}] }}'
    server = NatsServer(tmp_path, users.format(f', permissions: {{ publish: {{ deny: "{denied}" }} }}')).start()
    try:
        make_stream(f"nats://a:a@127.0.0.1:{server.port}")
        one = station(f"nats://me:p@127.0.0.1:{server.port}")
        one.make(10)
        assert "portside help fleet" in str(one.wait_said("ermissions"))
        server.kill()
        server.more = users.format("")
        server.start()
        one.wait_sent()
        assert numbers_in_stream(f"nats://a:a@127.0.0.1:{server.port}") == list(range(10))
    finally:
        server.stop()


@pytest.mark.parametrize("window_s", [120.0, 0.1])
def test_acknowledgements_that_are_lost(
    nats: NatsServer, station: StartStation, monkeypatch: pytest.MonkeyPatch, window_s: float
) -> None:
    """What was stored is sent again: JetStream tells it by its id, and where it has forgotten that, it is asked."""
    make_stream(nats.url, duplicate_window=window_s)
    monkeypatch.setattr(publisher, "_LEAST_PATIENCE_S", 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(PublishSession, "_answered", lambda *_: None)
        one = station(nats.url)
        one.make(100)
        wait_messages(nats.url, 1)
        if window_s < 1:
            wait_forgotten(nats.url)
        one.wait_said("not acknowledged")
    one.make(100)
    wait_until(lambda: one.publisher.counts.acknowledged >= 2, "acknowledgements", 90)
    wait_until(one.outbox.is_empty, "the outbox to be empty")
    assert numbers_in_stream(nats.url, "portside.paris.>") == list(range(200))
    assert bool(one.publisher.counts.duplicates) == (window_s > 1)


def test_a_week_later(nats: NatsServer, tmp_path: Path, station: StartStation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages were on their way when the machine went off; the stream has them, and has forgotten their ids."""
    make_stream(nats.url, duplicate_window=0.1)
    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "acknowledge", lambda *_: None)
        one = station(nats.url)
        for at in range(10):
            one.make(100)
            wait_messages(nats.url, at + 1)
        nats.stop()
        wait_until(lambda: not one.publisher.is_connected, "the connection to be lost")
        one.make(500)
        one.close()
    nats.start()
    wait_forgotten(nats.url)
    monkeypatch.setattr(clock, "kernel_run", lambda: "another")
    another = station(nats.url)
    assert another.outbox.status().records > 0
    another.make(1)
    wait_until(lambda: another.publisher.counts.records >= 501, "what the stream did not have")
    wait_until(another.outbox.is_empty, "the outbox to be empty")
    found = numbers_in_stream(nats.url, "portside.paris.>")
    assert sorted(found) == sorted([*range(1500), 0])


def test_a_node_that_has_another_name_now(
    nats: NatsServer, station: StartStation, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_stream(nats.url, duplicate_window=0.1)
    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "acknowledge", lambda *_: None)
        one = station(nats.url, node="a.b")
        one.make(100)
        wait_messages(nats.url, 1)
        one.close()
    wait_forgotten(nats.url)
    another = station(nats.url, node="c")
    wait_until(another.outbox.is_empty, "the outbox to be empty")
    assert numbers_in_stream(nats.url, "portside.paris.>") == list(range(100))


def test_an_outbox_at_its_bound(nats: NatsServer, station: StartStation) -> None:
    make_stream(nats.url)
    nats.stop()
    one = station(nats.url, most_bytes=1 << 20)
    for _ in range(20):
        one.make(100, "x" * 1000)
        one.wait_kept()
    assert one.outbox.status().bytes <= 1 << 20
    dropped = one.outbox.status().dropped
    assert 500 < dropped < 2000
    nats.start()
    one.wait_sent()
    assert numbers_in_stream(nats.url) == list(range(dropped, 2000)), "the oldest have gone, and are counted"


def test_an_outbox_at_its_bound_with_messages_on_their_way(nats: NatsServer, station: StartStation) -> None:
    make_stream(nats.url)
    one = station(nats.url, most_bytes=1 << 20)
    for _ in range(3):
        one.make(200, "x" * 1000)
        wait_until(lambda: one.publisher.counts.acknowledged, "the first acknowledgements")
        nats.kill()
        for _ in range(5):
            one.make(400, "x" * 1000)
            one.wait_kept()
        nats.start()
        one.wait_sent()
    found = numbers_in_stream(nats.url)
    assert len(found) == len(set(found)), "nothing twice"
    assert len(found) + one.outbox.status().dropped == one.made
