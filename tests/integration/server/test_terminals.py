"""``--pty``: programs on a terminal, with nc and bash as people use them."""

import asyncio
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import Start
from support import (
    DEADLINE_S,
    Program,
    connect,
    connect_many,
    fill,
    has_ended,
    memory_kib,
    read_to_end,
    reset,
    wait_until,
)

from portside.behaviours import process_group
from portside.behaviours.process_group import ProcessGroup
from portside.behaviours.terminal_process import SessionGroups

SHELL = "env PS1=ready$ bash --norc --noprofile --noediting -i"
DEAF = "stty -echo; echo $$; exec sleep 1000"


def read_until(client: socket.socket, pattern: bytes) -> bytes:
    """What comes until the pattern has come."""
    got = b""
    while not re.search(pattern, got):
        piece = client.recv(4096)
        assert piece, got
        got += piece
    return got


def read_pid(client: socket.socket) -> int:
    return int(read_until(client, rb"\d+\r\n"))


def nc(server: Program, sent: bytes, *options: str) -> bytes:
    command = ["nc", *options, "127.0.0.1", str(server.port)]
    return subprocess.run(command, input=sent, capture_output=True, timeout=30, check=True).stdout


def test_a_shell_prompts_and_runs_a_command(listen: Start) -> None:
    server = listen("--exec", SHELL, "--pty")
    with connect(server.port) as client:
        read_until(client, rb"ready\$$")
        client.sendall(b"echo $((6 * 7))\n")
        assert read_until(client, rb"ready\$$") == b"echo $((6 * 7))\r\n42\r\nready$"
        client.sendall(b"exit\n")
        assert read_to_end(client) == b"exit\r\nexit\r\n"
    server.wait_for("closed here|closed by peer")
    assert server.stop() == 0
    assert server.err == b""


def test_what_the_terminal_is(listen: Start) -> None:
    server = listen(
        "-c", "tty; stty size; echo $TERM $LINES; ps -o pid=,sid=,tpgid= -p $$", "--pty", env={"LINES": "7"}
    )
    tty, size, term, ids = nc(server, b"").split(b"\r\n")[:4]
    assert tty.startswith(b"/dev/pts/")
    assert size == b"24 80"
    assert term == b"xterm-256color"
    pid, session, _foreground = ids.split()
    assert pid == session


def test_each_client_has_a_terminal_of_its_own(listen: Start) -> None:
    server = listen("-c", "tty; read go", "--pty", "--max-conns", "2")
    with connect_many(3, server.port) as clients:
        server.wait_for("refused: max_conns")
        assert len({read_until(client, b"\n") for client in clients[:2]}) == 2


def test_ctrl_c_interrupts(listen: Start) -> None:
    server = listen("--exec", SHELL, "--pty")
    with connect(server.port) as client:
        read_until(client, rb"ready\$$")
        client.sendall(b"sh -c 'echo on; exec sleep 1000'\n")
        read_until(client, rb"\non\r\n")
        client.sendall(b"\x03")
        assert read_until(client, rb"ready\$$").startswith(b"^C")
        client.sendall(b"echo $?\n")
        assert b"\r\n130\r\n" in read_until(client, rb"130\r\nready\$$")


def test_ctrl_c_interrupts_also_where_the_server_ignores_it(listen: Start) -> None:
    """As a shell makes it for what it starts with ``&``."""
    server = listen(
        "-c", "echo on; exec sleep 1000", "--pty", preexec=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    )
    with connect(server.port) as client:
        read_until(client, b"on\r\n")
        client.sendall(b"\x03")
        assert read_to_end(client) == b"^C"


