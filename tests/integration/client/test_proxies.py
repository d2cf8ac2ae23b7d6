"""Through SOCKS5 and HTTP CONNECT proxies."""

import hashlib
import random
import re
import socket
import subprocess
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from integration.client.conftest import Connect, MakePeer, Peer
from support import DEADLINE_S, free_port, read_to_end, wait_until

SOCKS_OK = b"\x05\x00\x00\x01" + bytes(6)


@contextmanager
def answering(proxy: Peer, *script: tuple[bytes | int, bytes]) -> Iterator[list[bytes]]:
    """A proxy that takes requests (so many bytes, or up to an end) and gives answers, then carries an echo.

    Yields what it was asked.
    """
    asked: list[bytes] = []

    def serve() -> None:
        client = proxy.accept()
        for request, answer in script:
            asked.append(take(client, request))
            client.sendall(answer)
        while data := client.recv(1 << 16):
            client.sendall(data)
        client.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


def take(client: socket.socket, request: bytes | int) -> bytes:
    if isinstance(request, int):
        return client.recv(request, socket.MSG_WAITALL)
    data = b""
    while not data.endswith(request):
        data += client.recv(1)
    return data


def test_socks5_gives_the_name_to_the_proxy(connect: Connect, peer: Peer) -> None:
    noise = random.Random(3).randbytes(3_000_000)
    request = b"\x05\x01\x00\x03" + bytes([len("behind.test")]) + b"behind.test" + (80).to_bytes(2, "big")
    with answering(peer, (3, b"\x05\x00"), (len(request), SOCKS_OK)) as asked:
        program = connect("-v", "--proxy", f"socks5://{peer.address}", "behind.test:80", stdin=subprocess.PIPE)
        stdin = program.process.stdin
        assert stdin
        stdin.write(noise)
        stdin.close()
        assert program.wait() == 0
    assert asked == [b"\x05\x01\x00", request]
    assert hashlib.sha256(program.out).digest() == hashlib.sha256(noise).digest()
    program.wait_for(
        rf"^portside: connected to behind.test:80 through socks5://{peer.address} from 127.0.0.1:\d+$", err=True
    )


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("192.0.2.1:443", b"\x01\xc0\x00\x02\x01"),
        ("[2001:db8::1]:443", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
    ],
)
def test_socks5_with_addresses(connect: Connect, peer: Peer, target: str, address: bytes) -> None:
    request = b"\x05\x01\x00" + address + (443).to_bytes(2, "big")
    with answering(peer, (3, b"\x05\x00"), (len(request), SOCKS_OK)) as asked:
        assert connect("--proxy", f"socks5://{peer.address}", target).wait() == 0
    assert asked[1] == request


def test_socks5_with_a_password(connect: Connect, peer: Peer) -> None:
    login = b"\x01\x04user\x07p@ss/:?"
    request_size = 7 + len("behind.test")
    with answering(peer, (4, b"\x05\x02"), (len(login), b"\x01\x00"), (request_size, SOCKS_OK)) as asked:
        program = connect("-v", "--proxy", f"socks5://user:p%40ss%2F:%3F@{peer.address}", "behind.test:80")
        assert program.wait() == 0
    assert asked[1] == login
    assert b"p@ss" not in program.err
    assert b"p%40ss" not in program.err


@pytest.mark.parametrize(
    ("credentials", "login"),
    [("user", b"\x01\x04user\x00"), ("user:", b"\x01\x04user\x00"), (":pass", b"\x01\x00\x04pass")],
)
def test_socks5_with_a_user_or_a_password_alone(connect: Connect, peer: Peer, credentials: str, login: bytes) -> None:
    request_size = 7 + len("behind.test")
    with answering(peer, (4, b"\x05\x02"), (len(login), b"\x01\x00"), (request_size, SOCKS_OK)) as asked:
        assert connect("--proxy", f"socks5://{credentials}@{peer.address}", "behind.test:80").wait() == 0
    assert asked[:2] == [b"\x05\x02\x00\x02", login]


@pytest.mark.parametrize(("credentials", "told"), [("user", "user:"), (":pass", ":pass"), ("", None), (":", None)])
def test_an_http_proxy_with_a_user_or_a_password_alone(
    connect: Connect, peer: Peer, credentials: str, told: str | None
) -> None:
    with answering(peer, (b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n")) as asked:
        assert connect("--proxy", f"http://{credentials}@{peer.address}", "behind.test:80").wait() == 0
    basic = re.search(rb"Authorization: Basic (.*)\r\n", asked[0])
    assert (b64decode(basic[1]).decode() if basic else None) == told


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([(3, b"\x05\x00"), (18, b"\x05\x05\x00")], "Connection refused by destination host"),
        ([(3, b"\x05\xff")], "No acceptable authentication methods were offered"),
        ([(3, b"\x04\x00")], "Unexpected SOCKS version number: 4"),
    ],
)
def test_what_a_socks5_proxy_refuses(
    connect: Connect, peer: Peer, script: list[tuple[bytes | int, bytes]], words: str
) -> None:
    with answering(peer, *script):
        program = connect("--proxy", f"socks5://{peer.address}", "behind.test:80")
        assert program.wait() == 1
    assert program.err.decode().splitlines()[0] == (
        f"portside: cannot connect to behind.test:80 through socks5://{peer.address}: {words}"
    )


