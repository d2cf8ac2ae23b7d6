"""Who may use the API over TCP: the token, one origin, names of this server, and limits of what is sent."""

import hashlib
import http.client
import json
import os
import re
import socket
import ssl
from pathlib import Path

import pytest
from api_client import Page, ask, control_path, page_of
from certificates import Authority
from conftest import Start
from support import DEADLINE_S, Program, connect, read_to_end
from websockets import Origin, Subprotocol
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websocket

SERVER = "/api/v1/server"


@pytest.fixture
def server(listen: Start) -> Program:
    """A server with a page."""
    return listen("--echo", "--web")


@pytest.fixture
def page(server: Program) -> Page:
    """Its page."""
    return page_of(server)


def exchange(address: str, data: bytes) -> bytes:
    """Send bytes to a ``HOST:PORT`` and read to the end."""
    host, _, port = address.rpartition(":")
    with connect(int(port), host) as client:
        client.sendall(data)
        return read_to_end(client)


def test_the_link_is_printed_once_and_its_token_is_needed(server: Program, page: Page) -> None:
    assert page.ask(SERVER).json["pid"] == server.process.pid
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": f"Basic {page.token}"}):
        refused = ask(page.address, SERVER, headers=headers)
        assert (refused.status, refused.json["code"]) == (401, "token")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.headers["content-type"] == "application/problem+json"
    for wrong in (page.token[:-1], page.token + "x", page.token.swapcase(), "x" * 100_00):
        assert ask(page.address, SERVER, headers={"Authorization": f"Bearer {wrong}"}).status == 401
    assert ask(page.address, f"{SERVER}?token={page.token}").status == 401  # queries are in logs and histories
    assert ask(page.address, "/metrics").status == 401
    assert page.ask("/metrics").status == 200
    server.stop()
    assert server.err.decode().count(page.token) == 1
    assert page.token.encode() not in server.out


def test_a_token_has_128_bits_and_is_new_each_time(listen: Start, page: Page) -> None:
    assert re.fullmatch(r"[\w-]{22}", page.token)
    assert page_of(listen("--web")).token != page.token


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_a_page_of_another_origin_is_refused(page: Page, origin: str) -> None:
    refused = page.ask(SERVER, headers={"Origin": origin})
    assert (refused.status, refused.json["code"]) == (403, "origin")


def test_a_page_of_our_own_origin_is_answered(page: Page) -> None:
    assert page.ask(SERVER, headers={"Origin": f"http://{page.address}"}).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[::1"])
def test_a_name_of_somebody_else_that_leads_here_is_refused(page: Page, host: str) -> None:
    refused = page.ask(SERVER, headers={"Host": host})
    assert (refused.status, refused.json["code"]) == (403, "host")
    assert page.ask("/", headers={"Host": host}).status == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "[::1]:80", "127.0.0.1", "192.0.2.1:99", "LOCALHOST."])
def test_addresses_and_our_own_names_are_answered(page: Page, host: str) -> None:
    assert page.ask(SERVER, headers={"Host": host}).status == 200


def test_read_only_answers_what_looks_and_refuses_what_acts(listen: Start) -> None:
    server = listen("--web", "--web-read-only")
    page = page_of(server)
    assert page.ask(SERVER).json["read_only"] is True
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        refused = page.ask(SERVER, method)
        assert (refused.status, refused.json["code"]) == (403, "read_only")
    assert ask(server, SERVER, "POST").status == 405  # the user on this machine may act


