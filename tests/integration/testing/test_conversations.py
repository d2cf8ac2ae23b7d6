"""Scripted peers, proxies and clients of the pytest plugin, used as tests use them."""

import asyncio
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import anyio
import pytest
import trio
from support import connect, read_to_end

import portside
from portside.testing import (
    ScriptFailed,
    TcpClientFactory,
    TcpLeaks,
    TcpProxyFactory,
    TcpServer,
    TcpServerFactory,
    faults,
)


def login(host: str, port: int) -> list[bytes]:
    """A small client: what it was answered."""
    with socket.create_connection((host, port), timeout=30) as client, client.makefile("rb") as lines:
        answers = [lines.readline()]
        for line in (b"HELO me\r\n", b"QUIT\r\n"):
            client.sendall(line)
            answers.append(lines.readline())
        return answers


def test_the_example_of_the_contract(tcp_server: TcpServer) -> None:
    tcp_server.greet(b"220 ready\r\n")
    tcp_server.expect(b"HELO me\r\n").reply(b"250 ok\r\n")
    tcp_server.expect(re.compile(rb"QUIT\r?\n")).reply(b"221 bye\r\n").close()
    assert login(tcp_server.host, tcp_server.port) == [b"220 ready\r\n", b"250 ok\r\n", b"221 bye\r\n"]
    assert tcp_server.connections[0].closed_by == "peer"
    assert tcp_server.connections[0].received == b"HELO me\r\nQUIT\r\n"
    assert tcp_server.connections[0].sent == b"220 ready\r\n250 ok\r\n221 bye\r\n"


