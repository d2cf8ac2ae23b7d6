"""How a connection ends, and with which status."""

import errno
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from conftest import Start
from integration.client.conftest import Connect, MakePeer, Peer, feed
from support import DEADLINE_S, free_port, listening_port, read_to_end, reset, wait_until


def test_a_reset_in_mid_stream(connect: Connect, peer: Peer) -> None:
    program = connect("-v", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    other.sendall(b"the first ha")
    program.wait_for("the first ha")
    reset(other)
    assert program.wait() == 1
    assert bytes(program.out) == b"the first ha"
    program.wait_for(rf"^portside: connection to {peer.address}: Connection reset by peer$", err=True)
    program.wait_for(r"^portside: reset by peer after [\d.]+s, 12 B in, 0 B out$", err=True)


def test_a_reset_while_we_send(connect: Connect, peer: Peer) -> None:
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as yes:
        program = connect(peer.address, stdin=yes.stdout)
        assert yes.stdout
        yes.stdout.close()
        other = peer.accept()
        other.recv(1)
        reset(other)
        assert program.wait() == 1
        program.wait_for("Connection reset by peer", err=True)


def test_what_is_said_with_v(connect: Connect, peer: Peer) -> None:
    program = connect("-v", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    port = other.getpeername()[1]
    program.wait_for(rf"^portside: connected to {peer.address} from 127.0.0.1:{port}$", err=True)
    assert program.process.stdin
    program.process.stdin.write(b"9 bytes..")
    program.process.stdin.close()
    assert read_to_end(other) == b"9 bytes.."
    other.sendall(b"6 byte")
    other.close()
    assert program.wait() == 0
    program.wait_for(r"^portside: closed by peer after [\d.]+s, 6 B in, 9 B out$", err=True)
    assert len(program.err.splitlines()) == 2


def test_late_input_is_sent_after_the_peers_fin(connect: Connect, peer: Peer) -> None:
    program = connect(peer.address, "--format", "json", stdin=subprocess.PIPE)
    other = peer.accept()
    other.shutdown(socket.SHUT_WR)
    program.wait_for('"half_closed"')
    assert program.process.stdin
    for number in range(4):
        line = b"line%d\n" % number
        program.process.stdin.write(line)
        program.process.stdin.flush()
        assert other.recv(100) == line
    program.process.stdin.close()
    assert other.recv(1) == b""
    assert program.wait() == 0
    assert program.events[-1]["reason"] == "peer_closed"
    assert program.events[-1]["sent"] == 24


@pytest.mark.parametrize("words", [["ncat", "--recv-only", "-l"], ["socat", "-u"]])
def test_late_input_reaches_ncat_and_socat(start: Start, connect: Connect, words: list[str]) -> None:
    """Neither sends anything, and each has closed its side before the input comes."""
    port = free_port()
    address = ["127.0.0.1", str(port)] if words[0] == "ncat" else [f"TCP-LISTEN:{port},bind=127.0.0.1,shut-down", "-"]
    other = start(command=tuple(words + address))
    wait_until(lambda: listening_port(other.process.pid), "the peer")
    program = connect(f"127.0.0.1:{port}", stdin=subprocess.PIPE)
    assert program.process.stdin
    for number in range(3):
        program.process.stdin.write(b"line%d\n" % number)
        program.process.stdin.flush()
        other.wait_for(f"line{number}")
    program.process.stdin.close()
    assert program.wait() == 0
    assert bytes(other.out) == b"line0\nline1\nline2\n"


def test_the_half_close_timeout_bounds_silent_input(connect: Connect, peer: Peer) -> None:
    program = connect(peer.address, "--half-close-timeout", "200ms", "-v", stdin=subprocess.PIPE)
    peer.accept().close()
    assert program.wait() == 0
    assert "closed by peer after" in program.err.decode()


def test_input_that_the_peer_does_not_take_in_the_half_close_timeout_is_a_failure(connect: Connect, peer: Peer) -> None:
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as yes:
        program = connect(peer.address, "--half-close-timeout", "200ms", stdin=yes.stdout)
        assert yes.stdout
        yes.stdout.close()
        peer.accept().shutdown(socket.SHUT_WR)
        assert program.wait() == 1
    program.wait_for(r"it did not take the rest of the input within 0\.2s", err=True)


def test_the_half_close_timeout_bounds_a_peer_that_goes_on(connect: Connect, peer: Peer) -> None:
    program = connect(peer.address, "--half-close-timeout", "200ms", "-v", stdin=subprocess.PIPE)
    other = peer.accept()
    feed(program, b"the last word").join(DEADLINE_S)
    assert read_to_end(other) == b"the last word"
    other.sendall(b"an answer")
    assert program.wait() == 0
    assert bytes(program.out) == b"an answer"
    assert "closed here after" in program.err.decode()


def test_the_peer_closes_while_a_terminal_is_the_input(connect: Connect, peer: Peer) -> None:
    controller, terminal = pty.openpty()
    program = connect(peer.address, stdin=terminal)
    other = peer.accept()
    os.write(controller, b"typed\n")
    assert other.recv(6, socket.MSG_WAITALL) == b"typed\n"
    other.close()
    assert program.wait() == 0
    os.close(controller)
    os.close(terminal)


def test_a_terminal_is_told_how_far_the_run_has_come(peer: Peer) -> None:
    controller, terminal = pty.openpty()
    shown = bytearray()

    def read_until(text: bytes) -> None:
        while text not in shown:
            assert select.select([controller], [], [], DEADLINE_S)[0], bytes(shown)
            shown.extend(os.read(controller, 4096))

    command = [sys.executable, "-m", "portside", "connect", peer.address]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal) as program:
        other = peer.accept()
        read_until(f"portside: connected to {peer.address} from ".encode())
        os.write(controller, b"\x04")  # Ctrl-D
        read_until(b"portside: end of input: the peer was told, and may still answer")
        assert read_to_end(other) == b""
        other.sendall(b"an answer\n")
        other.close()
        read_until(b"an answer")
        read_until(b"portside: closed by peer after ")
        assert program.wait(DEADLINE_S) == 0
    os.close(terminal)
    os.close(controller)


def test_a_terminal_shows_text_of_another_encoding(peer: Peer) -> None:
    controller, terminal = pty.openpty()
    shown = bytearray()
    command = [sys.executable, "-m", "portside", "connect", peer.address, "--encoding", "cp1251"]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL) as program:
        other = peer.accept()
        other.sendall("Жук".encode("cp1251") + b" \x98 \x1b[2J\n")
        while "Жук \\x98 \\x1b[2J".encode() not in shown:
            assert select.select([controller], [], [], DEADLINE_S)[0], bytes(shown)
            shown.extend(os.read(controller, 4096))
        other.close()
        assert program.wait(DEADLINE_S) == 0
    os.close(terminal)
    os.close(controller)


