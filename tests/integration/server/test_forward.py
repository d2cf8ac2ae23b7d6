"""`--forward`: what passes, how ends are passed on, and that neither side can make the relay grow."""

import contextlib
import hashlib
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Start
from support import (
    DEADLINE_S,
    Program,
    connect,
    free_port,
    is_reset_on_connect,
    listening_port,
    memory_kib,
    read_to_end,
    reset,
    wait_until,
)

from portside.tls.self_signed import make_certificate

MEGABYTE = 1 << 20


class UpstreamServer:
    """The upstream of a relay, in the hands of the test."""

    def __init__(self, family: int = socket.AF_INET, where: Any = ("127.0.0.1", 0), backlog: int = 16) -> None:
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind(where)
        self.listener.listen(backlog)
        self.listener.settimeout(DEADLINE_S)
        self._accepted: list[socket.socket] = []

    @property
    def address(self) -> str:
        name = self.listener.getsockname()
        return f"unix:{name}" if isinstance(name, str) else f"127.0.0.1:{name[1]}"

    def accept(self) -> socket.socket:
        taken, _ = self.listener.accept()
        taken.settimeout(DEADLINE_S)
        self._accepted.append(taken)
        return taken

    def close(self) -> None:
        for each in (self.listener, *self._accepted):
            each.close()


RESOLVES_ITSELF = """
import socket
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **options: real(
    b"127.0.0.1" if host == b"myself.test" else host, *rest, **options
)
from portside.cli import main
main()
"""


@pytest.fixture
def upstream() -> Iterator[UpstreamServer]:
    server = UpstreamServer()
    yield server
    server.close()


@pytest.fixture
def relay(listen: Start, upstream: UpstreamServer) -> Program:
    return listen("--forward", upstream.address, "--format", "json")


def closed(server: Program) -> dict[str, Any]:
    """The first connection's end."""
    server.wait_for('"closed"')
    return next(event for event in server.events if event["event"] == "closed")


def forwarded_to(server: Program) -> str:
    """The upstream address that took the first connection."""
    server.wait_for('"forwarded"')
    return str(next(event for event in server.events if event["event"] == "forwarded")["address"])


def told(server: Program, name: str) -> bytes:
    return b"".join(event["text"].encode() for event in server.events if event["event"] == name)


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


# What passes.


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[bytes, int]]:
    """A page, and the port of a web server that has it."""
    content = os.urandom(300_000)
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "page").write_bytes(content)
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", str(tmp_path / "www")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout
        said = re.search(r"port (\d+)", server.stdout.readline())
        assert said
        yield content, int(said[1])
        server.kill()


def curl(port: int) -> bytes:
    command = ["curl", "-s", "-S", "-A", "test", "-H", "Host: localhost", f"http://127.0.0.1:{port}/page"]
    return subprocess.run(command, capture_output=True, check=True, timeout=DEADLINE_S).stdout


def test_a_page_for_curl_recorded_and_played_again(
    listen: Start, start: Start, page: tuple[bytes, int], tmp_path: Path
) -> None:
    content, port = page
    server = listen("--forward", f"127.0.0.1:{port}", "--record", str(tmp_path / "rec"))
    assert curl(server.port) == content
    server.wait_for("closed by (upstream|peer) after")
    assert server.stop() == 0
    server.wait_for("> GET /page HTTP/1.1")
    server.wait_for("< HTTP/1.0 200 OK")
    again = start("rec", "replay", str(tmp_path / "rec"), "1", "127.0.0.1:0", "--as", "server")
    again.wait_for(r"listening on", err=True)
    assert curl(again.port) == content
    assert again.wait() == 0


def test_tls_here_and_clear_there(listen: Start, page: tuple[bytes, int]) -> None:
    content, port = page
    server = listen("--tls", "--forward", f"127.0.0.1:{port}", "--format", "json")
    command = ["curl", "-s", "-S", "-k", f"https://127.0.0.1:{server.port}/page"]
    assert subprocess.run(command, capture_output=True, check=True, timeout=DEADLINE_S).stdout == content
    assert closed(server)["reason"] in ("peer_closed", "local_closed")