def test_a_real_http_proxy(connect: Connect, make_peer: MakePeer) -> None:
    peer, proxy_port = make_peer(), free_port()
    with subprocess.Popen(
        [
            "ncat",
            "--listen",
            "--keep-open",
            "--proxy-type",
            "http",
            "--proxy-auth",
            "me:secret",
            "127.0.0.1",
            str(proxy_port),
        ]
    ) as proxy:
        try:
            wait_until(lambda: listens(proxy_port), "the proxy")
            refused = connect("--proxy", f"http://127.0.0.1:{proxy_port}", peer.address)
            assert refused.wait() == 1
            refused.wait_for("407 Proxy Authentication Required", err=True)
            refused.wait_for("^hint: the proxy wants a user and a password", err=True)
            program = connect(
                "--proxy", f"http://me:secret@127.0.0.1:{proxy_port}", peer.address, stdin=subprocess.PIPE
            )
            other = peer.accept()
            assert program.process.stdin
            program.process.stdin.write(b"there")
            program.process.stdin.flush()  # this proxy takes a half-close for the end of both directions
            assert other.recv(5, socket.MSG_WAITALL) == b"there"
            other.sendall(b"and back")
            program.wait_for("and back")
            other.close()
            program.process.stdin.close()
            assert program.wait() == 0
            assert bytes(program.out) == b"and back"
        finally:
            proxy.terminate()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_what_the_peer_says_first_is_not_lost_behind_the_proxys_answer(connect: Connect, peer: Peer) -> None:
    banner = b"SSH-2.0-banner\r\n\r\n\0"
    answer = b"HTTP/1.1 200 fine\r\nVia: here\r\n\r\n" + banner
    with answering(peer, (b"\r\n\r\n", answer)) as asked:
        program = connect("--proxy", f"http://{peer.address}", "[2001:db8::1]:22")
        assert program.wait() == 0
    assert asked[0].startswith(b"CONNECT [2001:db8::1]:22 HTTP/1.1\r\nHost: [2001:db8::1]:22\r\n")
    assert bytes(program.out) == banner


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("bücher.test:443", b"xn--bcher-kva.test:443"),
        ("straße.test:443", b"xn--strae-oqa.test:443"),
        ("[2001:DB8::0001]:443", b"[2001:db8::1]:443"),
        ("[::ffff:192.0.2.1]:443", b"192.0.2.1:443"),
        ("127.1:443", b"127.0.0.1:443"),
    ],
)
def test_what_an_http_proxy_is_told(connect: Connect, peer: Peer, target: str, told: bytes) -> None:
    with answering(peer, (b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n")) as asked:
        assert connect("--proxy", f"http://{peer.address}", target).wait() == 0
    assert asked[0].startswith(b"CONNECT " + told + b" HTTP/1.1\r\nHost: " + told + b"\r\n")
    assert asked[0].isascii()


def test_what_a_socks5_proxy_is_told(connect: Connect, peer: Peer) -> None:
    name = b"xn--bcher-kva.test"
    request = b"\x05\x01\x00\x03" + bytes([len(name)]) + name + (443).to_bytes(2, "big")
    with answering(peer, (3, b"\x05\x00"), (len(request), SOCKS_OK)) as asked:
        assert connect("--proxy", f"socks5://{peer.address}", "bücher.test:443").wait() == 0
    assert asked[1] == request


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_no_proxy_is_asked_for_an_address_of_a_link_of_ours(connect: Connect, peer: Peer, scheme: str) -> None:
    program = connect("--proxy", f"{scheme}://{peer.address}", "[fe80::1%lo]:443")
    assert program.wait() == 1
    program.wait_for("an interface of this machine, which no proxy knows$", err=True)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.0 200\nVia: here\n\n",
        b"HTTP/1.1 200 OK\r\nVia: here\r\n\n",
        b"HTTP/1.1 200 OK\nVia: here\n\r\n",
        b"HTTP/1.1 204 No Content\n\n",
    ],
)
def test_an_http_answer_with_bare_line_feeds(connect: Connect, peer: Peer, answer: bytes) -> None:
    with answering(peer, (b"\r\n\r\n", answer + b"\n\nhello\r\n\r\n")):
        program = connect("--proxy", f"http://{peer.address}", "behind.test:22")
        assert program.wait() == 0
    assert bytes(program.out) == b"\n\nhello\r\n\r\n"


