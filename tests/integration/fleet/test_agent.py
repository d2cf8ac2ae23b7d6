"""``portside agent`` with a real broker and real connections: what it publishes, and what becomes of it at an end."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_stream import make_stream, messages_of, on_broker
from nats_server import NatsServer
from support import DEADLINE_S, Program, connect, free_port, reset, wait_until

from portside.fleet.broker import BrokerConnection
from portside.fleet.schema import Envelope
from portside.fleet.subjects import STREAM

_PATIENCE_S = 3 * DEADLINE_S  # an agent looks less often where a look takes long


class Fleet:
    """A broker with its stream, and agents that end with the test."""

    def __init__(self, nats: NatsServer, folder: Path) -> None:
        self.nats = nats
        self.folder = folder
        self.agents: list[Program] = []
        self.environment = {"XDG_RUNTIME_DIR": str(folder)}

    def agent(
        self, *words: str, outbox: str = "outbox", is_awaited: bool = True, prefix: tuple[str, ...] = ()
    ) -> Program:
        """An agent; ``is_awaited`` until it has made its first look at the table."""
        command = (*prefix, sys.executable, "-m", "portside", "agent")
        given = (
            "--nats",
            self.nats.url,
            "--outbox",
            str(self.folder / outbox),
            "--node",
            "web1",
            "--interval",
            "100ms",
        )
        seen = len(self.records("open")) if is_awaited else 0
        program = Program(*given, *words, command=command, env=self.environment)
        self.agents.append(program)
        if is_awaited:
            self.wait(lambda: len(self.records("open")) > seen, "the agent's first look")
        return program

    def records(self, kind: str) -> list[Any]:
        """The records of a kind in the stream."""
        return [record for each in messages_of(self.nats.url) if each.kind == kind for record in each.records]

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for something; says what the agents have said where it does not come."""
        try:
            return wait_until(condition, what, _PATIENCE_S)
        except AssertionError as error:
            said = b"".join(bytes(each.err) for each in self.agents)
            raise AssertionError(f"{error}: {said.decode(errors='replace')}") from None

    def wait_records(self, kind: str, count: int) -> list[Any]:
        """Wait until there are at least so many records of a kind: all of them."""
        return list(self.wait(lambda: found if len(found := self.records(kind)) >= count else [], f"{count} {kind}"))


@pytest.fixture
def fleet(nats: NatsServer, tmp_path: Path) -> Iterator[Fleet]:
    make_stream(nats.url)
    tmp_path.chmod(0o700)
    fleet = Fleet(nats, tmp_path)
    yield fleet
    for each in fleet.agents:
        each.kill()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        listener.settimeout(DEADLINE_S)
        yield listener


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def of_server(listener: socket.socket) -> tuple[str, str]:
    """The options for the server's ends of a listener's connections alone."""
    return "--filter", f"sport = :{port_of(listener)}"


def short_ones(listener: socket.socket, count: int) -> set[str]:
    """So many connections, one after the other, each with five bytes; the clients' addresses."""
    clients = set()
    for _ in range(count):
        with connect(port_of(listener)) as client, listener.accept()[0] as server:
            host, port = client.getsockname()
            clients.add(f"{host}:{port}")
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            while server.recv(100):
                pass
    return clients


def test_a_connection_has_its_owner_and_its_last_numbers(fleet: Fleet, listener: socket.socket) -> None:
    fleet.agent(*of_server(listener), "--opened")
    with connect(port_of(listener)) as client:
        server, _ = listener.accept()
        fleet.wait_records("opened", 1)
        client.sendall(b"x" * 1000)
        assert server.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
        address = "{}:{}".format(*client.getsockname())
    assert server.recv(1) == b""
    server.close()
    (closed,) = fleet.wait_records("closed", 1)
    assert (closed.event, closed.seen, closed.of) == ("closed", "destroy", 1)
    assert closed.socket.remote == address
    assert [owner.pid for owner in closed.socket.owners] == [os.getpid()]
    assert closed.socket.info["bytes_received"] == 1001  # the FIN is one
    assert closed.socket.info["rtt_us"] > 0
    assert closed.duration > 0


def test_connections_shorter_than_any_look_are_all_there(fleet: Fleet, listener: socket.socket) -> None:
    fleet.agent(*of_server(listener), "--interval", "1h", is_awaited=False)
    fleet.wait_records("node", 1)
    fleet.wait(lambda: short_ones(listener, 1) and fleet.records("closed"), "the first connection")
    clients = short_ones(listener, 300)

    def closed() -> list[str]:
        return [each.socket.remote for each in fleet.records("closed")]

    fleet.wait(lambda: clients <= set(closed()), "all of them")
    assert len(closed()) == len(set(closed()))


