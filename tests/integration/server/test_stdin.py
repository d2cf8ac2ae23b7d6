"""Standard input to every client."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest
from certificates import unverified_context
from conftest import Start
from support import Program, connect, connect_many, listening_port, read_to_end, reset, wait_until


def test_a_pipe_goes_to_every_client(listen: Start) -> None:
    server = listen("--stdin", "--format", "json", stdin=subprocess.PIPE)
    assert server.process.stdin
    with connect_many(3, server.port) as clients:
        server.wait_for('"opened"', count=3)
        server.process.stdin.write(b"to all\n")
        server.process.stdin.flush()
        assert [client.recv(100) for client in clients] == [b"to all\n"] * 3
        server.wait_for('"sent"', count=3)
        server.process.stdin.close()
        clients[0].sendall(b"the server goes on")
        server.wait_for("the server goes on")


def test_nothing_is_read_while_no_client_is_there(listen: Start, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(5_000_000))
    with source.open("rb") as file:
        server = listen("--stdin", "--once", "--send-only", stdin=file)
    with connect(server.port) as client:
        assert read_to_end(client) == source.read_bytes()
    assert server.wait() == 0


def test_without_it_a_pipe_is_left_alone(listen: Start) -> None:
    server = listen("--format", "json", stdin=subprocess.PIPE)
    assert server.process.stdin
    server.process.stdin.write(b"nobody reads this\n")
    server.process.stdin.flush()
    with connect(server.port) as client:
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""


def test_line_ends(listen: Start) -> None:
    server = listen("--stdin", "--crlf", stdin=subprocess.PIPE)
    assert server.process.stdin
    with connect(server.port) as client:
        server.wait_for("connected")
        server.process.stdin.write(b"one\ntwo\r\n")
        server.process.stdin.flush()
        assert client.recv(100) == b"one\r\ntwo\r\n"


def test_send_only_drops_what_comes(listen: Start) -> None:
    server = listen("--stdin", "--send-only", "--format", "json", stdin=subprocess.PIPE)
    with connect(server.port) as client:
        client.sendall(b"dropped")
        server.wait_for('"opened"')
        client.shutdown(socket.SHUT_WR)
        server.wait_for('"half_closed"')
    server.stop()
    assert not [event for event in server.events if event["event"] == "received"]


@pytest.mark.parametrize("options", [("--once",), ("--half-close-timeout", "1h")])
def test_a_half_closed_client_gets_the_rest_of_a_pipe(listen: Start, options: tuple[str, ...]) -> None:
    server = listen("--stdin", "--format", "json", *options, stdin=subprocess.PIPE)
    assert server.process.stdin
    with connect(server.port) as client:
        client.shutdown(socket.SHUT_WR)
        server.wait_for('"half_closed"')
        server.process.stdin.write(b"the rest")
        server.process.stdin.close()
        assert read_to_end(client) == b"the rest"
    server.wait_for('"peer_closed"')


def test_a_client_that_has_closed_gives_up_its_place_though_the_pipe_is_silent(listen: Start) -> None:
    server = listen("--stdin", "--max-conns", "1", "--format", "json", stdin=subprocess.PIPE)
    for number in range(1, 4):
        with connect(server.port):
            server.wait_for('"opened"', count=number)
        server.wait_for('"closed".*"peer_closed"', count=number)


@pytest.mark.parametrize("sends", ["fin", "close"])
def test_the_half_close_timeout_ends_a_run_of_one_client_though_the_pipe_is_silent(listen: Start, sends: str) -> None:
    server = listen("--stdin", "--once", "--half-close-timeout", "300ms", "--format", "json", stdin=subprocess.PIPE)
    client = connect(server.port)
    if sends == "fin":
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    client.close()
    assert server.wait() == 0
    assert server.events[-2]["reason"] == "peer_closed"


def test_the_half_close_timeout_bounds_what_follows_the_end_of_standard_input(listen: Start) -> None:
    server = listen("--send-only", "--half-close-timeout", "300ms", "--format", "json", stdin=subprocess.PIPE)
    assert server.process.stdin
    with connect(server.port) as client:
        server.wait_for('"opened"')
        server.process.stdin.write(b"all of it")
        server.process.stdin.close()
        assert read_to_end(client) == b"all of it"
        server.wait_for('"closed".*"local_closed"')


def test_the_half_close_timeout_bounds_a_program(listen: Start) -> None:
    command = "cat > /dev/null; exec tail -f /dev/null"
    server = listen("--sh-exec", command, "--half-close-timeout", "300ms", "--format", "json")
    with connect(server.port) as client:
        client.shutdown(socket.SHUT_WR)
        server.wait_for('"closed".*"peer_closed"')


def test_the_half_close_timeout_counts_from_a_close_notify_too(listen: Start) -> None:
    command = "cat > /dev/null; exec tail -f /dev/null"
    server = listen("--sh-exec", command, "--half-close-timeout", "300ms", "--format", "json", "--tls")
    with unverified_context().wrap_socket(connect(server.port)) as client:
        with suppress(OSError):
            client.unwrap()
        server.wait_for('"closed".*"peer_closed"')


def test_a_typed_line_still_reaches_a_half_closed_client_within_the_timeout() -> None:
    master, slave = pty.openpty()
    server = Program("listen", "127.0.0.1:0", "--half-close-timeout", "1h", "--format", "json", stdin=slave)
    os.close(slave)
    try:
        with connect(server.port) as client:
            client.shutdown(socket.SHUT_WR)
            server.wait_for('"half_closed"')
            os.write(master, b"typed\n")
            assert client.recv(100) == b"typed\n"
    finally:
        server.kill()
        os.close(master)


def test_a_client_that_reads_nothing_is_closed_and_delays_nobody(listen: Start) -> None:
    server = listen("--stdin", "--format", "json", "-o", "/dev/null", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.process.stdin
    with connect_many(2, server.port) as (reader, sleeper):
        server.wait_for('"opened"', count=2)
        peer = "{}:{}".format(*sleeper.getsockname())
        block = b"x" * 65535 + b"\n"
        taken = 0
        for _ in range(600):
            server.process.stdin.write(block)
            server.process.stdin.flush()
            wanted = taken + len(block)
            while taken < wanted:
                taken += len(reader.recv(1 << 20))
        server.wait_for('"write_timeout"')
        server.process.stdin.write(b"and on it goes\n")
        server.process.stdin.flush()
        assert reader.recv(100) == b"and on it goes\n"
    server.stop()
    closed = [event for event in server.events if event["event"] == "closed" and event["reason"] == "write_timeout"]
    assert [event["peer"] for event in closed] == [peer]
    assert 0 < closed[0]["sent"] < 20_000_000


@pytest.mark.parametrize("how", ["null", "closed", "nohup"])
def test_without_a_standard_input_it_simply_runs(start: Start, tmp_path: Path, how: str) -> None:
    redirect = {"null": "</dev/null", "closed": "<&-", "nohup": "<&-"}[how]
    nohup = "nohup " if how == "nohup" else ""
    command = ("sh", "-c", f'exec {nohup}"$0" -m portside listen "$@" {redirect}', sys.executable)
    server = start("127.0.0.1:0", command=command)
    with connect(server.port) as client:
        client.sendall(b"hello\n")
        server.wait_for("> hello")
        if how == "nohup":
            server.signal(signal.SIGHUP)
            client.sendall(b"still here\n")
            server.wait_for("> still here")
    assert server.stop() == 0


def test_a_hangup_ends_it_in_order(listen: Start) -> None:
    server = listen()
    server.wait_for("listening")
    server.signal(signal.SIGHUP)
    assert server.wait() == 0


def test_typed_lines_go_to_every_client() -> None:
    master, slave = pty.openpty()
    server = Program("listen", "127.0.0.1:0", stdin=slave)
    os.close(slave)
    try:
        port = server.port
        os.write(master, b"too early\n")
        server.wait_for("no client is connected", err=True)
        with connect_many(2, port) as clients:
            server.wait_for("connected", count=2)
            os.write(master, b"typed\n")
            assert [client.recv(100) for client in clients] == [b"typed\n"] * 2
            server.wait_for("< typed$", count=2)
            os.write(master, b"\x04")  # Ctrl-D
            server.wait_for("^portside: end of input: .* the server goes on$", err=True)
            clients[0].sendall(b"still here\n")
            server.wait_for("> still here")
            clients[0].shutdown(socket.SHUT_WR)
            assert read_to_end(clients[0]) == b""
        os.write(master, b"\x04")
        with connect(port) as client:
            client.sendall(b"after the end\n")
            server.wait_for("> after the end")
        assert server.stop() == 0
    finally:
        server.kill()
        os.close(master)


def test_in_the_background_of_a_terminal_it_is_not_stopped() -> None:
    """A shell's ``portside listen &``: reading the terminal from there would stop the process."""
    shell, master = pty.fork()
    if shell == 0:
        job = 'set -m; "$0" -m portside listen 127.0.0.1:0 & echo job $!; wait'
        os.execv("/bin/sh", ["sh", "-c", job, sys.executable])
    shown = bytearray()

    def shows(pattern: bytes) -> re.Match[bytes] | None:
        if not re.search(pattern, bytes(shown)):
            shown.extend(os.read(master, 4096))
        return re.search(pattern, bytes(shown))

    server = int(wait_until(lambda: shows(rb"job (\d+)"), "the number of the job")[1])
    port = int(wait_until(lambda: shows(rb"listening on 127.0.0.1:(\d+)\r"), "the port")[1])
    with connect(port) as client:
        client.sendall(b"alive\n")
        wait_until(lambda: shows(rb"alive\r"), "the line")
    os.kill(server, signal.SIGINT)
    wait_until(lambda: shows(b"stopped: signal"), "the end")
    assert os.waitpid(shell, 0)[0] == shell
    os.close(master)


