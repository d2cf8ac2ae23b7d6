"""The tutorial, as its reader does it: the server, two ``nc``, one ``netstat``, Ctrl-C."""

import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from conftest import Start
from support import free_port, wait_until

ROOT = Path(__file__).parents[2]


def netstat(port: int) -> set[tuple[str, str]]:
    """The ends of the established connections that ``netstat -ntp`` shows with a port."""
    table = subprocess.run(["netstat", "-ntp"], capture_output=True, text=True, check=True, timeout=30).stdout
    rows = [line.split() for line in table.splitlines() if f":{port} " in line]
    return {(row[3], row[4]) for row in rows if row[5] == "ESTABLISHED"}


def test_the_whole_tutorial(start: Start) -> None:
    # Port 12345 may be taken on the machine of the test: the tutorial's address is tried in a namespace of its own.
    server = start(
        command=(
            "unshare",
            "--net",
            "sh",
            "-c",
            'ip link set lo up; exec "$0" "$1"',
            sys.executable,
            str(ROOT / "tcp_server.py"),
        )
    )
    server.wait_for(r"^Listening on 0\.0\.0\.0:12345\.\.\.$")
    inside = ("nsenter", "--net", "--target", str(server.process.pid))
    nc = [*inside, "nc", "127.0.0.1", "12345"]
    clients = [start(command=tuple(nc), stdin=subprocess.PIPE) for _ in range(2)]
    server.wait_for("established", count=2)
    shown = subprocess.run([*inside, "netstat", "-ntp"], capture_output=True, text=True, check=True, timeout=30).stdout
    rows = [line.split() for line in shown.splitlines() if ":12345" in line]
    ours = [row for row in rows if row[3] == "127.0.0.1:12345"]
    assert len(rows) == 4
    assert len(ours) == 2
    assert all(
        row[0] == "tcp" and row[5] == "ESTABLISHED" and row[6].startswith(f"{server.process.pid}/") for row in ours
    )
    for client in clients:
        assert client.process.stdin
        client.process.stdin.write(b"hello\n")
        client.process.stdin.flush()
    server.wait_for("hello", count=2)
    clients[0].process.kill()
    server.wait_for("closed")
    again = start(command=(*inside, sys.executable, str(ROOT / "tcp_server.py")))
    assert again.wait() == 1
    assert b"Address already in use" in again.err
    assert server.stop() == 0
    lines = server.lines
    assert lines[0] == "Listening on 0.0.0.0:12345..."
    assert (
        sum(bool(re.fullmatch(r"Connection from \('127\.0\.0\.1', \d+\) established\.", line)) for line in lines) == 2
    )
    assert sum(bool(re.fullmatch(r"Received from \('127\.0\.0\.1', \d+\): hello", line)) for line in lines) == 2
    assert sum(bool(re.fullmatch(r"Connection from \('127\.0\.0\.1', \d+\) closed\.", line)) for line in lines) == 1
    assert lines[-1] == "Server interrupted. Closing..."
    assert len(lines) == 7


def test_tcp_server_with_a_bare_python(tmp_path: Path) -> None:
    """Without Portside it says in one line what to do; beside a .venv it uses that."""
    script = tmp_path / "tcp_server.py"
    shutil.copy(ROOT / "tcp_server.py", script)
    bare = [sys.executable, "-I", "-S", str(script)]
    lost = subprocess.run(bare, capture_output=True, text=True, timeout=30, check=False)
    assert lost.returncode == 1
    assert lost.stderr == "tcp_server.py: Portside is not set up here yet: run `make run` once, then this again\n"
    own = tmp_path / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.write_text('#!/bin/sh\necho "own python: $*"\n')
    own.chmod(0o755)
    found = subprocess.run(bare, capture_output=True, text=True, timeout=30, check=False)
    assert found.stdout == f"own python: {script}\n"


def test_three_nc_in_a_real_terminal(tmp_path: Path) -> None:
    """What a new user sees, through tmux: each client apart, colours, Ctrl-C."""
    tmux = ("tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null")

    def screen() -> str:
        return subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True).stdout

    command = f"{sys.executable} -m portside listen 127.0.0.1:0; echo status $?; cat"
    with ExitStack() as stack:
        subprocess.run([*tmux, "new-session", "-d", "-x", "100", "-y", "30", "bash", "-c", command], check=True)
        stack.callback(subprocess.run, [*tmux, "kill-server"], check=True)
        port = int(wait_until(lambda: re.search(r"listening on 127\.0\.0\.1:(\d+)", screen()), "the port")[1])
        clients, ends = [], set()
        for number in range(1, 4):
            client = stack.enter_context(
                subprocess.Popen(["nc", "127.0.0.1", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            stack.callback(client.kill)
            clients.append(client)
            assert client.stdin
            client.stdin.write(f"I am {number}\n".encode())
            client.stdin.flush()
            shown = re.compile(rf"#{number} (\S+) +> I am {number}")
            peer = wait_until(partial(lambda shown: shown.search(screen()), shown), "the client")[1]
            ends |= {(f"127.0.0.1:{port}", peer), (peer, f"127.0.0.1:{port}")}
        assert len(ends) == 6
        wait_until(lambda: ends <= netstat(port), "the six ends")
        subprocess.run([*tmux, "send-keys", "hello all", "Enter"], check=True)
        for client in clients:
            assert client.stdout
            assert client.stdout.readline() == b"hello all\n"
        subprocess.run([*tmux, "send-keys", "C-c"], check=True)
        wait_until(lambda: "status 0" in screen(), "the end")
        assert screen().count("closed at the end of the run") == 3
        for client in clients:
            client.communicate(timeout=30)


@pytest.mark.parametrize("number", [signal.SIGINT])
def test_starting_again_at_once_works(start: Start, number: int) -> None:
    port = free_port()
    first = start("listen", f"127.0.0.1:{port}", "--format", "classic")
    first.wait_for("Listening")
    with subprocess.Popen(["nc", "127.0.0.1", str(port)], stdin=subprocess.PIPE) as client:
        first.wait_for("established")
        first.signal(number)
        assert first.wait() == 0
        client.communicate(timeout=30)
    start("listen", f"127.0.0.1:{port}").wait_for("listening")
