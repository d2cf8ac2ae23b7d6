"""What tests that use the pytest plugin write; type checkers read it, and nothing runs it."""

import re
import ssl
from pathlib import Path
from typing import Literal, assert_type

import portside
from portside.testing import (
    Expectation,
    TcpClient,
    TcpClientFactory,
    TcpConnection,
    TcpLeaks,
    TcpProxy,
    TcpProxyFactory,
    TcpServer,
    TcpServerFactory,
    faults,
)


def test_script(tcp_server: TcpServer) -> None:
    tcp_server.greet(b"220 ready\r\n").delay("50ms").half_close()
    assert_type(tcp_server.expect(b"A"), Expectation[bytes])
    assert_type(tcp_server.expect("text", frame="lines", times=2), Expectation[bytes])
    assert_type(tcp_server.expect(re.compile(rb"A")), Expectation[re.Match[bytes]])
    tcp_server.expect(b"A").reply(b"B").reply("text").reply(lambda message: message[::-1]).close()
    tcp_server.expect(re.compile(rb"(A)")).reply(lambda match: match[1]).delay(0.5).reset()
    tcp_server.expect_fin().reply(lambda nothing: nothing + b"end")
    tcp_server.always(b"PING").reply(b"PONG").fault(faults.latency(0.2, jitter="50ms", direction="out"))
    with tcp_server.any_order() as script:
        script.expect(b"A")
    tcp_server.on_connection(2).expect(b"A").reply(b"B")
    tcp_server.every_connection().greet(b"hello")
    tcp_server.wait("5s")
    tcp_server.check()
    tcp_server.fault("latency 200ms")
    tcp_server.clear_faults()
    assert_type(tcp_server.connections, tuple[TcpConnection, ...])
    assert_type(tcp_server.connections[0].received, bytes)
    assert_type(tcp_server.connections[0].closed_by, Literal["peer", "local"] | None)
    assert_type(tcp_server.transcript, portside.Transcript)
    assert_type((tcp_server.host, tcp_server.port), tuple[str, int])


async def shout(connection: portside.Connection) -> None:
    async for line in connection.lines():
        await connection.send(line.upper())


def test_factories(
    tcp_server_factory: TcpServerFactory,
    tcp_proxy: TcpProxyFactory,
    tcp_client: TcpClientFactory,
    tcp_leaks: TcpLeaks,
) -> None:
    server = tcp_server_factory(tls=True, faults=["latency 20ms", faults.reset(at="1k")], frame="length:u16be")
    assert_type(server, TcpServer)
    assert_type(server.client_context(), ssl.SSLContext)
    assert_type(server.certificate, Path)
    tcp_server_factory(behaviour=shout, address="127.0.0.1:0", idle_timeout="5s")
    tcp_server_factory(behaviour="echo", faults="limit 10k")
    for upstream in (server, "127.0.0.1:6379", 6379, ("::1", 6379)):
        assert_type(tcp_proxy(upstream, faults=[faults.stall(upstream=True)]), TcpProxy)
    client = tcp_client(server, tls=True, tls_verify=False)
    assert_type(client, TcpClient)
    client.send(b"A")
    assert_type(client.expect(b"B"), bytes)
    assert_type(client.expect(re.compile(rb"B"), frame="lines"), re.Match[bytes])
    client.expect_fin()
    assert not tcp_leaks.open
