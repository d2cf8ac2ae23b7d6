"""How ports and socket files are opened: shared, with rights, passed in."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Start
from support import connect, free_port

NOBODY = 65534
GROUP = 12  # of nobody in particular


@pytest.mark.parametrize(("umask", "mode"), [(0o077, "666"), (0o000, "0600"), (0o022, "660")])
def test_the_mode_of_a_socket_file_is_the_one_asked_for(start: Start, tmp_path: Path, umask: int, mode: str) -> None:
    path = tmp_path / "socket"
    server = start(
        "listen", f"unix:{path}", "--unix-mode", mode, "-o", f"{tmp_path}/out", preexec=lambda: os.umask(umask)
    )
    server.wait_for("listening")
    assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        server.wait_for("connected")


def reach(path: Path, *groups: int) -> int:
    """Connect to a socket file as a user of these groups; the exit status."""
    rights = ["--reuid", str(NOBODY), "--regid", str(NOBODY)]
    rights += ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    command = ["setpriv", *rights, "ncat", "-U", path.name]
    done = subprocess.run(command, cwd=path.parent, input=b"hello\n", capture_output=True, timeout=30, check=False)
    return done.returncode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_the_group_of_a_socket_file_may_connect_and_others_may_not(start: Start, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / "socket"
    server = start("listen", f"unix:{path}", "--unix-mode", "660", "--unix-group", str(GROUP))
    server.wait_for("listening")
    assert (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (GROUP, 0o660)
    assert reach(path) != 0
    assert reach(path, GROUP) == 0
    server.wait_for("> hello")
    assert len(server.wait_for("connected$")) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a right away that root has")
def test_a_group_that_the_owner_is_not_in_leaves_no_file(start: Start, tmp_path: Path) -> None:
    without = ("setpriv", "--bounding-set=-chown", "--inh-caps=-chown", "--groups", "0")
    path = tmp_path / "socket"
    server = start(f"unix:{path}", "--unix-group", str(GROUP), command=portside_listen(*without))
    assert server.wait() == 1
    assert server.err.decode() == (
        f"portside: cannot give unix:{path} to the group {GROUP}: Operation not permitted\n"
        "hint: a file may get a group that its owner is in; `id` lists them\n"
    )
    assert not path.exists()


def portside_listen(*before: str) -> tuple[str, ...]:
    return (*before, sys.executable, "-m", "portside", "listen")


@pytest.mark.parametrize("words", [["[::]:0"], ["::", "0"], ["[0:0::0]:0", "127.0.0.1:0"]])
def test_every_ipv6_address_is_said_to_be_ipv6_alone(start: Start, words: list[str]) -> None:
    server = start("listen", *words)
    found = server.wait_for(r"^portside: \[::\]:(\d+) takes IPv6 clients alone\nhint: .*$", err=True)
    port = int(found[0].partition("]:")[2].split()[0])
    assert found[0].endswith(f"hint: {port} without a host takes IPv4 clients too")
    with connect(port, "::1"):
        server.wait_for(r"\[::1\]:\d+  connected")
    with pytest.raises(ConnectionRefusedError):
        connect(port)


@pytest.mark.parametrize("words", [["0"], ["-6", "[::]:0"], ["[::1]:0"], ["-6", "0"], ["{port}", "[::1]:0"]])
def test_nothing_is_said_where_ipv6_alone_is_meant_or_ipv4_is_open_too(start: Start, words: list[str]) -> None:
    port = str(free_port())
    server = start("listen", *[word.format(port=port) for word in words])
    server.wait_for("listening on")
    assert server.stop() == 0
    assert server.err == b""


def test_both_families_by_hand_are_no_surprise(start: Start) -> None:
    port = free_port()
    server = start("listen", f"[::]:{port}", f"0.0.0.0:{port}")
    server.wait_for("listening on", count=2)
    assert server.stop() == 0
    assert server.err == b""


def test_processes_share_a_port(start: Start) -> None:
    first = start("listen", "127.0.0.1:0", "--reuse-port", "--greet", "one")
    port = first.port
    second = start("listen", f"127.0.0.1:{port}", "--reuse-port", "--greet", "two")
    second.wait_for("listening")
    greeted = set()
    for _ in range(200):  # with two processes, one of which gets all of them once in 2**199
        with connect(port) as client:
            greeted.add(client.recv(3, socket.MSG_WAITALL))
        if len(greeted) == 2:
            break
    assert greeted == {b"one", b"two"}


def test_a_port_that_is_not_shared(start: Start) -> None:
    alone = start("listen", "127.0.0.1:0")
    refused = start("listen", f"127.0.0.1:{alone.port}", "--reuse-port")
    assert refused.wait() == 1
    refused.wait_for("hint: .* has that port: .*a port is shared by processes of one user that all", err=True)
