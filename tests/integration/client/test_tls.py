"""``connect --tls`` against OpenSSL's own server, ncat, socat, ours, and servers that are not good."""

import base64
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from certificates import Authority
from conftest import Start
from integration.client.conftest import Connect, Peer, feed
from support import DEADLINE_S, free_port, listening_port, read_to_end, wait_until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextmanager
def running(words: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def test_openssl_s_server(connect: Connect, authority: Authority) -> None:
    own, port = authority.sign("server"), free_port()
    words = ["openssl", "s_server", "-quiet", "-4", "-accept", f"127.0.0.1:{port}", "-alpn", "one,two"]
    with running([*words, "-cert", own.certificate, "-key", own.key]) as server:
        wait_until(lambda: listening_port(server.pid), "s_server")
        program = connect(
            f"localhost:{port}", "-4", "--tls", "--tls-ca", authority.path, "--tls-alpn", "two", "-v",
            stdin=subprocess.PIPE,
        )  # fmt: skip
        assert program.process.stdin is not None
        assert server.stdin is not None
        assert server.stdout is not None
        program.process.stdin.write(b"there\n")
        program.process.stdin.flush()
        assert server.stdout.readline() == b"there\n"
        server.stdin.write(b"and back\n")
        server.stdin.flush()
        program.wait_for("and back")
        program.process.stdin.close()
        assert program.wait() == 0
    said = program.err.decode()
    assert "TLSv1.3 TLS_AES_256_GCM_SHA384, alpn two" in said
    assert "the peer's certificate: CN=server, SHA-256 " in said


@pytest.mark.parametrize(
    "words",
    [
        ["ncat", "--listen", "--ssl", "--ssl-cert", "{cert}", "--ssl-key", "{key}", "--exec", "/bin/cat",
         "127.0.0.1", "{port}"],
        ["socat", "OPENSSL-LISTEN:{port},bind=127.0.0.1,cert={cert},key={key},verify=0", "EXEC:cat"],
    ],
    ids=["ncat", "socat"],
)  # fmt: skip
def test_ncat_and_socat(connect: Connect, authority: Authority, words: list[str]) -> None:
    own, port = authority.sign("server"), free_port()
    with running([word.format(port=port, cert=own.certificate, key=own.key) for word in words]) as server:
        wait_until(lambda: listening_port(server.pid), words[0])
        program = connect(
            f"127.0.0.1:{port}", "--tls", "--tls-ca", authority.path, "--no-shutdown", stdin=subprocess.PIPE
        )
        assert program.process.stdin is not None
        program.process.stdin.write(b"to and fro\n")
        program.process.stdin.flush()
        program.wait_for("to and fro")


class TlsPeer:
    """A server of one connection, in a thread, in the hands of the test."""

    def __init__(self, peer: Peer, authority: Authority, **signing: object) -> None:
        own = authority.sign("server", **signing)  # type: ignore[arg-type]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*own)
        self._peer = peer
        self.address = f"localhost:{peer.port}"

    def accept(self) -> ssl.SSLSocket:
        return self.context.wrap_socket(self._peer.accept(), server_side=True)


@pytest.fixture
def tls_peer(peer: Peer, authority: Authority) -> TlsPeer:
    return TlsPeer(peer, authority)


def test_after_the_end_of_input_it_says_so_and_reads_on(
    connect: Connect, tls_peer: TlsPeer, authority: Authority
) -> None:
    program = connect(tls_peer.address, "--tls", "--tls-ca", authority.path, "--format", "json", stdin=subprocess.PIPE)
    feed(program, b"question")
    with tls_peer.accept() as other:
        assert other.recv(100) == b"question"
        assert other.recv(100) == b""  # close_notify
        other.sendall(b"answer")
        other.unwrap()
    assert program.wait() == 0
    names = [event["event"] for event in program.events]
    assert names == ["opened", "sent", "received", "closed"]
    assert program.events[0]["tls"]["sni"] == "localhost"
    assert program.events[0]["tls"]["peer"] == "CN=server"
    assert not program.err


@pytest.mark.parametrize("form", ["raw", "json"])
def test_megabytes_both_ways_at_once(start: Start, connect: Connect, tmp_path: Path, form: str) -> None:
    data = bytes(range(256)) * 40_000
    server = start("listen", "127.0.0.1:0", "--tls", "--echo", "--format", "raw", stdout=subprocess.DEVNULL)
    server.wait_for("listening on", err=True)
    address = f"127.0.0.1:{listening_port(server.process.pid)}"
    with open(tmp_path / "out", "wb") as out:
        program = connect(address, "--tls", "--no-tls-verify", "--format", form, stdin=subprocess.PIPE, stdout=out)
        feed(program, data)
        assert program.wait() == 0, program.err
    came = (tmp_path / "out").read_bytes()
    if form == "json":
        events = [json.loads(line) for line in came.splitlines()]
        for name in ("sent", "received"):
            payload = [event for event in events if event["event"] == name]
            assert (
                b"".join(base64.b64decode(event.get("base64", "")) or event["text"].encode() for event in payload)
                == data
            )
    else:
        assert came == data


def test_an_end_without_close_notify_is_told(connect: Connect, tls_peer: TlsPeer, authority: Authority) -> None:
    program = connect(tls_peer.address, "--tls", "--tls-ca", authority.path, "--recv-only")
    with tls_peer.accept() as other:
        other.sendall(b"half of")
    assert program.wait() == 0
    assert program.out == b"half of"
    assert "closed without a TLS close_notify" in program.err.decode()


def test_a_record_that_never_ends_is_idle(connect: Connect, peer: Peer, authority: Authority) -> None:
    server = TlsPeer(peer, authority)
    program = connect(server.address, "--tls", "--tls-ca", authority.path, "--recv-only", "-i", "300ms")
    with server.accept() as other:
        raw = socket.socket(fileno=other.detach())
        raw.sendall(b"\x17\x03\x03\x40\x00half of a record")
        with raw:
            assert program.wait() == 1
    assert "nothing moved for 0.3s" in program.err.decode()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("expired", "certificate verify failed: certificate has expired"),
        ("another authority", "certificate verify failed: unable to get local issuer certificate"),
        ("another name", "Hostname mismatch, certificate is not valid for 'example.org'"),
    ],
)
def test_a_certificate_that_is_not_good(
    connect: Connect, peer: Peer, authority: Authority, tmp_path: Path, bad: str, words: str
) -> None:
    days = (-9, -1) if bad == "expired" else (-1, 1)
    server = TlsPeer(peer, authority, days=days)
    trusted = Authority(tmp_path, "Other CA") if bad == "another authority" else authority
    name = ["--tls-servername", "example.org"] if bad == "another name" else []
    program = connect(server.address, "--tls", "--tls-ca", trusted.path, *name)
    with pytest.raises(ssl.SSLError, match="alert"):
        server.accept()
    assert program.wait() == 1
    failure, hint = program.err.decode().splitlines()
    assert words in failure
    assert hint.startswith("hint: --tls-ca FILE says who may have signed it")
    assert not program.out