def test_a_hundred_megabytes_both_ways_at_once(listen: Start, upstream: UpstreamServer) -> None:
    server = listen("--forward", upstream.address, "--format", "raw", stdout=subprocess.DEVNULL)
    port = wait_until(lambda: server_port(server), "the port")
    data = os.urandom(MEGABYTE)
    sums: dict[str, str] = {}

    def both(name: str, end: socket.socket) -> None:
        def send() -> None:
            for _ in range(100):
                end.sendall(data)
            end.shutdown(socket.SHUT_WR)

        sender = in_background(send)
        found = hashlib.sha256()
        while chunk := end.recv(1 << 18):
            found.update(chunk)
        sender.join()
        sums[name] = found.hexdigest()

    with connect(port) as client:
        there = upstream.accept()
        other = in_background(lambda: both("upstream", there))
        both("client", client)
        other.join(DEADLINE_S)
    expected = hashlib.sha256(data * 100).hexdigest()
    assert sums == {"client": expected, "upstream": expected}
    assert memory_kib(server.process.pid) < 150_000


def server_port(server: Program) -> int | None:
    return listening_port(server.process.pid)


def test_an_upstream_on_a_unix_socket(listen: Start, tmp_path: Path) -> None:
    upstream = UpstreamServer(socket.AF_UNIX, str(tmp_path / "upstream"))
    server = listen("--forward", upstream.address, "--format", "json")
    with connect(server.port) as client:
        client.sendall(b"to a path\n")
        there = upstream.accept()
        assert there.recv(100) == b"to a path\n"
        there.sendall(b"and back\n")
        assert client.recv(100) == b"and back\n"
        assert forwarded_to(server) == f"unix:{tmp_path}/upstream"
    upstream.close()


def test_the_next_address_of_a_name_is_tried(listen: Start, upstream: UpstreamServer) -> None:
    """localhost is ::1 too, where nobody listens."""
    server = listen("--forward", upstream.address.replace("127.0.0.1", "localhost"), "--format", "json")
    with connect(server.port) as client:
        upstream.accept().sendall(b"here\n")
        assert client.recv(100) == b"here\n"
        assert forwarded_to(server) == upstream.address


def test_text_says_which_upstream_address_took_the_connection(listen: Start, upstream: UpstreamServer) -> None:
    server = listen("--forward", upstream.address)
    with connect(server.port) as client:
        upstream.accept()
        peer = "{}:{}".format(*client.getsockname())
        server.wait_for(f"  #1 {peer}  forwarded to {upstream.address}$")


# How ends are passed on.