def test_a_client_that_reads_slowly_gets_everything(listen: Start, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(20_000_000))
    with source.open("rb") as file:
        server = listen("--stdin", "--once", "--format", "json", stdin=file, stdout=subprocess.DEVNULL)
    port = wait_until(lambda: listening_port(server.process.pid), "the port")
    taken = bytearray()
    pause = threading.Event()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.settimeout(30)
        client.connect(("127.0.0.1", port))
        while chunk := client.recv(128 * 1024):
            taken += chunk
            pause.wait(0.02)
    assert bytes(taken) == source.read_bytes()
    assert server.wait() == 0


def test_what_comes_while_no_client_is_there_waits_for_one(listen: Start) -> None:
    server = listen("--stdin", "--format", "json", stdin=subprocess.PIPE)
    assert server.process.stdin
    reset(connect(server.port))
    server.wait_for('"closed"')
    server.process.stdin.write(b"one\n")
    server.process.stdin.flush()
    with connect(server.port) as client:
        assert client.recv(100) == b"one\n"
        server.process.stdin.write(b"two\n")
        server.process.stdin.flush()
        assert client.recv(100) == b"two\n"


def test_a_pipe_and_its_refusal_contradict_each_other(start: Start) -> None:
    for options in (("--stdin", "--recv-only"), ("--no-stdin", "--send-only")):
        program = start("listen", "127.0.0.1:0", *options)
        assert program.wait() == 2
        assert b"exclude each other" in program.err