def test_a_required_client_certificate(connect: Connect, tls_peer: TlsPeer, authority: Authority) -> None:
    tls_peer.context.load_verify_locations(authority.path)
    tls_peer.context.verify_mode = ssl.CERT_REQUIRED
    own = authority.sign("me")
    arguments = (tls_peer.address, "--tls", "--tls-ca", authority.path)
    with_it = connect(*arguments, "--tls-cert", own.certificate, "--tls-key", own.key)
    with tls_peer.accept() as other:
        assert dict(pair[0] for pair in other.getpeercert()["subject"])["commonName"] == "me"  # type: ignore[index, misc]
        other.unwrap()
    assert with_it.wait() == 0
    without = connect(*arguments, "--recv-only")
    with pytest.raises(ssl.SSLError, match="did not return a certificate"):
        tls_peer.accept()
    assert without.wait() == 1
    assert "alert certificate required" in without.err.decode()


def test_a_peer_without_tls(connect: Connect, peer: Peer) -> None:
    program = connect(peer.address, "--tls")
    other = peer.accept()
    other.recv(1 << 16)
    other.sendall(b"220 mail.example.org ESMTP at your service\r\n")
    read_to_end(other)
    assert program.wait() == 1
    assert program.err.decode().splitlines() == [
        f"portside: no TLS with {peer.address}: it spoke no TLS: its first bytes are '220 mail.example'",
        "hint: without --tls it may answer",
    ]


def test_a_peer_that_answers_plain_text_with_an_alert(connect: Connect, peer: Peer) -> None:
    program = connect(peer.address, stdin=subprocess.PIPE)
    feed(program, b"hello, is anybody in\n")
    other = peer.accept()
    read_to_end(other)
    other.sendall(b"\x15\x03\x01\0\2\2\x16")  # record_overflow, as Go and rustls answer
    other.close()
    assert program.wait() == 0
    assert program.err.decode().splitlines() == [
        f"portside: {peer.address} answered with a TLS alert: this looks like TLS: --tls"
    ]


