"""TLS, with OpenSSL's own client, ncat, socat, curl and ours at the other end."""

import asyncio
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from certificates import Authority, unverified_context
from conftest import Start
from support import DEADLINE_S, Program, connect, memory_kib, read_to_end, wait_until

from portside.app.loop import run
from portside.server.tls_transport import TlsTransport
from portside.tls.contexts import server_context

CLIENTS = {
    "openssl": ["openssl", "s_client", "-connect", "127.0.0.1:{port}", "-quiet"],
    "ncat": ["ncat", "--ssl", "127.0.0.1", "{port}"],
    "socat": ["socat", "-t30", "-", "OPENSSL:127.0.0.1:{port},verify=0"],
    "portside": ["{python}", "-m", "portside", "connect", "127.0.0.1:{port}", "--tls", "--no-tls-verify"],
}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def shaken(server: Program, context: ssl.SSLContext | None = None, name: str | None = None) -> ssl.SSLSocket:
    return (context or unverified_context()).wrap_socket(connect(server.port), server_hostname=name)


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_are_answered(start: Start, listen: Start, client: str) -> None:
    server = listen("--tls", "--echo", "--format", "json")
    words = [word.format(port=server.port, python=sys.executable) for word in CLIENTS[client]]
    peer = start(command=tuple(words), stdin=subprocess.PIPE)
    assert peer.process.stdin is not None
    peer.process.stdin.write(b"to and fro\n")
    peer.process.stdin.flush()
    peer.wait_for("to and fro")
    server.wait_for('"opened".*\n')
    opened = server.events[1]
    assert opened["tls"]["version"] == "TLSv1.3"
    assert "peer" not in opened["tls"]


