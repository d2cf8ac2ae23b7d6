"""The HTTP server of the agent's metrics: what it answers, and what it does not let anybody do."""

import asyncio
import contextlib
import http.client
import socket
from collections.abc import Iterator

import pytest
from machine_facts import FACTS
from served_metrics import Served
from support import DEADLINE_S, connect, read_to_end, wait_until

from portside.addresses import parse_address
from portside.errors import PortsideError
from portside.fleet.metrics import http_server
from portside.fleet.metrics.http_server import MetricsServer


@pytest.fixture
def served() -> Iterator[Served]:
    server = Served(lambda: FACTS)
    yield server
    server.close()


def exchange(served: Served, request: bytes) -> bytes:
    """All that comes after a request until the server closes."""
    with connect(served.port) as client:
        client.sendall(request)
        return read_to_end(client)


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


def test_a_scrape(served: Served) -> None:
    assert served.server.addresses == (f"127.0.0.1:{served.port}",)
    client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=DEADLINE_S)
    for _ in range(3):  # on one connection
        client.request("GET", "/metrics?x=1")
        answer = client.getresponse()
        body = answer.read()
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert b'portside_tcp_sockets{state="ESTABLISHED"} 5.0\n' in body
    client.request("HEAD", "/metrics")
    assert client.getresponse().read() == b""
    client.request("GET", "/metrics", headers={"Connection": "close"})
    assert client.getresponse().read() == body
    client.close()


def test_many_scrapes_in_a_second_are_made_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "FRESH_S", 3600.0)
    request = b"GET /metrics HTTP/1.0\r\n\r\n"
    assert exchange(served, request)
    before = served.asked
    for _ in range(5):
        assert status(exchange(served, request)) == 200
    assert served.asked == before
    monkeypatch.setattr(http_server, "FRESH_S", 0.0)
    assert status(exchange(served, request)) == 200
    assert served.asked == before + 1


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", 405),
        (b"GET /metrics HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nxyz", 200),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /metrics HTTP/1.1\r\nA: " + b"a" * 20_000, 431),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 20_000, 431),
    ],
)
def test_other_requests(served: Served, request_: bytes, expected: int) -> None:
    assert status(exchange(served, request_)) == expected


def test_a_pipelined_request_ends_the_connection_after_the_answer_to_the_first(served: Served) -> None:
    answers = exchange(served, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    assert answers.count(b"HTTP/1.1 200 OK") == 1
    assert b"Connection: close" in answers


def test_a_request_in_pieces(served: Served) -> None:
    with connect(served.port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /metrics HTTP/1.0\r\n\r\n":
            client.send(bytes([byte]))
        assert status(read_to_end(client)) == 200


def test_a_request_that_takes_too_long_is_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "REQUEST_S", 0.2)
    for sent in (b"", b"GET /metr"):
        with connect(served.port) as client:
            client.sendall(sent)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(100) == b""
    wait_until(lambda: not served.server.clients, "no client")


def test_an_idle_connection_is_closed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "IDLE_S", 0.2)
    assert status(exchange(served, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")) == 200


def test_who_does_not_take_an_answer_is_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def text() -> bytes:
        monkeypatch.setattr(http_server, "REQUEST_S", 0.5)  # from now on: the request has come
        return b"x" * (32 << 20)

    monkeypatch.setattr(served.server, "text", text)
    with connect(served.port) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        wait_until(lambda: not served.server.clients, "the client to be gone")


def test_too_many_connections_end_those_that_were_served_longest_ago(served: Served) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(connect(served.port))
        wait_until(lambda: len(served.server.clients) == 1, "the first client")
        for _ in range(http_server.MOST_CONNECTIONS + 3):
            stack.enter_context(connect(served.port))
        with contextlib.suppress(ConnectionResetError):
            assert first.recv(1) == b""
        last = stack.enter_context(connect(served.port))
        last.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert status(read_to_end(last)) == 200
        assert len(served.server.clients) <= http_server.MOST_CONNECTIONS


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortsideError) as caught:
            asyncio.run(MetricsServer.start(parse_address(str(port)), lambda: FACTS))
    assert str(caught.value) == f"--metrics {port}: cannot listen on 127.0.0.1:{port}: Address already in use"


def test_every_address() -> None:
    server = Served(lambda: FACTS, "*:0")
    assert server.server.addresses[0] == f"0.0.0.0:{server.port}"
    assert status(exchange(server, b"GET /metrics HTTP/1.0\r\n\r\n")) == 200
    server.close()