def test_the_reason_in_an_answer_with_bare_line_feeds_is_its_first_line(connect: Connect, peer: Peer) -> None:
    with answering(peer, (b"\r\n\r\n", b"HTTP/1.1 403 Forbidden\nVia: here\n\n")):
        program = connect("--proxy", f"http://{peer.address}", "behind.test:22")
        assert program.wait() == 1
    program.wait_for(": 403 Forbidden$", err=True)


def test_an_answer_that_is_no_http_is_not_waited_for(connect: Connect, peer: Peer) -> None:
    with answering(peer, (b"\r\n\r\n", b"\x05\xff")):
        program = connect("--proxy", f"http://{peer.address}", "behind.test:22", "-w", "1h")
        assert program.wait() == 1
    program.wait_for(r"Invalid status line: .*\nhint: is it a proxy of this kind", err=True)


def test_an_http_answer_in_pieces(connect: Connect, peer: Peer) -> None:
    program = connect("--proxy", f"http://{peer.address}", "behind.test:22")
    other = peer.accept()
    take(other, b"\r\n\r\n")
    other.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in b"HTTP/1.1 200 OK\r\nVia: here\r\n\r\nHello":
        other.sendall(bytes([piece]))
    other.close()
    assert program.wait() == 0
    assert bytes(program.out) == b"Hello"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 403 go \x1b[2Jaway\r\n\r\n", r"403 go \x1b[2Jaway"),
        (b"\xff\xfe\r\n\r\n", r"Invalid status line: \xff\xfe"),
        (b"", "Invalid proxy response"),
        (b"x" * 200_000, "Invalid status line: " + "x" * 10),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "the head of its answer is longer than 64 KiB"),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n", "it closed the connection in the middle of its answer"),
        (b"HTTP/1.1 200 OK\n", "it closed the connection in the middle of its answer"),
    ],
    ids=["refused", "garbage", "nothing", "endless", "endless head", "half a head", "half a head with bare line feeds"],
)
def test_what_an_http_proxy_refuses(connect: Connect, peer: Peer, answer: bytes, words: str) -> None:
    program = connect("--proxy", f"http://{peer.address}", "behind.test:80")
    other = peer.accept()
    take(other, b"\r\n\r\n")
    try:
        other.sendall(answer)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it has heard enough
    assert program.wait() == 1
    assert words in program.err.decode()
    assert b"\x1b" not in program.err
    assert len(program.err) < 1000
    assert not program.out


def test_a_proxy_that_is_not_there(connect: Connect) -> None:
    program = connect("--proxy", "http://user:secret@127.0.0.1:1", "behind.test:80")
    assert program.wait() == 1
    assert program.err.decode().startswith("portside: cannot connect to the proxy 127.0.0.1:1: Connection refused\n")


def test_a_proxy_that_says_nothing(connect: Connect, peer: Peer) -> None:
    program = connect("-w", "1500ms", "--proxy", f"socks5://{peer.address}", "behind.test:80")
    other = peer.accept()
    assert program.wait() == 1
    program.wait_for(r"no answer within 1\.5s$", err=True)
    assert read_to_end(other) == b"\x05\x01\x00"


def test_a_proxy_that_resets(connect: Connect, peer: Peer) -> None:
    program = connect("--proxy", f"socks5://{peer.address}", "behind.test:80")
    other = peer.accept()
    other.recv(1)
    other.close()  # with unread bytes
    assert program.wait() == 1
    program.wait_for("Connection reset by peer$", err=True)


def test_a_name_that_no_proxy_takes(connect: Connect, peer: Peer) -> None:
    program = connect("--proxy", f"socks5://{peer.address}", "a." * 200 + "test:80")
    assert program.wait() == 1
    program.wait_for("this name of a host cannot be sent to a proxy$", err=True)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://user:secret@host:1",
        "user:secret@host:1",
        "http://user:secret@host",
        "http://user:sec/ret@host:1",
        "http://user:secret@host:port",
        "http://user:secret@host:99999",
        "http://user:secret@:1",
        "http://user:secret@[::1:1",
        "socks5://user:secreté@host:1",
        "socks5://user:secret" + "x" * 255 + "@host:1",
        "http://us%3Aer:secret@host:1",
    ],
)
def test_a_wrong_url_is_wrong_usage_and_never_shown(connect: Connect, url: str) -> None:
    program = connect("--proxy", url, "behind.test:80")
    assert program.wait() == 2
    assert program.err.startswith(b"portside: --proxy: ")
    assert b"sec" not in program.err
    assert b"host:1" not in program.err
