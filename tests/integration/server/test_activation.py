"""Sockets that are passed in: by systemd, or as ``fd:N``."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Start
from support import DEADLINE_S, connect, free_port, read_to_end

ACTIVATE = str(Path(__file__).parents[2] / "activate.py")


def activated(*kinds: str, before: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The command of ``portside listen`` with sockets of these kinds passed in."""
    return (*before, sys.executable, ACTIVATE, *kinds, "--", sys.executable, "-m", "portside", "listen")


def test_everything_that_systemd_passed_is_listened_on_and_systemd_is_told(start: Start, tmp_path: Path) -> None:
    path, notify = tmp_path / "socket", tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(notify))
        manager.settimeout(DEADLINE_S)
        server = start(command=activated("tcp", f"unix={path}"), env={"NOTIFY_SOCKET": str(notify)})
        assert manager.recv(100) == b"READY=1"
    assert len(server.wait_for(r"listening on")) == 2
    with connect(server.port) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.connect(str(path))
        tcp.sendall(b"by tcp\n")
        unix.sendall(b"by unix\n")
        server.wait_for("> by tcp")
        server.wait_for(r"unix:pid=\d+  > by unix")
    assert server.stop() == 0
    assert path.exists(), "the file is not ours"
    assert server.err == b""


def test_an_abstract_notify_socket(start: Start) -> None:
    name = f"portside-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(DEADLINE_S)
        start("listen", "127.0.0.1:0", env={"NOTIFY_SOCKET": f"@{name}"})
        assert manager.recv(100) == b"READY=1"


def test_a_manager_that_is_not_there_costs_a_line(listen: Start, tmp_path: Path) -> None:
    server = listen(env={"NOTIFY_SOCKET": f"{tmp_path}/none"})
    server.wait_for(rf"^portside: cannot tell {tmp_path}/none .*: No such file or directory$", err=True)
    with connect(server.port):
        server.wait_for("connected")


def test_one_of_the_sockets_by_its_number(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = start("fd:4", "127.0.0.1:0", command=activated(f"unix={path}", "tcp"))
    names = server.wait_for(r"listening on (.*)$", count=2)
    assert not any("unix:" in name for name in names)
    for name in names:
        with connect(int(name.rpartition(":")[2])):
            pass
    server.wait_for("  connected", count=2)


def test_keepalive_and_backlog_hold_for_a_socket_that_was_passed_in(start: Start) -> None:
    server = start("--backlog", "7", "--keepalive", "9000s", command=activated("tcp"))
    port = server.port
    with connect(port):
        server.wait_for("  connected")
        listener = ss("-ltn", f"sport = :{port}").split()
        assert listener[:3] == ["LISTEN", "0", "7"]
        assert re.search(r"timer:\(keepalive,(149|150)min", ss("-tno", f"sport = :{port}"))


def ss(*words: str) -> str:
    """The table of ss without its head."""
    done = subprocess.run(["ss", "--no-header", *words], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def test_a_program_gets_neither_the_sockets_nor_the_variables(start: Start) -> None:
    script = "env | grep -E '^(LISTEN|NOTIFY)'; ls -l /proc/$$/fd; echo end"
    server = start("--sh-exec", script, command=activated("tcp"), env={"NOTIFY_SOCKET": "/dev/null/none"})
    server.wait_for("listening")
    listening = re.findall(r"inode|socket:\[\d+\]", os.readlink(f"/proc/{server.process.pid}/fd/3"))
    with connect(server.port) as client:
        told = read_to_end(client).decode()
    assert told.endswith("end\n")
    assert "LISTEN" not in told
    assert "NOTIFY" not in told
    assert listening
    assert listening[0] not in told


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("bound", "it is a socket that does not listen"),
        ("udp", "TCP only, and it is a socket of another protocol"),
        ("connected", "it is a connection, not a socket that listens\nhint: a socket unit needs Accept=no"),
        ("file", "it is no socket"),
    ],
)
@pytest.mark.parametrize("address", [(), ("fd:3",)])
def test_what_is_no_listening_socket(start: Start, kind: str, why: str, address: tuple[str, ...]) -> None:
    server = start(*address, command=activated(kind))
    assert server.wait() == 1
    assert server.err.decode() == f"portside: cannot listen on fd:3: {why}\n"


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["fd:9"], 1, "portside: cannot listen on fd:9: no descriptor of this number was passed in\n"),
        (["fd:2"], 2, "portside: listen: 'fd:2' is no socket that was passed in: write fd:N, N from 3 on\n"),
        (["fd:x"], 2, "portside: listen: 'fd:x' is no socket that was passed in: write fd:N, N from 3 on\n"),
        (["fd:3", "fd:03"], 2, "portside: listen: 'fd:03' is there twice\n"),
    ],
)
def test_numbers_of_no_socket(start: Start, words: list[str], status: int, message: str) -> None:
    server = start("listen", *words)
    assert server.wait() == status
    assert server.err.decode().startswith(message)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("many", "portside: LISTEN_FDS: 'many' is no number of sockets\n"),
        ("2", "portside: LISTEN_FDS=2, and descriptor 4: Bad file descriptor\n"),
    ],
)
def test_a_number_that_is_not_what_was_passed(start: Start, number: str, message: str) -> None:
    server = start(command=activated("tcp"), env={"ACTIVATE_FDS": number})
    assert server.wait() == 1
    assert server.err.decode() == message


