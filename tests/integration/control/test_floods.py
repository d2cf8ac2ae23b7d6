"""Clients of the API that send without an end and read nothing: the server neither grows nor halts nor complains."""

import re
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from api_client import Page, ask, page_of
from conftest import Start
from support import DEADLINE_S, Program, wait_until

SERVER = "/api/v1/server"
FLOOD_S = 1.5
MOST_GROWTH_KB = 24 * 1024
CHUNKED = "POST /api/v1/broadcast HTTP/1.1\r\nHost: localhost\r\n{token}Transfer-Encoding: chunked\r\n\r\n"
GET = "GET {path} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n"
UPGRADE = (
    "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{token}\r\n"
)
MASK = b"\0\0\0\0"


@pytest.fixture
def server(listen: Start) -> Program:
    """A server with a page, whose API is loaded."""
    program = listen("--web")
    assert program.port
    assert ask(program, SERVER).status == 200
    return program


@pytest.fixture
def page(server: Program) -> Page:
    return page_of(server)


def resident_kb(server: Program) -> int:
    return int(Path(f"/proc/{server.process.pid}/status").read_text().split("VmRSS:")[1].split()[0])


@contextmanager
def client_of(page: Page) -> Iterator[socket.socket]:
    host, _, port = page.address.rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE_S) as client:
        yield client


@contextmanager
def flood(client: socket.socket, block: bytes) -> Iterator[threading.Thread]:
    """Send from another thread until the server has enough, or until the end of the ``with``."""
    client.setblocking(False)
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            if select.select([], [client], [], 0.1)[1]:
                try:
                    client.send(block)
                except OSError:
                    return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield sender
    finally:
        over.set()
        sender.join()


def check(server: Program, page: Page, before_kb: int) -> None:
    """It answers, has not grown, and has said nothing but the link of the page."""
    assert page.ask(SERVER).status == 200
    assert resident_kb(server) - before_kb < MOST_GROWTH_KB
    assert server.err.count(b"\n") == 1, server.err.decode()


@pytest.mark.parametrize("has_token", [False, True], ids=["without the token", "with the token"])
@pytest.mark.parametrize(
    ("head", "block"),
    [
        pytest.param(CHUNKED + "0\r\n", b"A: b\r\n" * 4000, id="trailers"),
        pytest.param(CHUNKED + "0\r\nA: ", b"x" * 65536, id="one trailer"),
        pytest.param(CHUNKED + "1;a=", b"x" * 65536, id="an extension of a chunk"),
        pytest.param(CHUNKED, b"1\r\nx\r\n" * 5000, id="chunks of one byte"),
        pytest.param("", GET, id="requests in a pipeline"),
        pytest.param("", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="requests for the page"),
        pytest.param(GET, b"\r\n" * 20000, id="blank lines"),
    ],
)
def test_a_client_that_sends_without_an_end(
    server: Program, page: Page, head: str, block: bytes | str, has_token: bool
) -> None:
    token = f"Authorization: Bearer {page.token}\r\n" if has_token else ""
    before = resident_kb(server)
    if isinstance(block, str):
        block = block.format(token=token, path=SERVER).encode() * 1000
    with client_of(page) as client:
        client.sendall(head.format(token=token, path=SERVER).encode())
        with flood(client, block) as sender:
            sender.join(FLOOD_S)
            check(server, page, before)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param((b"\x89\xfd" + MASK + b"p" * 125) * 500, id="pings"),
        pytest.param((b"\x8a\x80" + MASK) * 10_000, id="pongs"),
        pytest.param((b"\x81\x80" + MASK) * 10_000, id="empty messages"),
        pytest.param((b"\x81\xfd" + MASK + b"p" * 125) * 500, id="messages"),
        pytest.param(b"\x01\x80" + MASK + (b"\x00\x80" + MASK) * 10_000, id="a message without an end"),
    ],
)
def test_a_subscriber_that_talks_without_an_end(server: Program, page: Page, block: bytes) -> None:
    before = resident_kb(server)
    with client_of(page) as client:
        client.sendall(UPGRADE.format(token=f"Authorization: Bearer {page.token}\r\n").encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        with flood(client, block) as sender:
            wait_until(lambda: not sender.is_alive(), "it to be cut off")
        check(server, page, before)


def test_a_few_requests_in_a_pipeline_are_all_answered_in_order(page: Page) -> None:
    token = f"Authorization: Bearer {page.token}\r\n"
    paths = [f"/api/v1/connections/{number}" for number in range(1, 21)]
    with client_of(page) as client:
        client.sendall("".join(GET.format(path=path, token=token) for path in paths).encode())
        told: list[bytes] = []
        answer = b""
        while len(told) < len(paths):
            answer += client.recv(65536)
            told = re.findall(rb"there is no connection (\d+),", answer)
    assert told == [str(number).encode() for number in range(1, 21)]


def test_clients_of_the_page_leave_room_for_ctl(server: Program, page: Page) -> None:
    """Whoever reaches the page's port may hold all its places, and nobody's on the unix socket."""
    clients = []
    try:
        for _ in range(310):
            host, _, port = page.address.rpartition(":")
            clients.append(socket.create_connection((host, int(port)), DEADLINE_S))
        assert ask(page.address, "/").status == 503
        assert ask(server, SERVER).status == 200
    finally:
        for client in clients:
            client.close()


def test_a_client_that_goes_away_while_it_sends_is_nothing_to_tell(server: Program, page: Page) -> None:
    with client_of(page) as client:
        token = f"Authorization: Bearer {page.token}\r\n"
        head = f"POST /api/v1/broadcast HTTP/1.1\r\nHost: localhost\r\n{token}Content-Length: 9\r\n\r\n"
        client.sendall(head.encode() + b"{")
    check(server, page, resident_kb(server))