@pytest.mark.parametrize("command", [("nc", "-N"), ("ncat",)])
def test_the_clients_fin(relay: Program, upstream: UpstreamServer, command: tuple[str, ...]) -> None:
    client = subprocess.Popen([*command, "127.0.0.1", str(relay.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    there = upstream.accept()
    assert client.stdin
    client.stdin.write(b"a question\n")
    client.stdin.close()
    client.stdin = None
    assert read_to_end(there) == b"a question\n"
    there.sendall(b"an answer after FIN\n")
    there.close()
    assert client.communicate(timeout=DEADLINE_S)[0] == b"an answer after FIN\n"
    end = closed(relay)
    assert (end["reason"], end["received"], end["sent"]) == ("peer_closed", 11, 20)
    assert "by" not in end
    assert sum(event["event"] == "half_closed" for event in relay.events) == 1


def test_the_upstreams_fin(relay: Program, upstream: UpstreamServer) -> None:
    with connect(relay.port) as client:
        there = upstream.accept()
        there.sendall(b"my last\n")
        there.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"my last\n"
        client.sendall(b"more of mine\n")
        assert there.recv(100) == b"more of mine\n"
        client.shutdown(socket.SHUT_WR)
        assert there.recv(100) == b""
        there.close()
        end = closed(relay)
    assert (end["reason"], end["by"], end["received"], end["sent"]) == ("local_closed", "upstream", 13, 8)


def test_who_closed_first_in_words(listen: Start, upstream: UpstreamServer) -> None:
    server = listen("--forward", upstream.address)
    with connect(server.port) as client:
        there = upstream.accept()
        there.close()
        assert client.recv(10) == b""
    server.wait_for("closed by upstream after .*, 0 B in, 0 B out")
    with connect(server.port) as client:
        there = upstream.accept()
        client.sendall(b"x")
        assert there.recv(1) == b"x"
        reset(there)
        server.wait_for("reset by upstream after .*, 1 B in, 0 B out")


def test_the_clients_reset(relay: Program, upstream: UpstreamServer) -> None:
    client = connect(relay.port)
    there = upstream.accept()
    client.sendall(b"before\n")
    assert there.recv(100) == b"before\n"
    reset(client)
    with pytest.raises(ConnectionResetError):
        there.recv(100)
    assert closed(relay)["reason"] == "peer_reset"


def test_the_upstreams_reset(relay: Program, upstream: UpstreamServer) -> None:
    with connect(relay.port) as client:
        there = upstream.accept()
        client.sendall(b"x")
        assert there.recv(1) == b"x"  # the relay has seen that it is connected
        there.sendall(b"before\n")
        reset(there)
        assert client.recv(100) == b"before\n"
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    end = closed(relay)
    assert (end["reason"], end["by"], end["sent"]) == ("local_reset", "upstream", 7)


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_reset_after_fin(relay: Program, upstream: UpstreamServer, who: str) -> None:
    """Nothing is left to be read there, and nothing is being written."""
    client = connect(relay.port)
    there = upstream.accept()
    first, other = (client, there) if who == "client" else (there, client)
    first.shutdown(socket.SHUT_WR)
    assert other.recv(10) == b""
    reset(first)
    # What the other side sends from now on meets the reset, as it would without a relay.
    relay.wait_for('"closed"')
    with pytest.raises(ConnectionError):
        send_for_ever(other)
    end = closed(relay)
    assert (end["reason"], end.get("by")) == (("peer_reset", None) if who == "client" else ("local_reset", "upstream"))
    other.close()


def test_an_upstream_that_refuses(listen: Start) -> None:
    address = f"127.0.0.1:{free_port()}"
    server = listen("--forward", address, "--format", "json")
    assert is_reset_on_connect(server.port)
    end = closed(server)
    assert (end["reason"], end["by"]) == ("error", "upstream")
    assert end["error"] == f"cannot connect to {address}: Connection refused"


def test_an_upstream_without_a_name(listen: Start) -> None:
    quick = {"RES_OPTIONS": "timeout:1 attempts:1"}
    server = listen("--forward", "no-such-host.invalid:80", "--format", "json", env=quick)
    assert is_reset_on_connect(server.port)
    assert closed(server)["error"].startswith("cannot connect to no-such-host.invalid:80: ")


def test_a_path_without_a_socket(listen: Start, tmp_path: Path) -> None:
    server = listen("--forward", f"unix:{tmp_path}/none", "--format", "json")
    assert is_reset_on_connect(server.port)
    assert closed(server)["error"] == f"cannot connect to unix:{tmp_path}/none: No such file or directory"


def test_the_end_of_the_run(relay: Program, upstream: UpstreamServer) -> None:
    with connect(relay.port) as client:
        there = upstream.accept()
        client.sendall(b"x\n")
        assert there.recv(10) == b"x\n"
        assert relay.stop() == 0
        assert there.recv(10) == b""
        assert client.recv(10) == b""
    assert closed(relay)["reason"] == "shutdown"


# Before upstream is there.


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[UpstreamServer]:
    """An upstream server whose accept queue is full."""
    upstream = UpstreamServer(socket.AF_UNIX, str(tmp_path / "busy"), backlog=0)
    filler = socket.socket(socket.AF_UNIX)
    filler.connect(str(tmp_path / "busy"))
    yield upstream
    filler.close()
    upstream.close()


def test_what_is_sent_early_waits(listen: Start, busy: UpstreamServer) -> None:
    server = listen("--forward", busy.address, "--format", "json")
    with connect(server.port) as client:
        client.sendall(b"early\n")
        client.shutdown(socket.SHUT_WR)
        server.wait_for('"half_closed"')  # seen, though nobody has it yet
        busy.accept()
        there = busy.accept()
        assert read_to_end(there) == b"early\n"
        there.sendall(b"late\n")
        there.close()
        assert read_to_end(client) == b"late\n"
    assert closed(server)["reason"] == "peer_closed"


def test_early_data_is_bounded(listen: Start, busy: UpstreamServer) -> None:
    server = listen("--forward", busy.address, "--format", "json", "-o", "/dev/null", stdout=subprocess.DEVNULL)
    port = wait_until(lambda: server_port(server), "the port")
    with connect(port) as client:
        sent = send_until_full(client)
        assert memory_kib(server.process.pid) < 100_000
        busy.accept()
        there = busy.accept()
        client.shutdown(socket.SHUT_WR)
        assert len(read_to_end(there)) == sent


def test_a_client_that_leaves_early(listen: Start, busy: UpstreamServer) -> None:
    server = listen("--forward", busy.address, "--format", "json")
    client = connect(server.port)
    server.wait_for('"opened"')
    reset(client)
    assert closed(server)["reason"] == "peer_reset"
    assert server.stop() == 0


# Sides that take nothing.


def send_until_full(sender: socket.socket) -> int:
    """Send until nothing is taken for a while; how much was."""
    block, sent = b"x" * MEGABYTE, 0
    sender.settimeout(1.0)
    try:
        while sent < 300 * MEGABYTE:
            sent += sender.send(block)
    except TimeoutError:
        sender.settimeout(DEADLINE_S)
        return sent
    raise AssertionError("it takes everything")


def send_for_ever(sender: socket.socket) -> None:
    while True:
        sender.send(b"x" * MEGABYTE)


@pytest.mark.parametrize("stalled", ["upstream", "client"])
def test_a_side_that_stalls_stops_the_other(listen: Start, upstream: UpstreamServer, stalled: str) -> None:
    server = listen("--forward", upstream.address, "--format", "json", "-o", "/dev/null", stdout=subprocess.DEVNULL)
    port = wait_until(lambda: server_port(server), "the port")
    with connect(port) as client:
        there = upstream.accept()
        sender, reader = (client, there) if stalled == "upstream" else (there, client)
        before = memory_kib(server.process.pid)
        sent = send_until_full(sender)
        assert memory_kib(server.process.pid) - before < 20_000
        sender.shutdown(socket.SHUT_WR)
        assert len(read_to_end(reader)) == sent


def test_an_output_that_nobody_reads_stops_both(listen: Start, upstream: UpstreamServer) -> None:
    read_fd, write_fd = os.pipe()
    server = listen("--forward", upstream.address, "--format", "json", stdout=write_fd)
    os.close(write_fd)
    port = wait_until(lambda: server_port(server), "the port")
    with connect(port) as client, open(read_fd, "rb") as output:
        there = upstream.accept()
        drop = in_background(lambda: read_to_end(client))
        sent = send_until_full(there)
        assert memory_kib(server.process.pid) < 150_000
        shown = in_background(output.read)
        there.close()
        drop.join(DEADLINE_S)
        assert not drop.is_alive(), f"{sent} bytes went in"
        client.close()
        assert server.stop() == 0
        shown.join(DEADLINE_S)


def test_nothing_moves_either_way(listen: Start, upstream: UpstreamServer) -> None:
    server = listen("--forward", upstream.address, "--format", "json", "--idle-timeout", "4s")
    with connect(server.port) as client:
        there = upstream.accept()
        for _ in range(15):
            there.sendall(b".")
            assert client.recv(1) == b"."
            threading.Event().wait(0.3)  # the time that passes is the thing tested: less than the timeout each
        assert not any(event["event"] == "closed" for event in server.events)
        assert client.recv(1) == b""
        assert there.recv(1) == b""
    assert closed(server)["reason"] == "idle_timeout"


def test_a_stalled_upstream_is_idle(listen: Start, upstream: UpstreamServer) -> None:
    server = listen("--forward", upstream.address, "--format", "raw", "--idle-timeout", "1s", "-o", "/dev/null",
                    stdout=subprocess.DEVNULL)  # fmt: skip
    port = wait_until(lambda: server_port(server), "the port")
    with connect(port) as client:
        upstream.accept()
        with pytest.raises(ConnectionError):
            send_for_ever(client)


# What comes first.


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_proxy_header(listen: Start, upstream: UpstreamServer, version: str) -> None:
    server = listen("--forward", upstream.address, "--send-proxy", version, "--format", "json")
    with connect(server.port) as client:
        there = upstream.accept()
        client.sendall(b"mine\n")
        client.shutdown(socket.SHUT_WR)
        came = read_to_end(there)
        port = client.getsockname()[1]
        there.close()
    if version == "v1":
        assert came == b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\nmine\n" % (port, server.port)
    else:
        ends = socket.inet_aton("127.0.0.1") * 2 + port.to_bytes(2, "big") + server.port.to_bytes(2, "big")
        assert came == b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + ends + b"mine\n"
    assert closed(server)["received"] == 5
    assert told(server, "received") == b"mine\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed one of localhost, with its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(b"".join(make_certificate()))
    return path


@pytest.mark.parametrize("option", [("--no-forward-tls-verify",), ("--forward-tls-ca",), ()])
def test_tls_to_the_upstream(
    listen: Start, upstream: UpstreamServer, certificate: Path, option: tuple[str, ...]
) -> None:
    options = (*option, str(certificate)) if "--forward-tls-ca" in option else option
    server = listen("--forward", upstream.address, "--forward-tls", *options, "--format", "json")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with connect(server.port) as client:
        client.sendall(b"in the clear here\n")
        if not option:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(upstream.accept(), server_side=True)
            assert "self-signed certificate" in closed(server)["error"]
            return
        with context.wrap_socket(upstream.accept(), server_side=True) as there:
            assert there.recv(100) == b"in the clear here\n"
            there.sendall(b"and there not\n")
            assert client.recv(100) == b"and there not\n"
            last = in_background(there.unwrap)  # close_notify, and it waits for ours
            assert client.recv(100) == b""
            client.shutdown(socket.SHUT_WR)
            end = closed(server)
            last.join(DEADLINE_S)
    assert (end["reason"], end["by"]) == ("local_closed", "upstream")


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def secure(request: pytest.FixtureRequest, certificate: Path) -> ssl.SSLContext:
    """How an upstream speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.maximum_version = request.param
    return context


def test_the_clients_fin_over_tls(listen: Start, upstream: UpstreamServer, secure: ssl.SSLContext) -> None:
    server = listen("--forward", upstream.address, "--forward-tls", "--no-forward-tls-verify", "--format", "json")
    with connect(server.port) as client:
        client.sendall(b"a question\n")
        client.shutdown(socket.SHUT_WR)
        raw = upstream.accept()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = secure.wrap_bio(incoming, outgoing, server_side=True)

        def pump(work: Callable[[], object]) -> object:
            while True:
                try:
                    return work()
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    data = raw.recv(1 << 16)
                    assert data, "FIN below TLS"
                    incoming.write(data)

        pump(tls.do_handshake)
        assert pump(tls.read) == b"a question\n"
        assert pump(tls.read) == b""  # close_notify, and no FIN
        tls.write(b"an answer after it\n")
        raw.sendall(outgoing.read())
        assert client.recv(100) == b"an answer after it\n"
        tls.unwrap()
        raw.sendall(outgoing.read())
        assert client.recv(100) == b""
        assert read_to_end(raw) == b""
    end = closed(server)
    assert (end["reason"], end["received"], end["sent"]) == ("peer_closed", 11, 19)


def test_clients_that_close_are_let_go_over_tls(listen: Start) -> None:
    upstream = listen("--tls", "--echo", "--format", "json")
    options = ("--forward-tls", "--no-forward-tls-verify", "--format", "json")
    server = listen("--forward", f"127.0.0.1:{upstream.port}", *options)
    for _ in range(5):
        with connect(server.port) as client:
            client.sendall(b"x\n")
            assert client.recv(10) == b"x\n"
    server.wait_for('"closed"', count=5)
    upstream.wait_for('"closed"', count=5)
    assert {event["reason"] for event in server.events if event["event"] == "closed"} == {"peer_closed"}


OWN = [
    ("127.0.0.1:0", "127.0.0.1:{port}"),
    ("127.0.0.1:0", "{port}"),
    ("127.0.0.1:0", "localhost:{port}"),
    ("127.0.0.1:0", "127.1:{port}"),
    ("127.0.0.1:0", "[::ffff:127.0.0.1]:{port}"),
    ("127.0.0.1:0", "0.0.0.0:{port}"),
    ("[::1]:0", "[::1]:{port}"),
    ("[::1]:0", "[::]:{port}"),
    ("0.0.0.0:0", "127.0.0.9:{port}"),
    ("0.0.0.0:0", "0.0.0.0:{port}"),
    ("0.0.0.0:0", "[::ffff:127.0.0.9]:{port}"),
    ("[::]:0", "[::1]:{port}"),
    ("[::]:0", "[::]:{port}"),
    ("0", "[::]:{port}"),
]


@pytest.mark.parametrize(("address", "target"), OWN)
def test_a_relay_to_itself_is_refused_by_any_of_its_addresses(start: Start, address: str, target: str) -> None:
    port = free_port()
    target = target.format(port=port)
    server = start("listen", address.removesuffix("0") + str(port), "--forward", target)
    assert server.wait() == 2
    what = f"localhost:{port}" if target == str(port) else target
    assert server.err.decode().splitlines()[0] == f"portside: --forward {what}: this server listens there itself"


def test_a_relay_to_its_own_unix_socket_is_refused(start: Start, tmp_path: Path) -> None:
    own, link = tmp_path / "own", tmp_path / "link"
    link.symlink_to(own)
    for listens, target in ((f"unix:{own}", f"unix:{link}"), (f"unix:@{tmp_path}", f"unix:@{tmp_path}")):
        server = start("listen", listens, "--forward", target)
        assert server.wait() == 2
        assert "this server listens there itself" in server.err.decode()
    assert not own.exists()


def test_a_name_of_this_machine_that_only_the_resolver_knows_is_refused_when_a_client_comes(start: Start) -> None:
    port = free_port()
    command = (sys.executable, "-c", RESOLVES_ITSELF)
    server = start(
        "listen", f"127.0.0.1:{port}", "--forward", f"myself.test:{port}", "--format", "json", command=command
    )
    server.wait_for('"listening"')
    with connect(port) as client, pytest.raises(ConnectionResetError):
        client.recv(1)
    end = closed(server)
    assert end["error"] == f"cannot connect to myself.test:{port}: this server listens there itself"
    assert [event["event"] for event in server.events].count("opened") == 1


def test_a_server_behind_the_relay_on_the_same_port_of_another_address(listen: Start, start: Start) -> None:
    port = free_port()
    upstream = start("listen", f"127.0.0.2:{port}", "--echo")
    upstream.wait_for("listening")
    relay = start("listen", f"127.0.0.1:{port}", "--forward", f"127.0.0.2:{port}")
    with connect(relay.port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"


def test_an_upstream_that_speaks_no_tls(listen: Start, upstream: UpstreamServer) -> None:
    server = listen("--forward", upstream.address, "--forward-tls", "--format", "json")
    with connect(server.port) as client:
        upstream.accept().sendall(b"220 hello\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert (
        closed(server)["error"]
        == f"cannot connect to {upstream.address}: it spoke no TLS: its first bytes are '220 hello\\r\\n'"
    )


def test_a_client_that_leaves_in_mid_handshake(listen: Start, upstream: UpstreamServer) -> None:
    server = listen("--forward", upstream.address, "--forward-tls", "--format", "json")
    client = connect(server.port)
    there = upstream.accept()
    assert there.recv(1) == b"\x16"  # its hello
    reset(client)
    assert closed(server)["reason"] == "peer_reset"
    with contextlib.suppress(ConnectionResetError):
        read_to_end(there)


# Usage.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--forward", "80", "--echo"), "exclude each other"),
        (("--forward", "80", "--stdin"), "--forward and --stdin exclude each other"),
        (("--forward-tls",), "--forward-tls goes with --forward"),
        (("--send-proxy", "v1"), "--send-proxy goes with --forward"),
        (("--forward", "80", "--no-forward-tls-verify"), "--no-forward-tls-verify goes with --forward-tls"),
        (("--forward", "80-90"), "range of ports"),
        (("--forward", "0"), "port 0"),
    ],
)
def test_wrong_use(start: Start, options: tuple[str, ...], words: str) -> None:
    server = start("listen", "127.0.0.1:0", *options)
    assert server.wait() == 2
    assert words in server.err.decode()