@pytest.mark.parametrize(
    ("sent", "last"),
    [
        (b"echo a$((1 + 1))\n", b"a2\r\nready$exit\r\n"),
        (b"cat\nto the cat\n", b"to the cat\r\nready$exit\r\n"),  # one end for the cat, one for the shell
        (b"sleep 0.1; echo late\n", b"late\r\nready$exit\r\n"),
    ],
)
def test_fin_ends_what_reads(listen: Start, sent: bytes, last: bytes) -> None:
    server = listen("--exec", SHELL, "--pty", "--format", "json")
    assert nc(server, sent, "-N").endswith(last)
    server.wait_for('"reason":"peer_closed"')


def test_fin_in_the_middle_of_a_line(listen: Start) -> None:
    server = listen("-c", "stty -echo; echo on; cat", "--pty")
    with connect(server.port) as client:
        read_until(client, b"on\r\n")
        client.sendall(b"half")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"half"


def test_a_silent_program_that_ignores_fin_gets_the_hang_up(listen: Start, tmp_path: Path) -> None:
    hung_up = tmp_path / "hung up"
    server = listen("-c", f"trap 'echo > \"{hung_up}\"; exit' HUP; echo $$; while :; do sleep 0.01; done", "--pty")
    with connect(server.port) as client:
        pid = read_pid(client)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    wait_until(lambda: has_ended(pid), "its end")
    assert hung_up.exists()
    server.wait_for("closed by peer")


def test_the_half_close_timeout_takes_the_place_of_the_patience(listen: Start) -> None:
    server = listen("-c", "echo $$; exec sleep 1000", "--pty", "--half-close-timeout", "100ms")
    with connect(server.port) as client:
        pid = read_pid(client)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    wait_until(lambda: has_ended(pid), "its end")


def test_all_that_a_program_wrote_before_it_ended_arrives(listen: Start) -> None:
    server = listen("-c", "head -c 3000000 /dev/zero", "--pty", "--format", "json")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect(("127.0.0.1", server.port))
        server.wait_for('"sent"')
        assert len(read_to_end(client)) == 3_000_000
    server.wait_for('"closed".*"sent":3000000')
    assert b"internal error" not in server.err


@pytest.mark.parametrize("end", ["reset", "stop"])
def test_every_job_ends_with_the_connection(listen: Start, end: str) -> None:
    """A shell on a terminal makes a process group for each job, and heeds no SIGTERM."""
    server = listen("--exec", SHELL, "--pty")
    with connect(server.port) as client:
        read_until(client, rb"ready\$$")
        client.sendall(b"nohup sleep 1000 >/dev/null 2>&1 & echo $$ pid $!; sleep 1000\n")
        shell, job = map(int, re.findall(rb"(\d+) pid (\d+)", read_until(client, rb"\d pid \d+\r\n"))[0])
        groups = {os.getpgid(pid) for pid in (shell, job)}
        assert len(groups) == 2
        if end == "reset":
            reset(client)
        else:
            assert server.stop() == 0
    wait_until(lambda: has_ended(shell) and has_ended(job), "the end of the shell and its job")


class StaleGroups(SessionGroups):
    """Readings of which the first, while nobody says when it has to begin, does not have the jobs of a shell."""

    def groups(self, session: int, since: float | None = None) -> set[int]:
        return {session} if since is None else super().groups(session, since)


def test_a_job_that_was_started_while_the_processes_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "_SESSIONS", StaleGroups())
    master, slave = os.openpty()

    async def run() -> int:
        exited, over = asyncio.Event(), asyncio.Event()
        words = ["bash", "-mc", "sleep 1000 & echo $! pid"]
        group = ProcessGroup(words, dict(os.environ), lambda _: exited.set(), over.set, os.ttyname(slave))
        os.close(slave)
        job = int((await asyncio.to_thread(os.read, master, 100)).split()[0])
        async with asyncio.timeout(DEADLINE_S):
            await exited.wait()
            group.terminate()
            await over.wait()
        return job

    try:
        job = asyncio.run(run())
    finally:
        os.close(master)
    wait_until(lambda: has_ended(job), "its end")