def test_text_of_another_encoding_in_a_pipe(connect: Connect, peer: Peer) -> None:
    program = connect("--format", "text", "--encoding", "utf-16-le", peer.address)
    other = peer.accept()
    other.sendall("漢\nЖ\x1b\n".encode("utf-16-le") + b"\xff")
    other.close()
    assert program.wait() == 0
    shown = [line.split("  > ")[1] for line in program.lines if "  > " in line]
    assert shown == ["漢", "Ж\\x1b", "\\xff"]


def test_after_the_peers_fin_the_input_still_flows_to_its_end(connect: Connect, peer: Peer) -> None:
    size = 20_000_000
    program = connect(peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    writer = feed(program, b"x" * size)
    other.shutdown(socket.SHUT_WR)
    assert len(read_to_end(other)) == size
    writer.join(DEADLINE_S)
    assert program.wait() == 0


def test_after_the_peers_fin_a_slow_peer_gets_everything(connect: Connect, make_peer: MakePeer) -> None:
    """It reads a little each 50 ms, so that a block that we send takes far longer than our patience."""
    peer = make_peer()
    peer.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    size = 600_000
    program = connect(peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    writer = feed(program, b"x" * size)
    other.shutdown(socket.SHUT_WR)
    pause = threading.Event()
    arrived = 0
    while chunk := other.recv(16_384):
        arrived += len(chunk)
        pause.wait(0.03)
    writer.join(DEADLINE_S)
    assert arrived == size
    assert program.wait() == 0


def test_a_peer_that_closed_and_takes_nothing_is_waited_for_as_long_as_idling_may_take(
    connect: Connect, peer: Peer
) -> None:
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as yes:
        program = connect(peer.address, "--idle-timeout", "1s", stdin=yes.stdout)
        assert yes.stdout
        yes.stdout.close()
        peer.accept().shutdown(socket.SHUT_WR)
        assert program.wait() == 1
    program.wait_for("nothing moved for 1s", err=True)


def test_a_peer_that_closed_without_reading_is_noticed(connect: Connect, peer: Peer) -> None:
    """Its kernel says so only after its FIN, once our bytes have come."""
    program = connect(peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    assert program.process.stdin
    other.close()  # nothing is unread yet: a FIN
    try:
        program.process.stdin.write(b"too late")
        program.process.stdin.close()
    except BrokenPipeError:
        raise AssertionError("it did not wait for input that was about to come") from None
    assert program.wait() == 1
    program.wait_for("Connection reset by peer", err=True)


def test_a_reset_while_send_only_waits_for_the_peer_to_take_all(connect: Connect, make_peer: MakePeer) -> None:
    peer = make_peer()
    peer.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    program = connect("--send-only", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    feed(program, b"x" * 100_000).join(DEADLINE_S)
    wait_until(lambda: has_connection(peer.port, FIN_WAIT1), "the half-close")
    reset(other)
    assert program.wait() == 1
    program.wait_for("Connection reset by peer", err=True)


def test_send_only_ends_well_though_the_peer_goes_on_sending(connect: Connect, peer: Peer) -> None:
    """What comes when the socket is shut down already is answered with a reset, of which the kernel tells us, too."""
    for _ in range(5):
        program = connect("--send-only", peer.address, stdin=subprocess.PIPE)
        other = peer.accept()

        def flood(other: socket.socket = other) -> None:
            with suppress(OSError):
                while True:
                    other.sendall(b"y\n" * 30_000)

        flooding = threading.Thread(target=flood)
        flooding.start()
        feed(program, b"hi\n").join(DEADLINE_S)
        assert program.wait() == 0
        assert not program.err
        flooding.join(DEADLINE_S)


def test_the_idle_timeout(connect: Connect, peer: Peer) -> None:
    program = connect("-i", "3s", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    began = time.monotonic()
    other.sendall(b"x")
    assert program.wait() == 1
    assert 2.9 < time.monotonic() - began < DEADLINE_S
    assert program.err.decode() == f"portside: connection to {peer.address}: nothing moved for 3s\n"


def test_a_connection_on_which_bytes_move_one_way_is_not_idle(connect: Connect, peer: Peer) -> None:
    program = connect("-i", "4s", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    pause = threading.Event()
    for _ in range(10):
        other.sendall(b"x")
        pause.wait(0.45)
    assert program.process.poll() is None
    assert program.process.stdin
    for _ in range(8):
        program.process.stdin.write(b"y")
        program.process.stdin.flush()
        pause.wait(0.1)
    assert program.process.poll() is None
    assert other.recv(8, socket.MSG_WAITALL) == b"y" * 8
    other.close()
    program.process.stdin.close()
    assert program.wait() == 0


def test_a_peer_that_reads_slowly_is_not_idle(connect: Connect, make_peer: MakePeer) -> None:
    peer = make_peer()
    peer.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    program = connect("-i", "4s", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    writer = feed(program, b"x" * 1_000_000)
    pause = threading.Event()
    arrived = 0
    while chunk := other.recv(16_384):
        arrived += len(chunk)
        pause.wait(0.1)
    writer.join(DEADLINE_S)
    other.close()
    assert program.wait() == 0
    assert arrived == 1_000_000


@pytest.mark.parametrize("moment", ["connecting", "connected"])
def test_ctrl_c_ends_it_by_the_signal(connect: Connect, make_peer: MakePeer, moment: str) -> None:
    peer = make_peer(backlog=0)
    with socket.socket() as fill:
        if moment == "connecting":
            fill.connect(("127.0.0.1", peer.port))
        program = connect(peer.address, stdin=subprocess.PIPE)
        if moment == "connecting":
            wait_until(lambda: has_connection(peer.port, SYN_SENT), "a connection attempt")
        else:
            peer.accept()
        wait_until(lambda: catches(program.process.pid, signal.SIGINT) is False, "the default for Ctrl-C")
        program.signal(signal.SIGINT)
        assert program.wait() == -signal.SIGINT
        assert not program.err


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal (proc(5), SigCgt)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        mask = next(line.split()[1] for line in status if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


SYN_SENT, FIN_WAIT1 = "02", "04"  # tcp_states.h


def has_connection(port: int, state: str) -> bool:
    """Whether a TCP connection to a local port is in a state."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    return any(row[2].endswith(f":{port:04X}") and row[3] == state for row in rows)


def test_the_network_reports_an_unreachable_peer_in_words(connect: Connect) -> None:
    program = connect("127.0.0.1:1")
    assert program.wait() == 1
    assert program.err.decode().splitlines()[0] == (
        f"portside: cannot connect to 127.0.0.1:1: {os.strerror(errno.ECONNREFUSED)}"
    )
    assert program.err.decode().splitlines()[1].startswith("hint: ")