@pytest.mark.parametrize("through", ["file", "pipe"])
def test_once_sends_a_pipe_or_a_file(listen: Start, tmp_path: Path, through: str) -> None:
    blob = os.urandom(300_000)
    (tmp_path / "blob").write_bytes(blob)
    with (tmp_path / "blob").open("rb") as file:
        server = listen("--once", stdin=file if through == "file" else subprocess.PIPE)
        if server.process.stdin is not None:
            threading.Thread(target=write_all, args=(server.process.stdin, blob)).start()
        with connect(server.port) as client:
            assert read_to_end(client) == blob
    assert server.wait() == 0
    assert not server.err


def test_the_end_of_the_input_does_not_silence_a_behaviour(listen: Start) -> None:
    server = listen("--once", "--echo", stdin=subprocess.PIPE)
    assert server.process.stdin
    server.process.stdin.write(b"first\n")
    server.process.stdin.close()
    with connect(server.port) as client:
        server.wait_for("< first")
        client.sendall(b"and this comes back\n")
        server.wait_for("< and this comes back")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"first\nand this comes back\n"
    assert server.wait() == 0


@pytest.mark.parametrize("arguments", [(), ("--forward", "127.0.0.1:9")])
@pytest.mark.parametrize("through", ["file", "pipe"])
def test_input_that_is_not_sent_is_said(
    listen: Start, tmp_path: Path, through: str, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "blob").write_bytes(b"something")
    with (tmp_path / "blob").open("rb") as file:
        server = listen(*arguments, stdin=file if through == "file" else subprocess.PIPE)
        if server.process.stdin is not None:
            server.process.stdin.write(b"something")
            server.process.stdin.flush()
        server.wait_for(r"^portside: standard input is not sent$", err=True)
    assert (b"hint: --stdin" in server.err) is (not arguments)


@pytest.mark.parametrize("arguments", [("--no-stdin",), ("--recv-only",)])
def test_input_that_was_refused_is_not_spoken_of(listen: Start, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "blob").write_bytes(b"something")
    with (tmp_path / "blob").open("rb") as file:
        server = listen("--once", *arguments, stdin=file)
        connect(server.port).close()
        assert server.wait() == 0
    assert not server.err


def test_input_that_no_client_came_for_is_said_at_the_end(listen: Start, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"something")
    with (tmp_path / "blob").open("rb") as file:
        server = listen("--send-only", stdin=file)
        assert server.port
        assert server.stop() == 0
    assert server.err.decode() == "portside: 9 B of standard input were not sent\n"


def test_input_that_the_client_did_not_take_is_said_at_the_end(listen: Start, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(bytes(12_000_000))
    with (tmp_path / "blob").open("rb") as file:
        server = listen("--once", "--format", "raw", stdin=file)
        with connect(server.port) as client:
            assert client.recv(1000)
            reset(client)
        assert server.wait() == 1
    (left,) = re.findall(rb"^portside: (\d+) B of standard input were not sent$", server.err, re.MULTILINE)
    assert 0 < int(left) < 12_000_000


def write_all(stream: IO[bytes], data: bytes) -> None:
    stream.write(data)
    stream.close()
