"""Bytes go both ways as they are."""

import hashlib
import os
import random
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from integration.client.conftest import Connect, MakePeer, Peer, feed, send
from support import DEADLINE_S, free_port, read_to_end, wait_until

MEGABYTES_20 = 20_000_003


@pytest.fixture(scope="module")
def noise() -> bytes:
    return random.Random(7).randbytes(MEGABYTES_20)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("source", ["file", "pipe"])
def test_20_mb_each_way_at_once(connect: Connect, peer: Peer, noise: bytes, tmp_path: Path, source: str) -> None:
    there, back = noise, noise[::-1]
    (tmp_path / "in").write_bytes(there)
    with open(tmp_path / "in", "rb") as file, open(tmp_path / "out", "wb") as out:
        program = connect(peer.address, stdin=file if source == "file" else subprocess.PIPE, stdout=out)
        writer = feed(program, there) if source == "pipe" else None
        other = peer.accept()
        arrived: list[bytes] = []
        reader = threading.Thread(target=lambda: arrived.append(read_to_end(other)))
        reader.start()
        other.sendall(back)
        other.shutdown(socket.SHUT_WR)
        reader.join(DEADLINE_S)
        assert program.wait() == 0
        if writer is not None:
            writer.join(DEADLINE_S)
    assert sha(arrived[0]) == sha(there)
    assert sha((tmp_path / "out").read_bytes()) == sha(back)
    assert not program.err


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["nc", "-l", "-N", "127.0.0.1", "{port}"], id="nc"),
        pytest.param(["ncat", "--listen", "127.0.0.1", "{port}"], id="ncat"),
        pytest.param(["socat", "-t30", "-", "TCP-LISTEN:{port},bind=127.0.0.1"], id="socat"),
    ],
)
def test_the_netcats_as_peers(
    connect: Connect, make_peer: MakePeer, noise: bytes, tmp_path: Path, command: list[str]
) -> None:
    port = free_port()
    (tmp_path / "in").write_bytes(noise)
    (tmp_path / "short").write_bytes(b"short answer\0")
    with (
        open(tmp_path / "in", "rb") as file,
        open(tmp_path / "short", "rb") as answer,
        open(tmp_path / "arrived", "wb") as arrived,
        subprocess.Popen([word.format(port=port) for word in command], stdin=answer, stdout=arrived) as netcat,
    ):
        program = connect(f"127.0.0.1:{port}", "--retry", "1000", "--retry-interval", "20ms", stdin=file)
        assert program.wait() == 0, program.err
        assert netcat.wait(DEADLINE_S) == 0
    assert sha((tmp_path / "arrived").read_bytes()) == sha(noise)
    assert bytes(program.out) == b"short answer\0"