@pytest.mark.parametrize("header", [b"", b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n"])
def test_a_port_of_every_interface(listen: Start, header: bytes) -> None:
    options = ["--proxy-protocol"] if header else []
    server = listen("--tls", "--echo", "--format", "json", *options, address="0.0.0.0:0")
    for number in range(1, 4):
        client = connect(server.port)
        client.sendall(header)
        with unverified_context().wrap_socket(client) as secure:
            secure.sendall(b"to and fro\n")
            assert secure.recv(100) == b"to and fro\n"
        server.wait_for('"closed".*\n', count=number)
    opened = [event for event in server.events if event["event"] == "opened"]
    assert [event["local"] for event in opened] == 3 * [f"127.0.0.1:{server.port}"]


def test_curl_is_greeted(listen: Start, authority: Authority) -> None:
    own = authority.sign("server")
    greeting = r"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n"
    server = listen("--tls", "--tls-cert", own.certificate, "--tls-key", own.key, "--greet", greeting)
    url = f"https://localhost:{server.port}/"
    curl = subprocess.run(
        ["curl", "-sS", "--cacert", authority.path, url], capture_output=True, timeout=DEADLINE_S, check=False
    )
    assert curl.stdout == b"hi\n", curl.stderr
    server.wait_for("> GET / HTTP/1.1")
    server.wait_for(r"connected, TLSv1.3 TLS_\w+, sni localhost")


def test_the_throwaway_certificate_is_the_one_whose_fingerprint_is_told(listen: Start) -> None:
    server = listen("--tls", "--format", "json")
    with shaken(server) as client:
        der = client.getpeercert(binary_form=True)
    assert der
    seen = subprocess.run(
        ["openssl", "x509", "-inform", "der", "-noout", "-fingerprint", "-sha256", "-ext", "subjectAltName"],
        input=der, capture_output=True, timeout=DEADLINE_S, check=True,
    ).stdout.decode()  # fmt: skip
    (told,) = server.wait_for(r"(?<=SHA-256 )([0-9A-F]{2}:){31}[0-9A-F]{2}(?=\n)", err=True)
    assert f"ingerprint={told}" in seen
    assert "DNS:localhost" in seen
    assert "IP Address:127.0.0.1" in seen


def test_the_throwaway_certificate_is_good_for_a_strict_client_that_knows_it(listen: Start) -> None:
    server = listen("--tls", "--greet", "x")
    context = ssl.create_default_context(cadata=ssl.get_server_certificate(("127.0.0.1", server.port)))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default of Python 3.13
    with shaken(server, context, "localhost") as client:
        assert client.recv(1) == b"x"


def test_a_required_client_certificate_is_accepted_and_shown(listen: Start, authority: Authority) -> None:
    own, theirs = authority.sign("server"), authority.sign("a client")
    server = listen(
        "--format", "json", "--tls", "--tls-cert", own.certificate, "--tls-key", own.key,
        "--tls-ca", authority.path, "--tls-verify", "--tls-alpn", "h2,http/1.1",
    )  # fmt: skip
    context = ssl.create_default_context(cafile=authority.path)
    context.load_cert_chain(*theirs)
    context.set_alpn_protocols(["http/1.1"])
    with shaken(server, context, "localhost") as client:
        client.sendall(b"x")
        server.wait_for('"received"')
        assert client.selected_alpn_protocol() == "http/1.1"
    tls = server.events[1]["tls"]
    assert tls == {
        "version": "TLSv1.3",
        "cipher": tls["cipher"],
        "sni": "localhost",
        "alpn": "http/1.1",
        "peer": "CN=a client",
    }


def sockets_of(server: Program) -> int:
    """How many sockets it has open."""
    found = 0
    for each in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found += "socket:" in os.readlink(each)
    return found


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("bad", ["none", "of another authority", "expired"])
def test_a_client_certificate_that_is_not_good_is_refused_and_the_client_told(
    listen: Start, authority: Authority, tmp_path: Path, bad: str, version: ssl.TLSVersion
) -> None:
    own = authority.sign("server")
    server = listen(
        "--format", "json", "--max-conns", "1", "--tls", "--tls-cert", own.certificate, "--tls-key", own.key,
        "--tls-ca", authority.path, "--tls-verify",
    )  # fmt: skip
    context = unverified_context()
    context.minimum_version = context.maximum_version = version
    if bad == "expired":
        context.load_cert_chain(*authority.sign("late", days=(-9, -1)))
    elif bad != "none":
        context.load_cert_chain(*Authority(tmp_path, "Other CA").sign("stranger"))
    server.wait_for('"listening".*\n')
    idle = sockets_of(server)
    for count in range(1, 4):  # the place is free again each time
        with pytest.raises(ssl.SSLError, match="alert"), shaken(server, context) as client:
            client.recv(1)
        server.wait_for('"refused"', count=count)
        wait_until(lambda: sockets_of(server) == idle, "the end of the connection")
    refused = [event for event in server.events if event["event"] == "refused"]
    assert {event["reason"] for event in refused} == {"tls_failed"}
    words = {
        "none": "peer did not return a certificate",
        "expired": "certificate verify failed: certificate has expired",
        "of another authority": "certificate verify failed: unable to get local issuer certificate",
    }
    assert {event["error"] for event in refused} == {words[bad]}


def server_holds(server: Program) -> int:
    """Connections of its port that the kernel still has as established or half closed at the server's side."""
    port = f":{server.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] in ("01", "04", "05", "08") for row in rows)


def test_plain_text_and_a_client_that_leaves_are_refused_with_reasons(listen: Start) -> None:
    server = listen("--format", "json", "--tls")
    with connect(server.port) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert read_to_end(client) == b""
    server.wait_for("it spoke no TLS: its first bytes are 'GET / HTTP/1.1")
    with connect(server.port) as client:
        client.sendall(b"\x00\x01\x02hello there, is anybody in\n")
        read_to_end(client)
    server.wait_for(r"it spoke no TLS: its first bytes are '.*hello there")
    with connect(server.port) as client:
        client.sendall(b"x")  # fewer bytes than OpenSSL wants to see
        read_to_end(client)
    server.wait_for("it spoke no TLS: its first bytes are 'x'")
    with connect(server.port):
        pass
    server.wait_for('"error":"the peer closed the connection before it sent anything"')
    with connect(server.port) as client:
        client.sendall(b"\x16\x03\x01")
    server.wait_for('"error":"the peer closed the connection in mid-handshake"')
    server.stop()
    assert not [event for event in server.events if event["event"] == "opened"]


def test_an_intermediate_or_a_client_certificate_alone_is_trusted(listen: Start, tmp_path: Path) -> None:
    intermediate = Authority(tmp_path, "intermediate", Authority(tmp_path, "root"))
    own, friend, other = (intermediate.sign(name) for name in ("server", "a friend", "another"))
    for trusted, welcome in ((intermediate.path, (friend, other)), (friend.certificate, (friend,))):
        server = listen(
            "--format", "json", "--tls", "--tls-cert", own.certificate, "--tls-key", own.key, "--tls-ca", trusted,
            "--tls-verify",
        )  # fmt: skip
        for number, files in enumerate((friend, other), 1):
            words = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-cert", files.certificate]
            subprocess.run(
                [*words, "-key", files.key], input=b"", capture_output=True,
                timeout=DEADLINE_S, check=False,
            )  # fmt: skip
            server.wait_for('"(closed|refused)"', count=number)
        opened = [event["tls"]["peer"] for event in server.events if event["event"] == "opened"]
        assert opened == ["CN=a friend", "CN=another"][: len(welcome)]
        server.stop()


def test_an_encrypted_key(listen: Start, authority: Authority, tmp_path: Path) -> None:
    own, locked = authority.sign("server"), tmp_path / "locked.key"
    password = tmp_path / "password"
    password.write_text("open sesame\n")
    subprocess.run(
        ["openssl", "pkey", "-in", own.key, "-aes256", "-passout", f"file:{password}", "-out", locked], check=True
    )
    options = ("--tls", "--tls-cert", own.certificate, "--tls-key", str(locked))
    server = listen(*options, "--tls-key-password-file", str(password), "--greet", "in")
    with shaken(server, ssl.create_default_context(cafile=authority.path), "localhost") as client:
        assert client.recv(10) == b"in"
    without = listen(*options)
    assert without.wait() == 1
    assert without.err.decode().splitlines() == [
        f"portside: --tls-cert {own.certificate} and --tls-key {locked}: the key is encrypted",
        "hint: --tls-key-password-file FILE has its password in the first line",
    ]


HELLO_CLIENTS = {
    "openssl": ["openssl", "s_client", "-connect", "127.0.0.1:{port}"],
    "ncat": ["ncat", "--ssl", "127.0.0.1", "{port}"],
    "socat": ["socat", "-", "OPENSSL:127.0.0.1:{port},verify=0"],
}


@pytest.mark.parametrize("client", HELLO_CLIENTS)
def test_a_client_that_speaks_tls_on_a_plain_port_is_told_of_once(start: Start, listen: Start, client: str) -> None:
    server = listen("--format", "json", "--greet", "hello\n")
    for number in (1, 2):
        start(command=tuple(word.format(port=server.port) for word in HELLO_CLIENTS[client]))
        server.wait_for('"received"', count=number)
    server.stop()
    (line,) = server.err.decode().splitlines()
    assert re.fullmatch(r"portside: #1 127\.0\.0\.1:\d+ sent a ClientHello: this looks like TLS: --tls", line)


def test_a_hello_in_pieces_is_known_and_bytes_that_are_none_are_not(listen: Start) -> None:
    server = listen("--format", "json")
    hello = _hello("localhost")
    with connect(server.port) as other, connect(server.port) as client:
        for piece in (b"x", hello):  # in the middle of a stream
            other.sendall(piece)
            server.wait_for(f'"received".*"conn":1.*"size":{len(piece)}')
        for number in range(4):
            client.sendall(hello[number : number + 1])
            server.wait_for('"received".*"conn":2', count=number + 1)
        assert not server.err
        client.sendall(hello[4:])
        server.wait_for("#2 .* this looks like TLS: --tls\n", err=True)


def test_tls_through_a_plain_relay_is_told_of_with_what_shows_it(listen: Start) -> None:
    upstream = listen("--tls", "--echo")
    server = listen("--forward", f"127.0.0.1:{upstream.port}")
    with shaken(server) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    server.wait_for("this looks like TLS: --tls\nhint: --tls with --forward-tls shows what is in it\n", err=True)


def test_a_name_that_is_none_harms_nobody(listen: Start) -> None:
    server = listen("--format", "json", "--tls")
    hello = bytearray(_hello("nobody.example"))
    at = hello.index(b"nobody.example")
    hello[at : at + 6] = b"\xff\x1b[2J\x07"
    with connect(server.port) as client:
        client.sendall(hello)
        client.shutdown(socket.SHUT_WR)
        read_to_end(client)
    server.wait_for('"refused"')
    server.stop()
    assert b"Traceback" not in server.err
    assert b"\x1b" not in server.err


def _hello(name: str) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = unverified_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_a_thousand_that_stop_in_mid_handshake_delay_nobody_and_are_refused(listen: Start) -> None:
    server = listen("--format", "json", "--tls", "--echo", "--max-handshakes", "2000")
    with shaken(server) as client:
        client.sendall(b"x")
        client.recv(1)
    before = memory_kib(server.process.pid)
    half = _hello("slow.example")[:-1]
    with ExitStack() as stack:
        for number in range(1000):
            slow = stack.enter_context(connect(server.port))
            slow.sendall(half if number % 2 else half[:20])
        with shaken(server) as client:
            client.sendall(b"still here")
            assert client.recv(100) == b"still here"
        assert server.out.count(b'"error":"no handshake within 10s"') < 1000  # it was not their end that it waited for
        assert memory_kib(server.process.pid) - before < 150 * 1024
        server.wait_for('"error":"no handshake within 10s"', count=1000)
    server.stop()


def test_handshakes_that_stop_hold_bounded_memory_and_give_way(listen: Start) -> None:
    server = listen("--format", "json", "--tls", "--echo", "--max-handshakes", "100")
    hello = _hello("slow.example")
    memory = []
    for wave in range(1, 4):
        with ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(connect(server.port)).sendall(hello)
            with shaken(server) as client:
                client.sendall(b"served after them")
                assert client.recv(100) == b"served after them"
            server.wait_for('"error":"not finished within 1s, with 100 handshakes at once"', count=201 * wave)
        server.wait_for('"refused"', count=300 * wave)
        memory.append(memory_kib(server.process.pid))
    assert memory[2] - memory[0] < 4 * 1024  # 300 of them hold 15 MiB
    server.stop()


def test_headers_that_stop_give_way_too(listen: Start) -> None:
    server = listen("--format", "json", "--tls", "--echo", "--proxy-protocol", "--max-handshakes", "1")
    with connect(server.port) as silent, connect(server.port) as client:
        client.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n")
        with unverified_context().wrap_socket(client) as secure:
            secure.sendall(b"x")
            assert secure.recv(1) == b"x"
        assert silent.recv(1) == b""
    server.wait_for('"refused".*"proxy_header","error":"not finished within 1s, with 1 handshakes at once"')


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_half_close_is_close_notify_and_the_answer_comes_after_it(listen: Start, version: ssl.TLSVersion) -> None:
    server = listen("--format", "json", "--tls", "--sh-exec", "sort")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = unverified_context()
    context.maximum_version = version
    client = context.wrap_bio(incoming, outgoing)
    with connect(server.port) as raw:

        def turn(step: Callable[[], object]) -> object:
            while True:
                try:
                    value = step()
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    data = raw.recv(1 << 16)
                    assert data
                    incoming.write(data)
                else:
                    raw.sendall(outgoing.read())
                    return value

        turn(client.do_handshake)
        turn(lambda: client.write(b"b\na\n"))
        with pytest.raises(ssl.SSLWantReadError):
            client.unwrap()
        raw.sendall(outgoing.read())
        assert turn(lambda: client.read(100)) == b"a\nb\n"
        with pytest.raises(ssl.SSLZeroReturnError):
            turn(lambda: client.read(100))
    server.wait_for('"half_closed"')
    server.wait_for('"closed"')


def test_a_failed_handshake_is_no_served_client(listen: Start) -> None:
    server = listen("--tls", "--once", "--greet", "welcome")
    with connect(server.port) as client:
        client.sendall(b"no TLS at all, sorry\n")
        read_to_end(client)
    with shaken(server) as client:
        assert client.recv(100) == b"welcome"
        client.unwrap()
    assert server.wait() == 0


def test_one_that_is_given_up_before_the_loop_has_it_is_closed_and_says_so() -> None:
    def opened(_transport: TlsTransport) -> None:
        raise AssertionError("nobody shook hands")

    async def give_up(ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        tls = TlsTransport(server_context()[0], opened=opened, failed=lambda _: None, gone=over.set)
        tls.give_up(None)
        await loop.connect_accepted_socket(lambda: tls, ours)
        await asyncio.wait_for(over.wait(), DEADLINE_S)

    ours, theirs = socket.socketpair()
    with theirs:
        run(give_up(ours))
        assert read_to_end(theirs) == b""


def test_twenty_megabytes_each_way(listen: Start) -> None:
    server = listen("--format", "raw", "--tls", "--echo", stdout=subprocess.DEVNULL)
    data = bytes(range(256)) * 80_000
    client = subprocess.run(
        [*_portside("connect", f"127.0.0.1:{server.port}", "--tls", "--no-tls-verify")],
        input=data, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert client.stdout == data


@pytest.mark.parametrize("options", [["--greet", "x"], ["--echo", "--greet", "x"]])
def test_a_client_that_sends_fin_without_close_notify_gets_ours(listen: Start, options: list[str]) -> None:
    server = listen("--tls", *options)
    with unverified_context().wrap_socket(connect(server.port), suppress_ragged_eofs=False) as client:
        with socket.socket(fileno=os.dup(client.fileno())) as below:
            below.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b"x"
        assert client.recv(10) == b""


def test_keys_are_logged_for_wireshark(listen: Start, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    server = listen("--tls", "--greet", "x", env={"SSLKEYLOGFILE": str(path)})
    with shaken(server) as client:
        client.recv(1)
    assert "SERVER_HANDSHAKE_TRAFFIC_SECRET" in path.read_text()


def _portside(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "portside", *arguments]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tls-cert", "x"], "--tls-cert goes with --tls"),
        (["--tls", "--tls-key", "x"], "--tls-key goes with --tls-cert"),
        (["--tls", "--tls-verify"], "--tls-verify goes with --tls-ca"),
        (["--proxy-protocol-from", "::1"], "--proxy-protocol-from goes with --proxy-protocol"),
        (["--tls", "--tls-alpn", "h2,,x"], "are no names of protocols"),
    ],
)
def test_wrong_usage(listen: Start, arguments: list[str], words: str) -> None:
    server = listen(*arguments)
    assert server.wait() == 2
    assert words in server.err.decode()
    assert b"Traceback" not in server.err


def test_a_missing_certificate_is_told_before_the_port_is_open(listen: Start) -> None:
    server = listen("--tls", "--tls-cert", "/nonexistent.pem")
    assert server.wait() == 1
    assert server.err.decode().splitlines() == ["portside: --tls-cert /nonexistent.pem: No such file or directory"]
