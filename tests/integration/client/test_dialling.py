"""Whom it connects to, from where, and how often it tries."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from integration.client.conftest import RESOLVING, Connect, MakePeer, Peer
from support import free_port


@pytest.mark.parametrize("form", ["{port}", ":{port}", "127.0.0.1:{port}", "127.0.0.1 {port}", "localhost {port}"])
def test_the_forms_of_an_address(connect: Connect, peer: Peer, form: str) -> None:
    program = connect(*form.format(port=peer.port).split())
    peer.accept().close()
    assert program.wait() == 0


@pytest.mark.parametrize("form", ["[::1]:{port}", "::1 {port}", "[::1] {port}", "-6 several.test {port}"])
def test_ipv6(connect: Connect, make_peer: MakePeer, form: str) -> None:
    peer = make_peer(socket.AF_INET6, ("::1", 0))
    words = form.format(port=peer.port).split()
    program = connect("-v", *words, command=RESOLVING, env={"SEVERAL": "::1"})
    peer.accept().close()
    assert program.wait() == 0
    program.wait_for(rf"connected to \[::1\]:{peer.port} from \[::1\]:\d+$", err=True)


def test_every_address_of_a_name_is_tried_in_order(connect: Connect, peer: Peer) -> None:
    program = connect("-v", f"several.test:{peer.port}", command=RESOLVING, env={"SEVERAL": "::1 127.0.0.2 127.0.0.1"})
    peer.accept().close()
    assert program.wait() == 0
    program.wait_for(rf"connected to {peer.address} from", err=True)


def test_where_no_address_of_a_name_answers_each_says_why(connect: Connect, peer: Peer) -> None:
    peer.listener.close()
    program = connect("several.test:1", command=RESOLVING, env={"SEVERAL": "::1 127.0.0.1"})
    assert program.wait() == 1
    assert program.err.decode().splitlines()[0] == (
        "portside: cannot connect to several.test:1: [::1]:1 Connection refused, 127.0.0.1:1 Connection refused"
    )


def test_an_unknown_name(connect: Connect) -> None:
    program = connect("no-such-name.invalid:1")
    assert program.wait() == 1
    program.wait_for("^portside: cannot connect to no-such-name.invalid:1: ", err=True)


def test_a_name_that_is_none(connect: Connect) -> None:
    program = connect("é" * 300 + ":1")
    assert program.wait() == 1
    program.wait_for("is no host name$", err=True)


def test_no_answer_in_time(connect: Connect, make_peer: MakePeer) -> None:
    peer = make_peer(backlog=0)
    with socket.create_connection(("127.0.0.1", peer.port)):  # now its queue is full: the next SYN is dropped
        program = connect("-w", "300ms", peer.address)
        assert program.wait() == 1
    assert program.err.decode().splitlines()[0] == (
        f"portside: cannot connect to {peer.address}: no answer within 0.3s"
    )


def test_the_source_address(connect: Connect, peer: Peer) -> None:
    program = connect("-s", "127.0.0.9", peer.address)
    other = peer.accept()
    assert other.getpeername()[0] == "127.0.0.9"
    other.close()
    assert program.wait() == 0


def test_the_source_port(connect: Connect, peer: Peer) -> None:
    source = free_port()
    program = connect("--source", f"127.0.0.1:{source}", peer.address)
    other = peer.accept()
    assert other.getpeername() == ("127.0.0.1", source)
    other.close()
    assert program.wait() == 0


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("192.0.2.77", "Cannot assign requested address (from 192.0.2.77)"),
        ("::1", "::1 is no IPv4 address"),
    ],
)
def test_a_source_that_is_not_here(connect: Connect, peer: Peer, source: str, why: str) -> None:
    program = connect("-s", source, peer.address)
    assert program.wait() == 1
    assert program.err.decode().splitlines()[0] == f"portside: cannot connect to {peer.address}: {why}"


def test_a_connection_to_itself_counts_as_refused(connect: Connect) -> None:
    port = free_port()
    program = connect("-s", f"127.0.0.1:{port}", f"127.0.0.1:{port}")
    assert program.wait() == 1
    program.wait_for("Connection refused", err=True)


@pytest.mark.parametrize("abstract", [False, True])
def test_unix_sockets(connect: Connect, make_peer: MakePeer, tmp_path: Path, abstract: bool) -> None:
    name = f"@portside-test-{os.getpid()}" if abstract else str(tmp_path / "socket")
    peer = make_peer(socket.AF_UNIX, "\0" + name[1:] if abstract else name)
    program = connect("-v", f"unix:{name}", stdin=subprocess.PIPE)
    other = peer.accept()
    program.wait_for(rf"connected to unix:{name} from unix:pid={program.process.pid}$", err=True)
    assert program.process.stdin
    program.process.stdin.write(b"over a unix socket")
    program.process.stdin.close()
    assert other.recv(18, socket.MSG_WAITALL) == b"over a unix socket"
    assert other.recv(1) == b""
    other.sendall(b"and back")
    other.close()
    assert program.wait() == 0
    assert bytes(program.out) == b"and back"


@pytest.mark.parametrize(
    ("option", "reads", "status"), [("--send-only", True, 0), ("-v", False, 1)], ids=["read", "unread"]
)
def test_a_unix_peer_that_closes(
    connect: Connect, make_peer: MakePeer, tmp_path: Path, option: str, reads: bool, status: int
) -> None:
    path = str(tmp_path / "socket")
    peer = make_peer(socket.AF_UNIX, path)
    program = connect(option, f"unix:{path}", stdin=subprocess.PIPE)
    other = peer.accept()
    assert program.process.stdin
    program.process.stdin.write(b"0123456789")
    program.process.stdin.close()
    assert other.recv(10, 0 if reads else socket.MSG_PEEK)
    other.close()
    assert program.wait() == status


def test_a_unix_socket_that_is_not_there(connect: Connect, tmp_path: Path) -> None:
    program = connect(f"unix:{tmp_path}/none")
    assert program.wait() == 1
    assert program.err.decode() == (
        f"portside: cannot connect to unix:{tmp_path}/none: No such file or directory\n"
        "hint: no socket has this path: does its server run?\n"
    )


def test_a_unix_server_that_accepts_nobody(connect: Connect, make_peer: MakePeer, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    make_peer(socket.AF_UNIX, path, backlog=0)
    with socket.socket(socket.AF_UNIX) as fill:
        fill.connect(path)
        program = connect("-w", "200ms", f"unix:{path}")
        assert program.wait() == 1
    program.wait_for("no answer within 0.2s$", err=True)


def test_a_path_that_is_too_long(connect: Connect) -> None:
    program = connect("unix:/" + "x" * 200)
    assert program.wait() == 1
    program.wait_for("AF_UNIX path too long$", err=True)


def test_retry_reaches_a_server_that_comes_up_later(connect: Connect, make_peer: MakePeer) -> None:
    port = free_port()
    program = connect("-v", "--retry", "forever", "--retry-interval", "20ms", str(port))
    program.wait_for("Connection refused; trying again in 0.02s", err=True, count=2)
    peer = make_peer(where=("127.0.0.1", port))
    peer.accept().close()
    assert program.wait() == 0


def test_retry_gives_up(connect: Connect) -> None:
    program = connect("-v", "--retry", "2", "--retry-interval", "10ms", "1")
    assert program.wait() == 1
    assert program.err.decode().count("trying again") == 2
    assert program.err.decode().count("Connection refused") == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "it names nobody to connect to"),
        (["a", "b", "c"], "write HOST:PORT or HOST PORT"),
        (["", "80"], "write HOST:PORT or HOST PORT"),
        (["host:99999"], "there is no port 99999: the last one is 65535"),
        (["example.org"], "'example.org' names no port: write example.org:PORT"),
        (["[a\r\nX-Header: b]:80"], "is no address"),
        (["0"], "nobody can be reached at port 0"),
        (["8000-8010"], "8000-8010 is a range of ports"),
        (["-4", "-6", "1"], "-4 and -6 exclude each other"),
        (["--send-only", "--recv-only", "1"], "--send-only and --recv-only exclude each other"),
        (["--exec", "cat", "--sh-exec", "cat", "1"], "--exec and --sh-exec exclude each other"),
        (["--exec", "", "1"], "names no program"),
        (["--exec", "'", "1"], "No closing quotation"),
        (["-s", "::1", "unix:/x"], "--source is an IP address"),
        (["-4", "unix:/x"], "-4 is about IP addresses"),
        (["-6", "unix:/x"], "-6 is about IP addresses"),
        (["-z", "unix:/x"], "--scan takes ports"),
        (["-z", "--proxy", "http://h:1", "1"], "--scan and --proxy exclude each other"),
        (["--proxy", "http://h:1", "unix:/x"], "a proxy leads to no unix socket"),
    ],
)
def test_wrong_usage(connect: Connect, arguments: list[str], words: str) -> None:
    program = connect(*arguments)
    assert program.wait() == 2
    first = program.err.decode().splitlines()[0]
    assert first.startswith("portside: ")
    assert words in first