def test_our_own_server(start: Connect, noise: bytes, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(noise)
    with open(tmp_path / "in", "rb") as file, open(tmp_path / "out", "wb") as out:
        server = start("listen", "127.0.0.1:0", "--once", "--format", "raw", stdout=out)
        client = start("connect", f"127.0.0.1:{server.port}", stdin=file)
        assert client.wait() == 0
        assert server.wait() == 0
    assert sha((tmp_path / "out").read_bytes()) == sha(noise)


def test_the_end_of_input_half_closes_and_reading_goes_on(connect: Connect, peer: Peer) -> None:
    program = connect(peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    feed(program, b"question").join()
    assert read_to_end(other) == b"question"
    other.sendall(b"answer")
    program.wait_for("answer")
    assert program.process.poll() is None
    other.close()
    assert program.wait() == 0
    assert bytes(program.out) == b"answer"


def test_no_shutdown_keeps_our_side_open(connect: Connect, peer: Peer) -> None:
    program = connect("--no-shutdown", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    feed(program, b"question").join()
    assert other.recv(8, socket.MSG_WAITALL) == b"question"
    other.sendall(b"answer")
    program.wait_for("answer")
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.recv(1)
    other.close()
    assert program.wait() == 0


@pytest.mark.parametrize("preexec", [None, lambda: os.close(0)], ids=["/dev/null", "closed"])
def test_an_input_that_has_ended_half_closes_at_once(connect: Connect, peer: Peer, preexec: object) -> None:
    program = connect(peer.address, preexec=preexec)
    other = peer.accept()
    assert other.recv(1) == b""
    other.sendall(b"still read")
    other.close()
    assert program.wait() == 0
    assert bytes(program.out) == b"still read"


def test_input_that_nohup_leaves_counts_as_ended(connect: Connect, peer: Peer) -> None:
    with open(os.devnull, "wb") as write_only:
        program = connect(peer.address, stdin=write_only)
        other = peer.accept()
        assert other.recv(1) == b""
        other.close()
        assert program.wait() == 0


def test_input_that_cannot_be_read_is_a_failure(connect: Connect, peer: Peer) -> None:
    with open("/proc/self/mem", "rb") as nothing_at_0:
        program = connect(peer.address, stdin=nothing_at_0)
        assert program.wait() == 1
    assert bytes(program.err) == b"portside: cannot read standard input: Input/output error\n"


def test_send_only_drops_what_comes_and_ends_once_all_is_sent(connect: Connect, peer: Peer, noise: bytes) -> None:
    program = connect("--send-only", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    other.sendall(b"dropped")
    feed(program, noise)
    assert sha(read_to_end(other)) == sha(noise)
    assert program.wait() == 0  # though the peer has not closed
    assert not program.out


def test_send_only_waits_until_the_peer_has_it_all(connect: Connect, make_peer: MakePeer) -> None:
    peer = make_peer()
    peer.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    size = 3_000_000  # more than this side's kernel and the peer's take together
    program = connect("--send-only", "-v", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    writer = feed(program, b"x" * size)
    first = other.recv(1)
    program.wait_for("connected", err=True)
    assert program.process.poll() is None
    assert len(first + read_to_end(other)) == size
    assert program.wait() == 0
    writer.join(DEADLINE_S)
    program.wait_for(rf"closed here after .*, 0 B in, {size} B out", err=True)


def test_send_only_goes_on_when_the_peer_has_half_closed(connect: Connect, peer: Peer) -> None:
    program = connect("--send-only", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    other.shutdown(socket.SHUT_WR)
    feed(program, b"all of it").join(DEADLINE_S)
    assert read_to_end(other) == b"all of it"
    assert program.wait() == 0


def test_recv_only_reads_no_input_and_stays_open(connect: Connect, peer: Peer) -> None:
    program = connect("--recv-only", peer.address)  # its input has ended
    other = peer.accept()
    other.sendall(b"news")
    program.wait_for("news")
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.recv(1)
    other.close()
    assert program.wait() == 0


def test_crlf(connect: Connect, peer: Peer) -> None:
    program = connect("-C", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    feed(program, b"one\ntwo\r\n\nthree").join()
    assert read_to_end(other) == b"one\r\ntwo\r\n\r\nthree"
    other.sendall(b"as it is\n")
    other.close()
    assert program.wait() == 0
    assert bytes(program.out) == b"as it is\n"


def test_standard_output_in_non_blocking_mode_loses_nothing(connect: Connect, peer: Peer, noise: bytes) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    program = connect(peer.address, stdout=write_end)
    os.close(write_end)
    other = peer.accept()
    sender = send(other, noise)
    arrived = bytearray()
    with open(read_end, "rb", buffering=0) as output:
        while chunk := output.read(100_000):
            arrived += chunk
    sender.join(DEADLINE_S)
    assert program.wait() == 0
    assert sha(bytes(arrived)) == sha(noise)


def test_standard_input_in_non_blocking_mode_loses_nothing(connect: Connect, peer: Peer, noise: bytes) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    program = connect(peer.address, stdin=read_end)
    other = peer.accept()
    arrived: list[bytes] = []
    reader = threading.Thread(target=lambda: arrived.append(read_to_end(other)))
    reader.start()
    with open(write_end, "wb") as entry:
        entry.write(noise)
    reader.join(DEADLINE_S)
    assert sha(arrived[0]) == sha(noise)
    other.close()
    assert program.wait() == 0
    os.close(read_end)


def test_a_reader_that_leaves_ends_it_quietly(connect: Connect, peer: Peer) -> None:
    read_end, write_end = os.pipe()
    program = connect(peer.address, stdin=subprocess.PIPE, stdout=write_end)
    os.close(write_end)
    other = peer.accept()
    other.sendall(b"first line\n")
    assert os.read(read_end, 100) == b"first line\n"
    os.close(read_end)
    other.sendall(b"second line\n")
    assert program.wait() == 0
    assert not program.err


def test_a_full_disk_is_a_failure(connect: Connect, peer: Peer) -> None:
    with open("/dev/full", "wb") as full:
        program = connect(peer.address, stdout=full)
        peer.accept().sendall(b"no room for this")
        assert program.wait() == 1
    assert bytes(program.err) == b"portside: cannot write standard output: No space left on device\n"


def test_a_stopped_reader_is_felt_by_the_peer_and_loses_nothing(connect: Connect, peer: Peer, noise: bytes) -> None:
    read_end, write_end = os.pipe()
    program = connect(peer.address, stdout=write_end)
    os.close(write_end)
    other = peer.accept()
    other.setblocking(False)
    sent = 0

    def stuck() -> bool:
        nonlocal sent
        before = sent
        try:
            while sent < len(noise):
                sent += other.send(memoryview(noise)[sent:])
        except BlockingIOError:
            pass
        return sent == before

    wait_until(stuck, "back-pressure")
    assert sent < len(noise)
    other.settimeout(DEADLINE_S)
    rest = send(other, memoryview(noise)[sent:])
    with open(read_end, "rb", buffering=0) as output:
        assert sha(output.readall()) == sha(noise)
    rest.join(DEADLINE_S)
    assert program.wait() == 0


def test_plain_bytes_load_nothing_heavy(connect: Connect, peer: Peer) -> None:
    program = connect(peer.address, env={"PYTHONPROFILEIMPORTTIME": "1"})
    peer.accept().close()
    assert program.wait() == 0
    loaded = {line.rpartition("|")[2].strip() for line in program.err.decode().splitlines()}
    assert "portside.client.pipe" in loaded
    heavy = {"asyncio", "uvloop", "msgspec", "python_socks", "subprocess", "portside.events", "portside.feed"}
    assert not heavy & loaded