def talk(port: int, *pieces: bytes) -> bytes:
    """Send pieces one by one, then FIN; all that is answered."""
    with connect(port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        return read_to_end(client)


def test_order_groups_repeats_and_what_is_always_answered(tcp_server: TcpServer) -> None:
    tcp_server.always(b"PING\n").reply(b"pong ")
    tcp_server.expect(b"A\n").reply(b"a ")
    with tcp_server.any_order() as script:
        script.expect(b"B\n").reply(b"b ")
        script.expect(re.compile(rb"C\d\n"), times=2).reply(lambda match: match[0].lower().strip() + b" ")
    tcp_server.expect("Ä\n", any_order=True).reply("ä ")
    tcp_server.expect(b"E\n", any_order=True).reply(b"e ")
    tcp_server.expect(b"F\n").reply(b"f").reply(b"!")
    sent = "PING\nA\nC1\nPING\nB\nC2\nE\nÄ\nPING\nF\n".encode()
    assert talk(tcp_server.port, *sent.splitlines(keepends=True)) == "pong a c1 pong b c2 e ä pong f!".encode()


def test_the_stream_may_be_cut_anywhere(tcp_server: TcpServer) -> None:
    tcp_server.every_connection().expect(b"HELO me\r\n").reply(b"1")
    tcp_server.every_connection().expect(re.compile(rb"MAIL (\w+)\r\n")).reply(lambda match: match[1])
    tcp_server.every_connection().expect(b"\0\5hello", frame="length:u16be").reply(lambda message: message[2:])
    sent = b"HELO me\r\nMAIL bob\r\n\0\5hello"
    for at in range(len(sent) + 1):
        assert talk(tcp_server.port, sent[:at], sent[at:]) == b"1bobhello"
    assert talk(tcp_server.port, *(sent[at : at + 1] for at in range(len(sent)))) == b"1bobhello"


@pytest.mark.parametrize(
    ("frame", "messages"),
    [
        ("lines", [b"one\n", b"two\n"]),
        ("delim:00", [b"one\0", b"three\0"]),
        ("fixed:3", [b"one", b"two"]),
        ("length:u32le", [struct.pack("<I3s", 3, b"one"), struct.pack("<I", 0)]),
        ("idle:10ms", [b"a", b"b"]),
    ],
)
def test_frames(tcp_server_factory: TcpServerFactory, frame: str, messages: list[bytes]) -> None:
    server = tcp_server_factory(frame=frame)
    for message in messages:
        server.expect(message).reply(b"+")
    with connect(server.port) as client:
        for message in messages:
            client.sendall(message)
            assert client.recv(1) == b"+"


def test_delays_keep_the_order(tcp_server: TcpServer) -> None:
    tcp_server.greet(b"1").delay("20ms").reply(b"2")
    tcp_server.expect(b"A").delay(0.02).reply(b"3").delay("1ms").reply(b"4")
    tcp_server.expect(b"B").reply(b"5")
    assert talk(tcp_server.port, b"A", b"B") == b"12345"


def test_half_close_and_the_fin_of_the_client(tcp_server: TcpServer) -> None:
    tcp_server.expect(b"GET\n").reply(b"all of it").half_close()
    tcp_server.expect(b"more\n")
    tcp_server.expect_fin()
    with connect(tcp_server.port) as client:
        client.sendall(b"GET\n")
        assert read_to_end(client) == b"all of it"
        client.sendall(b"more\n")
    assert tcp_server.connections[0].reason == "peer_closed"


def test_an_answer_to_fin(tcp_server: TcpServer) -> None:
    tcp_server.expect(b"all\n")
    tcp_server.expect_fin().delay("10ms").reply(b"received").close()
    assert talk(tcp_server.port, b"all\n") == b"received"


def test_reset(tcp_server: TcpServer) -> None:
    tcp_server.expect(b"PING\n").reset()
    with connect(tcp_server.port) as client:
        client.sendall(b"PING\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert tcp_server.connections[0].closed_by == "local"


def send_for_ever(client: socket.socket) -> None:
    while True:
        client.sendall(b"later\n")


def test_after_close_data_is_answered_as_the_kernel_does(tcp_server: TcpServer) -> None:
    tcp_server.expect(b"QUIT\n").close()
    with connect(tcp_server.port) as client:
        client.sendall(b"QUIT\n")
        assert client.recv(1) == b""
        client.sendall(b"late\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send_for_ever(client)


def test_scripts_of_later_connections(tcp_server: TcpServer) -> None:
    tcp_server.expect(b"PING\n").reset()
    tcp_server.on_connection(2).greet(b"busy\n").close()
    tcp_server.on_connection(3).expect(b"PING\n").reply(b"PONG\n")
    with connect(tcp_server.port) as client, suppress(ConnectionResetError):
        client.sendall(b"PING\n")
        client.recv(1)
    assert talk(tcp_server.port) == b"busy\n"
    assert talk(tcp_server.port, b"PING\n") == b"PONG\n"
    assert [each.number for each in tcp_server.connections] == [1, 2, 3]


def test_faults_as_text_and_as_values(tcp_server_factory: TcpServerFactory) -> None:
    slices = faults.slices(1, gap="1ms", direction="out")
    server = tcp_server_factory(faults=["latency 5ms out", slices, faults.reset(at=8, direction="out")])
    server.greet(b"0123456789")
    with connect(server.port) as client, pytest.raises(ConnectionResetError):
        read_to_end(client)
    assert server.connections[0].reason == "fault"


def test_a_fault_in_the_middle_of_a_script(tcp_server: TcpServer) -> None:
    tcp_server.expect(b"A\n").fault(faults.close(at=3, direction="out")).reply(b"123456")
    assert talk(tcp_server.port, b"A\n") == b"123"


def test_faults_of_all_connections_come_and_go(tcp_server: TcpServer) -> None:
    script = tcp_server.every_connection()
    script.expect(b"A\n").reply(b"123456")
    tcp_server.fault("limit 3")
    assert talk(tcp_server.port, b"A\n") == b"123"
    tcp_server.clear_faults()
    assert talk(tcp_server.port, b"A\n") == b"123456"
    with pytest.raises(ValueError, match="accept-delay is a fault of the port"):
        tcp_server.fault(faults.accept_delay("1s"))


def test_tls(tcp_server_factory: TcpServerFactory) -> None:
    server = tcp_server_factory(tls=True)
    server.expect(b"A\n").reply(b"B\n")
    context = server.client_context()
    with connect(server.port) as plain, context.wrap_socket(plain, server_hostname="localhost") as client:
        client.sendall(b"A\n")
        assert client.recv(10) == b"B\n"
    assert server.certificate.read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert b"PRIVATE" not in server.certificate.read_bytes()


async def shout(connection: portside.Connection) -> None:
    async for line in connection.lines():
        await connection.send(line.upper())


def test_other_behaviours(tcp_server_factory: TcpServerFactory) -> None:
    assert talk(tcp_server_factory(behaviour="echo").port, b"hello\n") == b"hello\n"
    assert talk(tcp_server_factory(behaviour=shout).port, b"hello\n") == b"HELLO\n"
    assert talk(tcp_server_factory(reply="ping => pong\\n").port, b"ping\n") == b"pong\n"
    server = tcp_server_factory(behaviour="echo")
    with pytest.raises(RuntimeError, match="has a behaviour, and so no script"):
        server.expect(b"A\n")
    with pytest.raises(RuntimeError, match="no TLS"):
        server.client_context()


def test_a_port_that_is_taken(tcp_server: TcpServer, tcp_server_factory: TcpServerFactory) -> None:
    with pytest.raises(portside.PortsideError, match="Address already in use"):
        tcp_server_factory(address=tcp_server.address)


def test_a_proxy_with_faults_keeps_both_directions(tcp_proxy: TcpProxyFactory, tcp_server: TcpServer) -> None:
    tcp_server.every_connection().expect(b"GET\n").reply(b"0123456789")
    proxy = tcp_proxy(tcp_server, faults=[faults.limit(4)])
    assert talk(proxy.port, b"GET\n") == b"0123"
    proxy.clear_faults()
    assert talk(proxy.port, b"GET\n") == b"0123456789"
    first, second = proxy.connections
    assert first.closed_by == "local"
    assert second.closed_by == "peer"
    assert (second.received, second.sent) == (b"GET\n", b"0123456789")


def test_a_client_for_servers(tcp_client: TcpClientFactory, tcp_server: TcpServer) -> None:
    tcp_server.greet(b"220 hello bob\r\n")
    tcp_server.expect(b"A").reply(b"\0\3one\0\3two").half_close()
    client = tcp_client(tcp_server)
    assert client.expect(re.compile(rb"220 hello (\w+)\r\n"))[1] == b"bob"
    client.send(b"A")
    assert client.expect(b"\0\3one", frame="length:u16be") == b"\0\3one"
    with pytest.raises(ScriptFailed, match=r'did not send b"\\x00\\x03twO" but b"\\x00\\x03two"') as failed:
        client.expect(b"\0\3twO")
    assert "first difference, at byte 4: 0x4f expected, 0x6f came" in str(failed.value)
    assert client.receive() == b"\0\3two"
    client.expect_fin()
    with pytest.raises(ScriptFailed, match="but nothing, and then FIN"):
        client.expect(b"more")


def test_a_client_does_not_wait_for_ever(tcp_client: TcpClientFactory, tcp_server: TcpServer) -> None:
    tcp_server.greet(b"not half")
    client = tcp_client(tcp_server)
    client.expect(b"not ")  # the rest came with it
    client.settimeout(0.01)
    with pytest.raises(ScriptFailed, match=r'but b"half", and nothing more in 0\.01s'):
        client.expect(b"half of it")
    with pytest.raises(ScriptFailed, match='did not send FIN but b"half"'):
        client.expect_fin()
    assert client.expect(b"half") == b"half"


def test_waiting_for_another_process(tcp_server: TcpServer) -> None:
    tcp_server.expect(b"from afar\n").reply(b"ok\n")
    program = (
        "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.sendall(b'from afar\\n')"
    )
    with subprocess.Popen([sys.executable, "-c", f"{program}; s.recv(9)", str(tcp_server.port)]) as process:
        tcp_server.wait("30s")
        assert process.wait(30) == 0


def test_waiting_for_what_does_not_come(tcp_server_factory: TcpServerFactory) -> None:
    server = tcp_server_factory()
    made = server.expect(b"never\n")
    with pytest.raises(ScriptFailed, match='nobody has connected: b"never') as failed:
        server.wait("10ms")
    assert made.place in str(failed.value)
    assert made.place.startswith("test_conversations.py:")
    talk(server.port, b"never\n")


def test_a_test_acts_on_a_connection_itself(tcp_server: TcpServer) -> None:
    with connect(tcp_server.port) as client:
        (connection,) = tcp_server.connections
        assert not connection.is_closed
        assert connection.kernel().local == tcp_server.address
        connection.send(b"pushed")
        assert client.recv(6) == b"pushed"
        connection.close()
        assert client.recv(1) == b""
    assert connection.closed_by == "local"


async def ask(port: int) -> bytes:
    """A client in asyncio."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"PING\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


async def ask_anyio(port: int) -> bytes:
    """A client in anyio, on either of its loops."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(b"PING\n")
        return await stream.receive()


async def ask_trio(port: int) -> bytes:
    """A client in trio."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"PING\n")
        return bytes(await stream.receive_some())


@pytest.mark.parametrize(
    "run",
    [
        lambda port: asyncio.run(ask(port)),
        lambda port: anyio.run(ask_anyio, port),
        lambda port: anyio.run(ask_anyio, port, backend="trio"),
        lambda port: trio.run(ask_trio, port),
    ],
    ids=["asyncio", "anyio", "anyio-trio", "trio"],
)
def test_clients_in_any_loop(tcp_server: TcpServer, tcp_leaks: TcpLeaks, run: Callable[[int], bytes]) -> None:
    tcp_server.expect(b"PING\n").reply(b"PONG\n").close()
    assert run(tcp_server.port) == b"PONG\n"
    assert tcp_server.connections[0].closed_by == "peer"
    assert not tcp_leaks.open


def test_sockets_that_are_open(tcp_leaks: TcpLeaks, tcp_server: TcpServer) -> None:
    tcp_server.greet(b"123").close()
    with connect(tcp_server.port) as client:
        assert client.recv(1) == b"1"
        with socket.socket() as unused, socket.create_server(("127.0.0.1", 0)) as listener:
            states = {each.fd: each for each in tcp_leaks.open}
            assert set(states) == {client.fileno(), unused.fileno(), listener.fileno()}
            assert states[listener.fileno()].state == "LISTEN"
            assert states[unused.fileno()].peer is None
        found = states[client.fileno()]
        assert (found.state, found.unread, found.peer) == ("CLOSE_WAIT", 2, tcp_server.address)
    assert not tcp_leaks.open


def test_one_thread_serves_all_tests(tcp_server: TcpServer, tcp_server_factory: TcpServerFactory) -> None:
    tcp_server_factory()
    assert len([each for each in threading.enumerate() if each.name == "portside.sync"]) == 1


def test_many_messages_at_once(tcp_server: TcpServer) -> None:
    count = 50_000
    tcp_server.expect(b"PING\r\n", times=count).reply(b"PONG\r\n")
    with connect(tcp_server.port) as client:
        sender = threading.Thread(target=client.sendall, args=(b"PING\r\n" * count,))
        sender.start()
        left = 6 * count
        while left:
            left -= len(client.recv(1 << 16))
        sender.join()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda server: server.expect(b""), "expect_fin"),
        (lambda server: server.expect(b"x", times=0), "at least 1"),
        (lambda server: server.expect(b"x", frame="lins"), "did you mean lines"),
        (lambda server: server.greet().fault("latncy 1ms"), "did you mean latency"),
        (lambda server: server.on_connection(0), "count from 1"),
    ],
)
def test_mistakes_in_a_script(tcp_server: TcpServer, make: Callable[[TcpServer], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(tcp_server)


def test_types_that_are_no_bytes(tcp_server: TcpServer) -> None:
    with pytest.raises(TypeError, match=r"re\.compile"):
        tcp_server.expect(re.compile("text"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bytes or text is needed, not int"):
        tcp_server.greet().reply(3)  # type: ignore[arg-type]