def test_every_answer_has_the_headers_of_a_strict_page(page: Page) -> None:
    for answer in (page.ask(SERVER), ask(page.address, SERVER), ask(page.address, "/docs"), ask(page.address, "/no")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers
    assert page.ask(SERVER).headers["cache-control"] == "no-store"


def send_forever(client: socket.socket, block: bytes) -> None:
    """Send a block again and again, 256 MiB at most."""
    for _ in range((1 << 28) // len(block)):
        client.sendall(block)


def test_a_body_that_is_somewhat_too_large_gets_its_answer(server: Program, page: Page) -> None:
    for answer in (page.ask(SERVER, "POST", b"x" * 1_500_000), ask(server, SERVER, "POST", b"x" * 1_500_000)):
        assert (answer.status, answer.json["code"]) == (413, "body")


def test_a_body_of_a_gigabyte_is_refused_before_it_is_sent(page: Page) -> None:
    head = (
        f"POST {SERVER} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {page.token}\r\n"
        f"Content-Length: {1 << 30}\r\nExpect: 100-continue\r\n\r\n"
    )
    answer = exchange(page.address, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


def test_a_body_without_a_length_is_cut_off_at_the_limit(server: Program) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(DEADLINE_S)
        assert server.port
        client.connect(str(control_path(server)))
        client.sendall(b"POST /api/v1/broadcast HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_forever(client, chunk)
    assert ask(server, SERVER).status == 200


def test_headers_without_an_end_are_refused(page: Page) -> None:
    answer = exchange(page.address, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000)
    assert answer.startswith(b"HTTP/1.1 431 ")
    answer = exchange(page.address, b"GET /" + b"x" * 100_000)
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "garbage", [b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0", b"hello\n" * 99]
)
def test_garbage_is_refused_and_the_server_goes_on(server: Program, page: Page, garbage: bytes) -> None:
    assert exchange(page.address, garbage).startswith(b"HTTP/1.1 400 ")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(DEADLINE_S)
        client.connect(str(control_path(server)))
        client.sendall(garbage)
        assert read_to_end(client).startswith(b"HTTP/1.1 400 ")
    assert page.ask(SERVER).status == 200
    assert server.err.count(b"\n") == 1  # the link alone


def test_paths_lead_to_no_other_file(page: Page) -> None:
    for path in ("/../app.py", "/%2e%2e/app.py", "//etc/passwd", "/web/../../app.py", "/..%2fapp.py", "/docs.css/../x"):
        assert ask(page.address, path).status == 404


def test_the_page_is_served_with_types_and_tags(page: Page) -> None:
    style = ask(page.address, "/docs.css")
    assert (style.status, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    again = ask(page.address, "/docs.css", headers={"If-None-Match": style.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    docs = ask(page.address, "/docs")
    assert docs.headers["content-type"] == "text/html; charset=utf-8"
    assert b"/api/v1/server" in docs.body
    assert b"<script" not in docs.body
    assert json.loads(ask(page.address, "/openapi.json").body)["openapi"].startswith("3.1")


def test_with_tls_the_fingerprint_is_printed_and_is_that_of_the_certificate(listen: Start) -> None:
    server = listen("--web", "--web-tls")
    page = page_of(server)
    (told,) = server.wait_for("(?:[0-9A-F]{2}:){31}[0-9A-F]{2}", err=True)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host, _, port = page.address.rpartition(":")
    client = http.client.HTTPSConnection(host, int(port), context=context, timeout=DEADLINE_S)
    client.request("GET", SERVER, headers={"Authorization": f"Bearer {page.token}"})
    assert client.getresponse().status == 200
    assert isinstance(client.sock, ssl.SSLSocket)
    certificate = client.sock.getpeercert(binary_form=True)
    assert certificate is not None
    assert hashlib.sha256(certificate).hexdigest().upper() == told.replace(":", "")
    client.close()


def test_with_a_certificate_of_our_own_it_is_the_one_that_is_shown(listen: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.sign("localhost")
    options = ("--web", "localhost:0", "--web-tls", "--web-tls-cert", own.certificate, "--web-tls-key", own.key)
    page = page_of(listen(*options))
    context = ssl.create_default_context(cafile=authority.path)
    host, _, port = page.address.rpartition(":")
    client = http.client.HTTPSConnection(host, int(port), context=context, timeout=DEADLINE_S)
    client.request("GET", SERVER, headers={"Authorization": f"Bearer {page.token}"})
    assert client.getresponse().status == 200
    client.close()


def test_a_certificate_that_is_not_there_is_named_by_its_option(start: Start, tmp_path: Path) -> None:
    missing = str(tmp_path / "no.pem")
    program = start("listen", "127.0.0.1:0", "--web", "--web-tls", "--web-tls-cert", missing)
    assert program.wait() == 1
    assert program.err.decode() == f"portside: --web-tls-cert {missing}: No such file or directory\n"


def test_an_address_that_others_reach_is_said_to_be_open(listen: Start) -> None:
    server = listen("--web", "0.0.0.0:0")
    assert page_of(server).token
    server.wait_for("whoever is on the way reads the token and all that clients send", err=True)
    local = listen("--web")
    assert page_of(local).token
    local.stop()
    assert b"whoever" not in local.err


def test_a_port_that_is_taken_ends_the_run_with_the_reason(start: Start, page: Page) -> None:
    program = start("listen", "127.0.0.1:0", "--web", page.address)
    assert program.wait() == 1
    assert program.err.decode().startswith(f"portside: --web {page.address}: cannot listen on {page.address}: ")
    assert not control_path(program).exists()


def test_another_user_is_refused(server: Program) -> None:
    """Only root can become another user; the folder would keep that user out as well, so it is opened here."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    assert server.port
    path = control_path(server)
    path.parent.parent.chmod(0o755)
    path.parent.chmod(0o755)
    path.chmod(0o777)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setuid(65534)
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.settimeout(DEADLINE_S)
            client.connect(str(path))
            client.sendall(b"GET /api/v1/server HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                status = 0 if client.recv(100) == b"" else 2
            except ConnectionResetError:
                status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert ask(server, SERVER).status == 200


def events_of(page: Page, token: str | None, origin: str | None = None) -> ClientConnection:
    """A WebSocket for events as a browser opens it: the token is one of the protocols."""
    protocols = [Subprotocol("portside.v1"), *([Subprotocol(f"token.{token}")] if token is not None else [])]
    return websocket(
        f"ws://{page.address}/api/v1/events",
        subprotocols=protocols,
        origin=Origin(origin) if origin else None,
        open_timeout=DEADLINE_S,
    )


def test_a_websocket_needs_the_token_and_is_not_told_it_again(server: Program, page: Page) -> None:
    with events_of(page, page.token, f"http://{page.address}") as socket_of_page, connect(server.port):
        assert socket_of_page.subprotocol == "portside.v1"
        assert "token" not in str(socket_of_page.response)
        told = ""
        while '"event":"opened"' not in told:
            told += str(socket_of_page.recv(timeout=DEADLINE_S))
    for token in (None, "", page.token[:-1], page.token.swapcase()):
        with pytest.raises(InvalidStatus) as refused:
            events_of(page, token)
        assert refused.value.response.status_code == 401


def test_a_websocket_of_another_origin_is_refused(page: Page) -> None:
    with pytest.raises(InvalidStatus) as refused:
        events_of(page, page.token, "http://evil.example")
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["code"] == "origin"


def test_a_websocket_may_look_where_nothing_may_act(listen: Start) -> None:
    page = page_of(listen("--web", "--web-read-only"))
    with events_of(page, page.token) as watching:
        assert watching.subprotocol == "portside.v1"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param("POST {path} HTTP/1.1\r\nContent-Length: 2\r\n", id="a POST"),
        pytest.param("GET {path} HTTP/1.1\r\n" + "X: y\r\n" * 300, id="many headers"),
        pytest.param(f"GET {{path}} HTTP/1.1\r\nX: {'y' * 20_000}\r\n", id="a long header"),
    ],
)
def test_what_is_no_handshake_is_refused_and_holds_no_place(server: Program, page: Page, head: str) -> None:
    upgrade = (
        "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = exchange(page.address, (head.format(path="/api/v1/events") + upgrade).encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"no handshake of a WebSocket" in answer
    assert server.err.count(b"\n") == 1  # the link alone


@pytest.mark.parametrize(
    "twice", ["Host: evil.example", "Host: localhost", "Origin: http://localhost", "Authorization: Bearer {token}"]
)
def test_a_header_that_decides_is_there_once(page: Page, twice: str) -> None:
    head = f"GET {SERVER} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nConnection: close\r\n"
    token = f"Authorization: Bearer {page.token}\r\n"
    assert exchange(page.address, f"{head}{token}\r\n".encode()).startswith(b"HTTP/1.1 200 ")
    more = twice.format(token=page.token)
    first, rest = head.split("\r\n", 1)
    for request in (f"{head}{token}{more}\r\n\r\n", f"{first}\r\n{more}\r\n{rest}{token}\r\n"):
        assert exchange(page.address, request.encode()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}",
        "Content-Length: +2\r\n\r\n{}",
        "Content-Length: 2,2\r\n\r\n{}",
        "Content-Length: 0x2\r\n\r\n{}",
        "Content-Length : 2\r\n\r\n{}",
        "X: a\r\n b\r\n\r\n",
        "X: a\nContent-Length: 2\r\n\r\n{}",
        "X: a\0b\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2;\n{}\r\n0\r\n\r\n",
    ],
)
def test_where_a_request_ends_has_one_reading(page: Page, framing: str) -> None:
    """What a proxy in front could read in another way; what follows would then be another user's request."""
    head = f"POST /api/v1/broadcast HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {page.token}\r\n"
    answer = exchange(page.address, f"{head}{framing}GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/../v1/server", 401), ("/%61pi/v1/server", 401), ("/api%2fv1/server", 401), ("/api/v1/server/", 401),
        ("/%6detrics", 401), ("http://127.0.0.1/metrics", 401), ("//api/v1/server", 404), ("/API/v1/server", 404),
        ("/./metrics", 404), ("/..%2f..%2fetc/passwd", 404), ("//evil.example/docs", 404),
    ],
)  # fmt: skip
def test_no_way_to_write_a_path_goes_past_the_token(page: Page, path: str, status: int) -> None:
    answer = exchange(page.address, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