def test_a_flood_to_a_client_that_does_not_read(listen: Start) -> None:
    server = listen("-c", "exec yes", "--pty", "--format", "raw", stdout=subprocess.DEVNULL)
    with connect(server.port) as client, connect(server.port) as reader:
        before = memory_kib(server.process.pid)
        for _ in range(100):
            assert reader.recv(1 << 18)
        assert memory_kib(server.process.pid) - before < 20_000
        assert client.recv(3) == b"y\r\n"


def test_one_that_does_not_read_holds_its_client_back(listen: Start) -> None:
    server = listen(
        "-c", "stty raw -echo; echo on; exec sleep 1000", "--pty", "--format", "raw", stdout=subprocess.DEVNULL
    )
    with connect(server.port) as client:
        read_until(client, b"on\n")
        before = memory_kib(server.process.pid)
        fill(client)
        assert memory_kib(server.process.pid) - before < 20_000


def test_one_that_reads_late_gets_everything(listen: Start, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    server = listen(
        "-c", f"stty raw -echo; echo on; read go <{go}; head -c 1000000 | tr x y", "--pty", "--format", "json"
    )
    with connect(server.port) as client:
        read_until(client, b"on\n")
        sender = threading.Thread(target=client.sendall, args=(b"x" * 1_000_000,))
        sender.start()
        server.wait_for('"received"')
        go.write_text("go\n")
        assert read_to_end(client) == b"y" * 1_000_000
        sender.join(30)


def test_more_than_a_line_may_be_long_does_not_stop_the_terminal(listen: Start) -> None:
    server = listen("-c", "stty -echo; echo on; read line; echo ${#line}", "--pty")
    with connect(server.port) as client:
        read_until(client, b"on\r\n")
        client.sendall(b"x" * 100_000 + b"\n")
        assert read_to_end(client) == b"4095\r\n"


def test_how_it_is_shown_and_recorded(listen: Start, tmp_path: Path) -> None:
    recording = str(tmp_path / "rec")
    server = listen("-c", "printf 'caf\\351\\n'", "--pty", "-C", "--encoding", "latin-1", "--record", recording)
    assert nc(server, b"") == b"caf\xe9\r\n"
    server.wait_for("< café\\\\r\n")
    assert server.stop() == 0
    command = [sys.executable, "-m", "portside", "rec", "cat", recording, "1", "--direction", "out"]
    assert subprocess.run(command, capture_output=True, check=True, timeout=30).stdout == b"caf\xe9\r\n"


def test_it_inherits_no_descriptor_of_the_server(listen: Start) -> None:
    server = listen("-c", "ls /proc/$$/fd", "--pty", preexec=lambda: os.dup2(2, 77))
    assert set(nc(server, b"").split()) <= {b"0", b"1", b"2", b"10", b"255"}  # a shell's own are these


def test_no_descriptor_for_a_terminal(listen: Start) -> None:
    """The client is closed, the next one is served, and nothing stays open."""
    server = listen("--exec", "cat", "--pty", "--format", "json")
    pid = server.process.pid

    def descriptors() -> list[int]:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))

    def one_client(sent: bytes) -> bytes:
        got = nc(server, sent, "-N")
        wait_until(lambda: len(descriptors()) == before, "the descriptors of the client to be closed")
        return got

    server.wait_for("listening")
    before = len(descriptors())
    assert one_client(b"x\n") == b"x\r\nx\r\n"
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    for spare in (1, 2, 3, 4):  # for the client; one side of the terminal; both; and one more for its output
        free = [number for number in range(descriptors()[-1] + 9) if number not in descriptors()]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[spare], hard))
        assert one_client(b"") == b""
        server.wait_for("portside: #\\d+: cannot run cat: .*Too many open files", count=spare, err=True)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert one_client(b"x\n") == b"x\r\nx\r\n"
    server.wait_for('"closed"', count=6)
    reasons = [event["reason"] for event in server.events if event["event"] == "closed"]
    assert reasons == ["peer_closed", "error", "error", "error", "error", "peer_closed"]