def test_a_sample_says_for_how_many_it_stands(fleet: Fleet, listener: socket.socket) -> None:
    agent = fleet.agent(*of_server(listener), "--rate", "20/s")
    short_ones(listener, 400)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    closed = fleet.records("closed")
    assert sum(each.of for each in closed) == 400
    assert len(closed) < 400
    assert fleet.records("node")[-1].sampled == 400 - len(closed)
    assert sum(each.closed for each in fleet.records("summary")) == 400


def test_summaries_add_up(fleet: Fleet, listener: socket.socket) -> None:
    agent = fleet.agent(*of_server(listener))
    with connect(port_of(listener)) as client, listener.accept()[0] as server:
        client.sendall(b"x" * 5000)
        assert len(server.recv(5000, socket.MSG_WAITALL)) == 5000
        server.sendall(b"y" * 70)
        assert len(client.recv(70, socket.MSG_WAITALL)) == 70
        short_ones(listener, 20)
        with connect(port_of(listener)) as other, listener.accept()[0]:
            reset(other)
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
    summaries = fleet.records("summary")
    assert {each.local_port for each in summaries} == {port_of(listener)}
    assert {each.remote for each in summaries} == {"loopback"}
    assert sum(each.bytes_received for each in summaries) == 5000 + 20 * 6
    assert sum(each.bytes_sent for each in summaries) == 70
    still_open = [each for each in summaries if each.state == "ESTABLISHED"]  # two where a minute ends meanwhile
    assert (still_open[-1].sockets, sum(each.bytes_sent for each in still_open)) == (1, 70)
    assert still_open[-1].program is not None
    assert sum(each.closed for each in summaries) == 21


