"""An agent that is killed again and again under load, and started each time with the same outbox."""

import contextlib
import random
import socket
import sqlite3
import threading
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from fleet_stream import make_stream, messages_in_stream, messages_of
from nats_server import NatsServer
from support import DEADLINE_S, Program, connect, wait_until

from portside.fleet.schema import message_id

KILLS = 20
SERVER_KILLS = 8


@contextlib.contextmanager
def short_connections() -> Iterator[int]:
    """Connections that are made and closed one after the other until the end; the server's port."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()

        def make() -> None:
            while not ended.wait(0.001):
                with socket.create_connection(address, DEADLINE_S) as client, listener.accept()[0] as server:
                    client.sendall(b"hello")
                    client.shutdown(socket.SHUT_WR)
                    while server.recv(100):
                        pass

        thread = threading.Thread(target=make)
        thread.start()
        try:
            yield int(address[1])
        finally:
            ended.set()
            thread.join(DEADLINE_S)


def kept(outbox: Path) -> set[str]:
    """The numbers of the messages that are in an outbox, whose agent has been killed."""
    path = outbox / "outbox.sqlite"
    if not path.exists():
        return set()
    with contextlib.closing(sqlite3.connect(path)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'messages'").fetchone():
            return set()
        return {name for (name,) in database.execute("SELECT name FROM messages")}


def test_an_agent_that_is_killed_again_and_again(nats: NatsServer, tmp_path: Path) -> None:
    """All that an outbox has had is in the stream in the end, nothing twice, and no number is missing in between."""
    make_stream(nats.url)
    tmp_path.chmod(0o700)
    outbox, chance = tmp_path / "outbox", random.Random(17)
    committed: set[str] = set()
    in_the_outbox = 0
    with short_connections() as port:
        words = ("agent", "--nats", nats.url, "--outbox", str(outbox), "--node", "web1", "--interval", "100ms")
        for nth in range(KILLS):
            is_alone = nth % 5 == 4  # without a broker, so that more waits
            if is_alone:
                nats.kill()
            agent = Program(*words, "--filter", str(port), env={"XDG_RUNTIME_DIR": str(tmp_path)})
            try:
                agent.wait_for("cannot publish to" if is_alone else "publishes to", err=True)
                if not is_alone:
                    _wait_more(nats, chance.randrange(4))
            finally:
                agent.kill()
            left = kept(outbox)
            committed |= left
            in_the_outbox += bool(left)
            if is_alone:
                nats.start()
    last = Program(*words, "--filter", str(port), env={"XDG_RUNTIME_DIR": str(tmp_path)})
    try:
        wait_until(lambda: committed <= _ids(nats), "all that was in the outbox to be in the stream")
        last.stop()
    finally:
        last.kill()
    assert not kept(outbox)
    assert in_the_outbox >= KILLS // 5
    messages = messages_of(nats.url)
    assert len(messages) == len(_ids(nats))
    of_boots = {boot: list(of_boot) for boot, of_boot in groupby(messages, lambda each: each.boot)}
    assert sum(map(len, of_boots.values())) == len(messages), "what an earlier run has left is sent first"
    assert len(of_boots) > KILLS // 2
    for of_boot in of_boots.values():
        number = 1
        for each in of_boot:
            assert each.seq == number
            number += len(each.records)
    assert sum(len(each.records) for each in messages if each.kind == "closed") > KILLS


def test_the_events_of_a_server_are_there_once(nats: NatsServer, tmp_path: Path) -> None:
    """Where an agent had got to is in its outbox with what it took: SIGKILL repeats nothing and skips nothing."""
    make_stream(nats.url)
    tmp_path.chmod(0o700)
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    words = ("--nats", nats.url, "--outbox", str(tmp_path / "outbox"), "--node", "web1", "--filter", "dport = :1")
    server = Program("listen", "127.0.0.1:0", "--echo", env=environment)
    programs = [server]

    def start_agent() -> Program:
        programs.append(Program("agent", *words, env=environment))
        return programs[-1]

    chance = random.Random(17)
    try:
        with connect(server.port) as client, talking(client):
            for _ in range(SERVER_KILLS):
                agent = start_agent()
                _wait_more_events(nats, chance.randrange(20))
                agent.kill()
        agent = start_agent()
        wait_until(lambda: _server_events(nats)[-1:] == ["closed"], "the last event")
        agent.stop()
    finally:
        for each in programs:
            each.kill()
    numbers = [
        each.event["seq"] for message in messages_of(nats.url) if message.kind == "server" for each in message.records
    ]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@contextlib.contextmanager
def talking(client: socket.socket) -> Iterator[None]:
    """Lines that are sent, each when the one before has come back, until the end."""
    ended = threading.Event()

    def talk() -> None:
        while not ended.wait(0.02):
            client.sendall(b"hello\n")
            assert client.recv(6, socket.MSG_WAITALL) == b"hello\n"

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(DEADLINE_S)


def _wait_more_events(nats: NatsServer, count: int) -> None:
    """Wait until more than so many events of the server have come."""
    wanted = len(_server_events(nats)) + count
    wait_until(lambda: len(_server_events(nats)) > wanted, "events of the server")


def _server_events(nats: NatsServer) -> list[str]:
    """The names of the server's events that are in the stream."""
    return [
        each.event["event"] for message in messages_of(nats.url) if message.kind == "server" for each in message.records
    ]


def _wait_more(nats: NatsServer, count: int) -> None:
    """Wait until so many messages have come."""
    wanted = messages_in_stream(nats.url) + count
    wait_until(lambda: messages_in_stream(nats.url) >= wanted, f"{count} messages")


def _ids(nats: NatsServer) -> set[str]:
    return {message_id(each.node, each.boot, each.seq) for each in messages_of(nats.url)}
