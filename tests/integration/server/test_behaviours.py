"""Echo, chat and broker with real clients."""

import hashlib
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import Start
from support import DEADLINE_S, connect, connect_many, fill, memory_kib, read_to_end, wait_until


def read_until(client: socket.socket, what: bytes) -> bytes:
    data = b""
    while what not in data:
        piece = client.recv(65536)
        assert piece, data
        data += piece
    return data


def test_echo(listen: Start) -> None:
    server = listen("--echo", "--greet", r"hello\r\n")
    done = subprocess.run(
        ["nc", "-N", "127.0.0.1", str(server.port)], input=b"a\xff\0b\n", capture_output=True, timeout=30, check=True
    )
    assert done.stdout == b"hello\r\na\xff\0b\n"
    server.wait_for("closed by peer after .*, 5 B in, 12 B out")


def test_echo_of_much_in_both_directions_at_once(listen: Start, tmp_path: Path) -> None:
    server = listen("--echo", "--format", "raw", stdout=subprocess.DEVNULL)
    data = os.urandom(1 << 20) * 64
    (tmp_path / "data").write_bytes(data)
    with open(tmp_path / "data", "rb") as source:
        done = subprocess.run(
            ["ncat", "127.0.0.1", str(server.port)], stdin=source, capture_output=True, timeout=60, check=True
        )
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_echo_to_a_client_that_does_not_read_is_bounded(listen: Start) -> None:
    server = listen("--echo", "--format", "raw", stdout=subprocess.DEVNULL)
    with connect(server.port) as client, connect(server.port) as other:
        before = memory_kib(server.process.pid)
        taken = fill(client)
        assert memory_kib(server.process.pid) - before < 20_000
        other.sendall(b"still there?")
        assert read_until(other, b"still there?")
        received = 0
        rest = threading.Thread(target=client.shutdown, args=(socket.SHUT_WR,))
        rest.start()
        while piece := client.recv(1 << 20):
            assert not piece.strip(b"x")
            received += len(piece)
        rest.join()
        assert received == taken


def test_a_client_that_never_reads_its_echo_is_closed(listen: Start) -> None:
    server = listen("--echo", "--format", "json")
    with connect(server.port) as client:
        client.setblocking(False)

        def is_closed() -> bool:
            try:
                client.send(b"x" * 65536)
            except BlockingIOError:
                pass
            except OSError:
                return True
            return b'"write_timeout"' in server.out

        wait_until(is_closed, "the write timeout", 60)
    server.wait_for('"reason":"write_timeout"')


def test_broker(listen: Start) -> None:
    server = listen("--broker")
    with connect_many(3, server.port) as (first, second, third):
        server.wait_for("connected$", count=3)
        first.sendall(b"\x00\xffbytes")
        assert read_until(second, b"bytes") == read_until(third, b"bytes") == b"\x00\xffbytes"
        third.sendall(b"back")
        assert read_until(first, b"back") == b"back"  # and nothing of its own


def test_broker_drops_a_member_that_does_not_read_and_delays_nobody_else(listen: Start) -> None:
    server = listen("--broker", "--format", "raw", stdout=subprocess.DEVNULL)
    with connect_many(3, server.port) as (sender, reader, sleeper):
        sender.sendall(b"!")
        assert reader.recv(1) == b"!"
        assert sleeper.recv(1) == b"!"
        received = bytearray()

        def read() -> None:
            while len(received) < 40 << 20 and (piece := reader.recv(1 << 20)):
                received.extend(piece)

        thread = threading.Thread(target=read)
        thread.start()
        for number in range(1, 41):
            sender.sendall(b"y" * (1 << 20))
            wait_until(lambda: len(received) >= number << 20, "the one who reads to have it")  # noqa: B023
        thread.join(DEADLINE_S)
        assert len(received) == 40 << 20
        assert len(read_to_end(sleeper)) < 40 << 20  # it was closed before
        sender.sendall(b"?")
        assert reader.recv(1) == b"?"
    assert memory_kib(server.process.pid) < 120_000