def test_what_is_open_and_what_is_wrong(fleet: Fleet) -> None:
    """A full accept queue is found, and connections with bytes in their queues come first."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        listener.listen(4)
        clients = [connect(port_of(listener)) for _ in range(5)]
        fleet.agent("--filter", str(port_of(listener)))
        clients[3].sendall(b"waits")
        found = fleet.wait(lambda: [each for each in fleet.records("findings") if each.findings], "a finding")
        assert f":{port_of(listener)}" in str(found[0].findings[0].subject.local)
        fleet.wait(lambda: fleet.records("open")[-1].sockets[0].recv_q == 5, "the bytes that wait")
        snapshot = fleet.records("open")[-1]
        assert snapshot.total == len(snapshot.sockets) == 10
        for each in clients:
            each.close()


def test_a_filter_that_is_none_ends_it_at_once(tmp_path: Path) -> None:
    program = Program("agent", "--outbox", str(tmp_path / "outbox"), "--filter", "sport = = 5")
    try:
        assert program.wait() == 2
    finally:
        program.kill()
    assert b"portside: agent: " in program.err
    assert b"^" in program.err
    assert not (tmp_path / "outbox").exists()


def test_events_of_a_server_come_without_payload_and_go_on_after_the_agent(fleet: Fleet) -> None:
    server = Program("listen", "127.0.0.1:0", "--echo", env=fleet.environment)
    fleet.agents.append(server)  # ends with the test, too
    assert server.port
    with connect(server.port) as client:
        client.sendall(b"before\n")
        assert client.recv(7, socket.MSG_WAITALL) == b"before\n"
        agent = fleet.agent()

        def is_followed() -> bool:
            client.sendall(b".\n")
            client.recv(2, socket.MSG_WAITALL)
            return bool(fleet.records("server"))

        fleet.wait(is_followed, "the server's events")
        client.sendall(b"hello\n")
        assert client.recv(6, socket.MSG_WAITALL) == b"hello\n"
        events = told(fleet, server, 6)
        assert [each["event"] for each in events] == ["received", "sent"]
        assert not any("text" in each or "base64" in each for each in events)
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
        client.sendall(b"meanwhile\n")
        assert client.recv(10, socket.MSG_WAITALL) == b"meanwhile\n"
        fleet.agent("--payload")
        assert [each["text"] for each in told(fleet, server, 10)] == ["meanwhile\n", "meanwhile\n"]
        numbers = [each.event["seq"] for each in fleet.records("server")]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def told(fleet: Fleet, server: Program, size: int) -> list[dict[str, Any]]:
    """The two events of a text of this size, which is echoed, when both are there."""

    def find() -> list[dict[str, Any]]:
        records = fleet.records("server")
        assert {each.pid for each in records} <= {server.process.pid}
        found = [each.event for each in records if each.event.get("size") == size]
        return found if len(found) == 2 else []

    return list(fleet.wait(find, f"a text of {size} bytes"))


def test_a_broker_that_comes_later_gets_everything(fleet: Fleet, listener: socket.socket) -> None:
    fleet.nats.stop()
    agent = fleet.agent(*of_server(listener), is_awaited=False)
    agent.wait_for("portside: cannot publish to nats://127.0.0.1", err=True)
    agent.wait_for("hint: is a nats-server", err=True)
    short_ones(listener, 50)
    fleet.nats.start()
    fleet.wait_records("closed", 50)
    agent.wait_for("again", err=True)
    said = [line for line in bytes(agent.err).splitlines() if b"cannot publish" in line]
    assert len(said) == len(set(said)), "each trouble is said once"


def test_a_signal_that_comes_to_the_process_and_to_its_group_is_one(fleet: Fleet, listener: socket.socket) -> None:
    agent = fleet.agent(*of_server(listener))
    agent.signals_at_once(signal.SIGTERM, signal.SIGINT)  # two numbers, since two of one may become one on their way
    assert agent.wait() == 0
    assert fleet.records("node")[-1].last


def test_the_end_is_said_and_what_is_not_sent_is_sent_by_the_next_run(fleet: Fleet, listener: socket.socket) -> None:
    agent = fleet.agent(*of_server(listener))
    fleet.nats.stop()
    short_ones(listener, 20)
    agent.signal(signal.SIGINT)
    assert agent.wait() == 0
    agent.wait_for(r"\d+ records not sent", err=True)
    fleet.nats.start()
    again = fleet.agent(*of_server(listener))
    again.wait_for(r"records of an earlier run wait", err=True)
    again.signal(signal.SIGTERM)
    assert again.wait() == 0
    messages = messages_of(fleet.nats.url)
    boots = list(dict.fromkeys(each.boot for each in messages))
    assert len(boots) == 2
    assert [each.boot for each in messages] == sorted((each.boot for each in messages), key=boots.index)
    assert len(fleet.records("closed")) == 20
    for boot in boots:
        of_boot = [each for each in messages if each.boot == boot]
        assert [each.records[0].last for each in of_boot if each.kind == "node"][-1]
        number = 1
        for each in of_boot:
            assert each.seq == number
            number += len(each.records)


def test_two_agents_with_one_name_can_be_told_apart(fleet: Fleet) -> None:
    fleet.agent()
    fleet.agent(outbox="other")

    def signs() -> list[Envelope]:
        return [each for each in messages_of(fleet.nats.url) if each.kind == "node"]

    fleet.wait(lambda: len({each.boot for each in signs()}) == 2, "a sign of life of each")
    assert {each.node for each in signs()} == {"web1"}
    third = fleet.agent(is_awaited=False)
    assert third.wait() == 1
    assert b"another agent uses it" in third.err


HIDDEN = """
import ctypes, socket, sys
assert ctypes.CDLL(None).prctl(4, 0) == 0  # PR_SET_DUMPABLE: only who may trace everybody sees its descriptors
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
client = socket.create_connection(listener.getsockname())
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_user_who_may_not_see_others_processes(fleet: Fleet) -> None:
    port = free_port()
    holder = Program("-c", HIDDEN, str(port), command=(sys.executable,), stdin=-1)
    fleet.agents.append(holder)
    holder.wait_for("ready")
    prefix = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.getuid() == 0 else ()
    fleet.agent("--filter", f"dport = :{port}", prefix=prefix)
    (snapshot,) = fleet.records("open")[:1]
    (hidden,) = snapshot.sockets
    assert hidden.owners is None
    assert "could not be read" in hidden.gaps["owners"]


def test_json_and_metrics(fleet: Fleet) -> None:
    port = free_port()
    agent = fleet.agent("--json-payload", "--metrics", str(port))
    agent.wait_for("metrics on http://127.0.0.1", err=True)

    async def first(broker: BrokerConnection) -> bytes:
        message = await broker.jetstream.get_msg(STREAM, seq=1)
        return message.data or b""

    assert on_broker(fleet.nats.url, first).startswith(b'{"v":1,"kind":')

    def scraped() -> bytes:
        with connect(port) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return b"".join(iter(lambda: client.recv(1 << 16), b""))

    text = fleet.wait(lambda: got if b"portside_tcp_sockets" in (got := scraped()) else b"", "sockets").decode()
    assert 'portside_tcp_sockets{state="LISTEN"}' in text
    assert "portside_agent_broker_connected 1.0" in text
    assert 'node="web1"' in text