def test_sockets_of_another_process_are_left_alone(start: Start) -> None:
    """As where a shell between systemd and the server forks: then the default port opens, in a network of its own."""
    before = ("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")
    server = start(command=activated("tcp", before=before), env={"ACTIVATE_PID": "1"})
    server.wait_for(r"listening on 0\.0\.0\.0:12345")
    server.wait_for(r"^portside: LISTEN_FDS is not for this process, \d+, but for LISTEN_PID=1\nhint: ", err=True)


def test_connect_does_not_take_a_descriptor_for_a_host(start: Start) -> None:
    program = start("connect", "fd:3")
    assert program.wait() == 2
    program.wait_for("'fd:3' is a socket to listen on; a host of this name is tcp://fd:3", err=True)


def test_who_may_connect_means_nothing_on_unix_sockets_alone(start: Start, tmp_path: Path) -> None:
    words = ("fd:3", f"unix:{tmp_path}/ours", "--allow", "10.0.0.1")
    server = start(*words, command=activated(f"unix={tmp_path}/theirs"))
    assert server.wait() == 2
    server.wait_for("--allow is about IP addresses, and a unix socket has none", err=True)
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_who_may_connect_to_a_port_that_was_passed_in(start: Start) -> None:
    server = start("--deny", "127.0.0.1", command=activated("tcp"))
    with connect(server.port) as client:
        assert read_to_end(client) == b""
    server.wait_for("refused: denied")


def test_a_dual_stack_socket_shows_ipv4_clients_as_such(start: Start) -> None:
    server = start("--format", "json", command=activated("tcp6"))
    port = server.port
    with connect(port), connect(port, "::1"):
        server.wait_for(rf'"opened".*"peer":"127\.0\.0\.1:\d+","local":"127\.0\.0\.1:{port}"')
        server.wait_for(rf'"opened".*"peer":"\[::1\]:\d+","local":"\[::1\]:{port}"')


def test_a_relay_to_the_socket_that_was_passed_in_is_refused(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = start("--forward", f"unix:{path}", command=activated(f"unix={path}"))
    assert server.wait() == 2
    server.wait_for("itself", err=True)


def test_a_relay_over_ipv4_to_a_dual_stack_socket_is_refused(start: Start) -> None:
    port = free_port()
    server = start("--forward", f"127.0.0.1:{port}", command=activated(f"tcp6={port}"))
    assert server.wait() == 2
    server.wait_for("itself", err=True)
