"""The connection as events on standard output."""

import os
import socket
import subprocess

import pytest
from integration.client.conftest import Connect, MakePeer, Peer, echo, feed
from support import DEADLINE_S, read_to_end


def test_json(connect: Connect, peer: Peer) -> None:
    program = connect("--format", "json", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    assert program.process.stdin
    program.process.stdin.write(b"there\n")
    program.process.stdin.flush()
    program.wait_for('"sent"')
    other.sendall(b"back\n\xff")
    program.wait_for('"received"')
    other.close()
    assert program.wait() == 1  # 'there' was never read: a reset
    opened, sent, received, closed = program.events
    assert opened["event"] == "opened"
    assert (opened["conn"], opened["peer"]) == (1, peer.address)
    assert (sent["event"], sent["text"], sent["size"]) == ("sent", "there\n", 6)
    assert (received["event"], received["base64"]) == ("received", "YmFjawr/")
    assert (closed["reason"], closed["received"], closed["sent"]) == ("peer_reset", 6, 6)


def test_text_shows_nothing_unescaped(connect: Connect, peer: Peer) -> None:
    program = connect("--format", "text", peer.address)
    other = peer.accept()
    other.sendall(bytes(range(256)) + "\u202e\x9b2J\n".encode() + b"\x1b]0;title\x07" * 3)
    other.close()
    assert program.wait() == 0
    text = program.out.decode()
    assert all(line.isprintable() for line in text.split("\n"))
    assert r"\x1b]0;title\x07" in text


def test_an_unfinished_line_is_shown_in_time_in_both_directions(connect: Connect, peer: Peer) -> None:
    program = connect("--format", "text", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    other.sendall(b"login: ")
    program.wait_for("> login: $")
    assert program.process.stdin
    program.process.stdin.write(b"no line feed")
    program.process.stdin.flush()
    program.wait_for("< no line feed$")
    program.process.stdin.close()
    assert read_to_end(other) == b"no line feed"
    other.close()
    assert program.wait() == 0
    program.wait_for(r"closed by peer after [\d.]+s, 7 B in, 12 B out$")


@pytest.mark.parametrize("name", ["hex", "classic"])
def test_the_other_formats(connect: Connect, peer: Peer, name: str) -> None:
    program = connect("--format", name, peer.address)
    other = peer.accept()
    other.sendall(b"hello\n")
    other.close()
    assert program.wait() == 0
    assert (b"|hello.|" if name == "hex" else b"Received from ('127.0.0.1', ") in program.out


def test_a_reply_is_told_after_what_it_replies_to(connect: Connect, peer: Peer) -> None:
    program = connect("--format", "json", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    thread = echo(other)
    stdin = program.process.stdin
    assert stdin
    for number in range(300):
        stdin.write(b"%d\n" % number)
        stdin.flush()
        program.wait_for(f'"received".*"text":".*{number}', count=1)
    stdin.close()
    assert program.wait() == 0
    thread.join(DEADLINE_S)
    events = [event for event in program.events if event["event"] in ("sent", "received")]
    balance = 0
    for event in events:
        balance += event["size"] if event["event"] == "sent" else -event["size"]
        assert balance >= 0
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)


def test_a_closed_reader_ends_it_quietly_whoever_writes(connect: Connect, peer: Peer) -> None:
    read_end, write_end = os.pipe()
    program = connect("--format", "text", peer.address, stdin=subprocess.PIPE, stdout=write_end)
    os.close(write_end)
    other = peer.accept()
    os.close(read_end)
    assert program.process.stdin
    program.process.stdin.write(b"seen by nobody\n")
    program.process.stdin.flush()
    assert program.wait() == 0
    assert not program.err
    other.close()


def test_the_end_of_a_run_that_fails_is_told_too(connect: Connect, peer: Peer) -> None:
    program = connect("--format", "json", "-i", "200ms", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    assert program.wait() == 1
    other.close()
    assert program.events[-1]["reason"] == "idle_timeout"


def test_large_amounts_without_a_deadlock(connect: Connect, peer: Peer) -> None:
    """An echo of far more than the kernels hold: each direction must go on while the other is told."""
    size = 8_000_000
    program = connect("--format", "json", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    thread = echo(other)
    stdin = program.process.stdin
    assert stdin
    stdin.write(b"x" * size)
    stdin.close()
    assert program.wait() == 0
    thread.join(DEADLINE_S)
    for direction in ("sent", "received"):
        assert sum(event["size"] for event in program.events if event["event"] == direction) == size


def test_what_is_received_is_told_while_sending_is_stuck(connect: Connect, make_peer: MakePeer) -> None:
    peer = make_peer()
    peer.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    program = connect("--format", "json", peer.address, stdin=subprocess.PIPE)
    other = peer.accept()
    writer = feed(program, b"x" * 8_000_000)
    program.wait_for('"sent"')
    for number in range(20):
        other.sendall(b"message %d" % number)
        program.wait_for(f"message {number}")
    assert writer.is_alive()
    assert len(read_to_end(other)) == 8_000_000
    other.close()
    assert program.wait() == 0
    writer.join(DEADLINE_S)
    assert sum(event["size"] for event in program.events if event["event"] == "sent") == 8_000_000