@pytest.mark.parametrize("trusted", ["root", "intermediate", "leaf"])
@pytest.mark.parametrize("peer", ["openssl", "ours"])
def test_a_file_of_any_certificate_of_the_chain_is_enough(
    start: Start, connect: Connect, tmp_path: Path, trusted: str, peer: str
) -> None:
    root = Authority(tmp_path, "root")
    intermediate = Authority(tmp_path, "intermediate", root)
    own = intermediate.sign("server")
    chain = tmp_path / "chain"
    chain.write_bytes(Path(own.certificate).read_bytes() + Path(intermediate.path).read_bytes())
    files = {"root": root.path, "intermediate": intermediate.path, "leaf": own.certificate}
    with ExitStack() as stack:
        if peer == "ours":
            server = start("listen", "127.0.0.1:0", "--tls", "--tls-cert", str(chain), "--tls-key", own.key)
            port = server.port
        else:
            port = free_port()
            words = ["openssl", "s_server", "-quiet", "-4", "-accept", f"127.0.0.1:{port}", "-key", own.key]
            process = stack.enter_context(running([*words, "-cert", own.certificate, "-cert_chain", intermediate.path]))
            wait_until(lambda: listening_port(process.pid), "s_server")
        program = connect(f"localhost:{port}", "-4", "--tls", "--tls-ca", files[trusted])
        assert program.wait() == 0, program.err.decode()
        stranger = Authority(tmp_path, "stranger")
        program = connect(f"localhost:{port}", "-4", "--tls", "--tls-ca", stranger.path)
        assert program.wait() == 1
        assert "certificate verify failed" in program.err.decode()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("BÜCHER.test", "xn--bcher-kva.test"),
        ("xn--bcher-kva.test.", "xn--bcher-kva.test"),
        ("[::1]", None),
        ("::ffff:192.0.2.1", None),
    ],
)
def test_the_name_is_told_and_checked_in_the_form_of_certificates(
    connect: Connect, start: Start, authority: Authority, given: str, name: str | None
) -> None:
    own = authority.sign("server", names=["xn--bcher-kva.test", "::1", "192.0.2.1"])
    server = start(
        "listen", "127.0.0.1:0", "--tls", "--tls-cert", own.certificate, "--tls-key", own.key, "--format", "json"
    )
    program = connect(f"127.0.0.1:{server.port}", "--tls", "--tls-ca", authority.path, "--tls-servername", given)
    assert program.wait() == 0, program.err.decode()
    server.wait_for('"opened".*\n')
    assert server.events[1]["tls"].get("sni") == name


def test_a_peer_that_says_nothing_or_leaves(connect: Connect, peer: Peer) -> None:
    began = time.monotonic()
    program = connect(peer.address, "--tls", "-w", "500ms")
    other = peer.accept()
    assert program.wait() == 1
    assert "no handshake within 0.5s" in program.err.decode()
    assert time.monotonic() - began < DEADLINE_S
    other.close()
    program = connect(peer.address, "--tls")
    other = peer.accept()
    other.recv(1 << 16)
    other.close()
    assert program.wait() == 1
    why = "it closed the connection before it sent anything\nhint: does it speak TLS on this port?\n"
    assert program.err.decode().endswith(why)


def test_a_peer_that_sends_back_what_it_gets(connect: Connect, peer: Peer) -> None:
    program = connect(peer.address, "--tls")
    other = peer.accept()
    other.sendall(other.recv(1 << 16))
    read_to_end(other)
    assert program.wait() == 1
    assert program.err.decode().endswith("unexpected message\nhint: does it speak TLS on this port?\n")


def test_ours_against_ours_through_a_unix_socket_with_keys_logged(
    start: Start, connect: Connect, tmp_path: Path
) -> None:
    server = start("listen", f"unix:{tmp_path}/s", "--tls", "--sh-exec", "sort")
    server.wait_for("listening on")
    keys = tmp_path / "keys"
    program = connect(
        f"unix:{tmp_path}/s", "--tls", "--no-tls-verify", stdin=subprocess.PIPE, env={"SSLKEYLOGFILE": str(keys)}
    )
    feed(program, b"b\na\n")
    assert program.wait() == 0
    assert program.out == b"a\nb\n"
    assert "CLIENT_HANDSHAKE_TRAFFIC_SECRET" in keys.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["1", "--tls-ca", "x"], "--tls-ca goes with --tls"),
        (["1", "--no-tls-verify"], "--no-tls-verify goes with --tls"),
        (["1", "--tls", "--tls-key", "x"], "--tls-key goes with --tls-cert"),
        (["1", "--tls", "--tls-ca", "x", "--no-tls-verify"], "exclude each other"),
        (["1", "--tls", "--scan"], "exclude each other"),
        (["unix:/x", "--tls"], "a unix socket has no name"),
        (["1", "--tls", "--tls-servername", "x" * 300], "portside: "),
    ],
)
def test_wrong_usage(connect: Connect, arguments: list[str], words: str) -> None:
    program = connect(*arguments)
    assert program.wait() in (1, 2)
    assert words in program.err.decode()
    assert b"Traceback" not in program.err
