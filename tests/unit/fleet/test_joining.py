"""Both ends of a connection in one row: joined where they belong together, and not where that is not sure."""

import pytest
from fleet_records import T0, iso, socket

from portside.fleet.query.joining import Joined, join, without_zone
from portside.fleet.query.state import NodeName, OpenOfNode
from portside.kernel.models import Socket

CLIENT, SERVER = "10.0.0.1:40000", "10.0.0.2:5432"


def node(name: str, *sockets: Socket, site: str = "paris") -> OpenOfNode:
    return OpenOfNode(NodeName(site, name), iso(T0), T0, len(sockets), sockets)


def end(local: str, remote: str | None, *, recv_q: int = 0, send_q: int = 0) -> Socket:
    return socket(local, remote, recv_q=recv_q, send_q=send_q, bytes_sent=100, bytes_received=100)


def names(joined: Joined) -> tuple[str, str | None, bool]:
    return joined.one.name.node, None if joined.other is None else joined.other.name.node, joined.ambiguous


def test_the_end_that_connected_is_the_first() -> None:
    for nodes in (
        [node("web", end(CLIENT, SERVER)), node("db", end(SERVER, CLIENT))],
        [node("db", end(SERVER, CLIENT)), node("web", end(CLIENT, SERVER))],
    ):
        (joined,) = join(nodes)
        assert names(joined) == ("web", "db", False)


def test_the_most_bytes_waiting_come_first() -> None:
    quiet = [node("web", end(CLIENT, SERVER)), node("db", end(SERVER, CLIENT))]
    busy = node("web2", socket("10.0.0.9:40000", SERVER, send_q=7), socket("10.0.0.9:40001", SERVER, recv_q=9))
    assert [each.waiting for each in join([*quiet, busy])] == [9, 7, 0]


def test_the_queues_of_both_ends_count() -> None:
    (joined,) = join([node("a", end(CLIENT, SERVER, send_q=5)), node("b", end(SERVER, CLIENT, recv_q=6))])
    assert joined.waiting == 11


def test_one_end_alone() -> None:
    (joined,) = join([node("web", end(CLIENT, SERVER))])
    assert names(joined) == ("web", None, False)


def test_listeners_are_no_connections() -> None:
    assert join([node("db", socket("0.0.0.0:5432", None, state="LISTEN"))]) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_the_loopback_is_joined_within_one_machine_alone(host: str) -> None:
    client, server = f"{host}:40000", f"{host}:5432"
    joined = join([node("a", end(client, server)), node("b", end(server, client))])
    assert sorted(map(names, joined)) == [("a", None, False), ("b", None, False)]
    joined = join([node(name, end(client, server), end(server, client)) for name in ("a", "b")])
    assert sorted(map(names, joined)) == [("a", "a", False), ("b", "b", False)]


def test_the_same_private_addresses_twice_are_not_joined() -> None:
    nodes = [
        node("a", end(CLIENT, SERVER)),
        node("b", end(SERVER, CLIENT)),
        node("a", end(CLIENT, SERVER), site="tokyo"),
        node("b", end(SERVER, CLIENT), site="tokyo"),
    ]
    joined = join(nodes)
    assert len(joined) == 4
    assert all(each.other is None and each.ambiguous for each in joined)


def test_both_ends_of_one_machine_come_before_others() -> None:
    joined = join(
        [node("a", end(CLIENT, SERVER), end(SERVER, CLIENT)), node("b", end(CLIENT, SERVER), end(SERVER, CLIENT))]
    )
    assert sorted(map(names, joined)) == [("a", "a", False), ("b", "b", False)]


def test_counts_that_contradict_each_other() -> None:
    one = socket(CLIENT, SERVER, bytes_sent=10, bytes_received=5000)
    other = socket(SERVER, CLIENT, bytes_sent=10, bytes_received=5000)
    assert [each.other for each in join([node("a", one), node("b", other)])] == [None, None]
    later = socket(SERVER, CLIENT, bytes_sent=9000, bytes_received=5)
    assert len(join([node("a", one), node("b", later)])) == 1


def test_connected_to_itself() -> None:
    (joined,) = join([node("a", end("10.0.0.1:7000", "10.0.0.1:7000"))])
    assert names(joined) == ("a", None, False)


def test_zones_are_those_of_each_machine() -> None:
    assert without_zone("[fe80::1%eth0]:22") == "[fe80::1]:22"
    assert without_zone("10.0.0.1%eth0:22") == "10.0.0.1:22"
    one, other = end("[fe80::1%eth0]:40000", "[fe80::2%eth0]:22"), end("[fe80::2%ens3]:22", "[fe80::1%ens3]:40000")
    assert [names(each) for each in join([node("a", one), node("b", other)])] == [("a", "b", False)]


def test_ends_that_are_no_addresses() -> None:
    hostile = [end("x", "y"), end("", ""), end("%", "%"), end("a:99999999999999999999", "b:-1")]
    assert len(join([node("a", *hostile)])) == len(hostile)
