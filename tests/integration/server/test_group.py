"""What one says all others get, whoever says something at the same moment."""

import socket

from conftest import Start
from support import connect_many


def until(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += client.recv(1 << 16)
    return data


def test_many_at_once(listen: Start) -> None:
    server = listen("--broker", "--format", "json")
    with connect_many(20, server.port) as clients:
        server.wait_for('"opened"', count=20)
        for number, client in enumerate(clients):
            client.sendall(b"%d here\n" % number)
            for other in clients:
                if other is not client:
                    assert until(other, len(b"%d here\n" % number)) == b"%d here\n" % number
        lines = [b"line %02d\n" % number for number in range(20)]
        for client, line in zip(clients, lines, strict=True):
            client.sendall(line)
        for client, mine in zip(clients, lines, strict=True):
            heard = until(client, 19 * len(mine))
            assert sorted(heard.splitlines(keepends=True)) == [line for line in lines if line != mine]


def test_who_joins_hears_nothing_of_before(listen: Start) -> None:
    server = listen("--chat", "--format", "json")
    with connect_many(1, server.port) as (first,):
        server.wait_for('"opened"')
        for number in range(2, 12):
            first.sendall(b"before %d\n" % number)
            with connect_many(1, server.port) as (joins,):
                greeting = until(joins, len(b"* you are user2 (/nick NAME, /who); here: user1\n"))
                assert greeting.startswith(b"* you are user%d " % number)
                first.sendall(b"after %d\n" % number)
                heard = greeting
                while b"after" not in heard:
                    heard += joins.recv(1 << 16)
            assert b"joined" not in heard