def test_chat(listen: Start) -> None:
    server = listen("--chat")
    with connect(server.port) as first:
        assert read_until(first, b"\n") == b"* you are user1 (/nick NAME, /who); here: nobody else\n"
        with connect(server.port) as second:
            assert read_until(second, b"\n") == b"* you are user2 (/nick NAME, /who); here: user1\n"
            assert read_until(first, b"\n") == b"* user2 joined\n"
            second.sendall(b"/nick anna\nhello\r\n\x1b[2Jx\n")
            assert read_until(first, b"x\n") == b"* user2 is now anna\nanna: hello\nanna: \\x1b[2Jx\n"
            assert read_until(second, b"\n") == b"* user2 is now anna\n"
            first.sendall(b"/nick anna\n")
            assert read_until(first, b"\n") == b"* that name is taken\n"
            first.sendall(b"/nick two words\n/nick server\n/what\n/who\n")
            said = read_until(first, b"* here: user1, anna\n").decode()
            assert said.splitlines()[:3] == [
                "* a name has 1 to 32 characters, no spaces and no colon",
                "* that name is taken",
                "* there are /nick NAME and /who",
            ]
            second.sendall(b"bye")
        assert read_until(first, b"left\n") == b"anna: bye\n* anna left\n"


def test_typed_lines_in_a_chat(listen: Start) -> None:
    server = listen("--chat", "--stdin", stdin=subprocess.PIPE)
    with connect(server.port) as client:
        read_until(client, b"nobody else\n")
        assert server.process.stdin
        server.process.stdin.write(b"one\ntwo\x1b\n")
        server.process.stdin.flush()
        assert read_until(client, b"1b\n") == b"server: one\nserver: two\\x1b\n"


def test_a_chat_with_ncat(listen: Start) -> None:
    server = listen("--chat")
    with connect(server.port) as first:
        read_until(first, b"nobody else\n")
        done = subprocess.run(
            ["ncat", "127.0.0.1", str(server.port)], input=b"from ncat\n", capture_output=True, timeout=30, check=True
        )
        assert b"you are user2" in done.stdout
        assert read_until(first, b"left\n") == b"* user2 joined\nuser2: from ncat\n* user2 left\n"


@pytest.mark.parametrize("pair", [("--echo", "--chat"), ("--broker", "--exec", "cat"), ("--echo", "--handler", "x:y")])
def test_at_most_one_behaviour(start: Start, pair: tuple[str, ...]) -> None:
    program = start("listen", "127.0.0.1:0", *pair)
    assert program.wait() == 2
    assert b"exclude each other" in program.err


def test_an_echo_ends_in_order(listen: Start) -> None:
    server = listen("--echo")
    with connect(server.port) as client:
        client.sendall(b"x")
        read_until(client, b"x")
        assert server.stop() == 0
        assert read_to_end(client) == b""


def test_no_two_members_of_a_chat_have_one_name(listen: Start) -> None:
    server = listen("--chat")
    with connect(server.port) as client:
        read_until(client, b"nobody else\n")
        client.sendall(b"/nick user9\n/nick SERVER\n/nick user1\n/nick Anna\n")
        assert read_until(client, b"Anna\n").count(b"* that name is taken\n") == 3


def test_lines_of_standard_input_in_a_chat_come_whole(listen: Start) -> None:
    server = listen("--chat", "--stdin", stdin=subprocess.PIPE)
    with connect(server.port) as client:
        read_until(client, b"nobody else\n")
        assert server.process.stdin
        for piece in (b"abc", b"def\n\xc3", b"\xa4\nthe rest"):
            server.process.stdin.write(piece)
            server.process.stdin.flush()
        server.process.stdin.close()
        assert read_until(client, b"rest\n").decode() == "server: abcdef\nserver: ä\nserver: the rest\n"


def test_a_file_is_sent_with_send_only(listen: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"all of it\n")
    with open(tmp_path / "file", "rb") as file:
        server = listen("--send-only", stdin=file)
        with connect(server.port) as client:
            assert read_to_end(client) == b"all of it\n"


def test_send_only_and_an_answer(start: Start) -> None:
    program = start("listen", "127.0.0.1:0", "--send-only", "--echo")
    assert program.wait() == 2
    assert b"--send-only drops what clients send" in program.err
