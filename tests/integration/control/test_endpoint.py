"""The control socket: there from the start, served from the first client on, gone at the end."""

import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from api_client import ask, control_path
from conftest import Start
from support import DEADLINE_S, Program, connect, read_to_end, wait_until

from portside.control.http_protocol import MOST_CONNECTIONS, MOST_REFUSED
from portside.control.socket_path import control_folder

STACK = ("starlette", "uvicorn", "httptools", "websockets", "prometheus_client", "anyio")


def test_the_socket_is_there_before_the_server_says_that_it_listens(listen: Start) -> None:
    server = listen("--echo")
    assert server.port
    path = control_path(server)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    answer = ask(server, "/api/v1/server")
    assert answer.status == 200
    told = answer.json
    assert told["pid"] == server.process.pid
    assert [each["address"] for each in told["listeners"]] == [f"127.0.0.1:{server.port}"]
    assert told["options"] == {"--echo": True}
    assert server.stop() == 0
    assert not path.exists()
    assert server.err == b""


def test_without_a_client_nothing_of_the_stack_is_imported(listen: Start) -> None:
    code = (
        "import os, sys, portside.cli.listen as l; run = l.run\n"
        "def run_and_tell(settings):\n"
        "    status = run(settings); print(sorted(sys.modules), flush=True); return status\n"
        "l.run = run_and_tell; import portside.cli; portside.cli.main()"
    )
    server = listen("--once", command=(sys.executable, "-c", code))
    with connect(server.port):
        pass
    assert server.wait() == 0
    modules = server.lines[-1]
    assert "'portside.control.endpoint'" in modules
    assert [name for name in STACK if f"'{name}'" in modules] == []


def test_clients_that_come_before_the_stack_is_loaded_are_answered(listen: Start) -> None:
    server = listen()
    assert server.port
    clients = []
    for _ in range(20):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(30)
        client.connect(str(control_path(server)))
        client.sendall(b"GET /api/v1/server HTTP/1.1\r\nHost: x\r\n\r\n")
        clients.append(client)
    for client in clients:
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")
        client.close()


def test_no_control_leaves_the_socket_out(listen: Start) -> None:
    server = listen("--no-control")
    assert server.port
    assert not control_path(server).exists()


def test_a_stale_socket_is_removed_and_nothing_else(listen: Start, tmp_path: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    killed = listen(env=env)
    assert killed.port
    stale = tmp_path / "portside" / f"{killed.process.pid}.sock"
    killed.signal(signal.SIGKILL)
    killed.wait()
    assert stale.is_socket()
    ended = subprocess.Popen(["true"])
    ended.wait()
    file_of_ended = tmp_path / "portside" / f"{ended.pid}.sock"
    file_of_ended.write_text("no socket")
    live = listen(env=env)
    assert live.port
    assert not stale.exists()
    assert file_of_ended.exists()
    second = listen(env=env)
    assert second.port
    assert sorted(path.name for path in (tmp_path / "portside").glob("*.sock") if path.is_socket()) == sorted(
        f"{each.process.pid}.sock" for each in (live, second)
    )


def test_a_folder_that_is_a_link_is_not_used(listen: Start, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "portside").symlink_to(elsewhere)
    server = listen("--echo", env={"XDG_RUNTIME_DIR": str(tmp_path)})
    with connect(server.port) as client:
        client.sendall(b"still served\n")
        assert client.recv(100) == b"still served\n"
    assert server.err.decode() == f"portside: no control socket: {tmp_path}/portside: it is a link\n"
    assert list(elsewhere.iterdir()) == []
    assert server.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_not_used(listen: Start, tmp_path: Path) -> None:
    folder = tmp_path / "portside"
    folder.mkdir(0o777)
    os.chown(folder, 65534, 65534)
    server = listen(env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert server.port
    words = f"{folder}: it belongs to another user (uid 65534)"
    assert server.err.decode() == f"portside: no control socket: {words}\n"
    assert list(folder.iterdir()) == []


def test_a_directory_in_which_anybody_may_rename_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else could put a folder of his own in the place of ours, between a look at it and its use."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    assert control_folder() == f"{tmp_path}/portside"
    tmp_path.chmod(0o1777)  # as /tmp is: who has made a folder may rename it, and nobody else
    assert control_folder() == f"{tmp_path}/portside"
    tmp_path.chmod(0o777)
    assert control_folder() == f"/tmp/portside-{os.geteuid()}"


def test_the_socket_is_gone_after_a_server_that_could_not_start(start: Start, listen: Start, tmp_path: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    program = start("listen", "127.0.0.1:0", "-o", str(tmp_path / "no" / "folder"), env=env)
    assert program.wait() == 1
    assert list((tmp_path / "portside").iterdir()) == []


def test_an_end_does_not_wait_for_clients_of_the_api(listen: Start) -> None:
    server = listen()
    assert server.port
    ask(server, "/api/v1/server")
    idle = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    idle.settimeout(30)
    idle.connect(str(control_path(server)))
    idle.sendall(b"GET /api/v1/server HTTP/1.1\r\nHost: x\r\n\r\nGET ")
    assert idle.recv(1 << 16)
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    read_to_end(idle)
    idle.close()


def test_a_socket_that_somebody_listens_on_is_not_stale(listen: Start, tmp_path: Path) -> None:
    """A server in another PID namespace that shares the folder: the number of its process is nobody's here."""
    folder = tmp_path / "portside"
    folder.mkdir(0o700)
    ended = subprocess.Popen(["true"])
    ended.wait()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(folder / f"{ended.pid}.sock"))
        other.listen()
        server = listen(env={"XDG_RUNTIME_DIR": str(tmp_path)})
        assert server.port
        assert (folder / f"{ended.pid}.sock").exists()


def test_an_end_does_not_wait_for_a_stack_that_is_being_loaded(listen: Start) -> None:
    server = listen()
    assert server.port
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(control_path(server)))
        server.signal(signal.SIGINT)
        assert server.wait() == 0
    assert server.err == b""


def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error(listen: Start) -> None:
    server = listen()
    assert server.port
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(control_path(server)))
        client.sendall(b'POST /api/v1/broadcast HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"te')
        assert ask(server, "/api/v1/server").status == 200
    assert ask(server, "/api/v1/server").status == 200
    assert server.stop() == 0
    assert server.err == b""


def test_one_client_too_many_is_told_so_and_the_server_goes_on(listen: Start) -> None:
    server = listen("--echo")
    assert server.port
    ask(server, "/api/v1/server")
    clients = []
    for _ in range(MOST_CONNECTIONS):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(DEADLINE_S)
        client.connect(str(control_path(server)))
        client.sendall(b"GET /api/v1/server HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        clients.append(client)
    slow = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    slow.settimeout(DEADLINE_S)
    slow.connect(str(control_path(server)))
    clients.append(slow)
    refused = ask(server, "/api/v1/server")
    assert (refused.status, refused.json["status"]) == (503, 503)
    slow.sendall(b"GET /api/v1/server HTTP/1.1\r\nHost: x\r\n\r\n")
    assert slow.recv(1 << 16).startswith(b"HTTP/1.1 503 ")
    with connect(server.port) as client:
        client.sendall(b"served\n")
        assert client.recv(100) == b"served\n"
    for each in clients:
        each.close()
    assert wait_until(lambda: ask(server, "/api/v1/server").status == 200, "room for one more")


def test_a_crowd_of_silent_clients_is_refused_at_once_or_soon(listen: Start) -> None:
    server = listen("--echo")
    assert server.port
    ask(server, "/api/v1/server")
    clients = []
    for _ in range(MOST_CONNECTIONS + MOST_REFUSED + 20):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(control_path(server)))  # without a timeout: it waits where the backlog is full
        client.settimeout(DEADLINE_S)
        clients.append(client)
    for client in clients[MOST_CONNECTIONS:]:
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 503 ")
    for client in clients:
        client.close()
    assert wait_until(lambda: ask(server, "/api/v1/server").status == 200, "room for one more")


def test_without_descriptors_the_clients_go_on_and_the_api_comes_back(listen: Start) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    server = listen("--echo", "--format", "json", preexec=few)
    clients = [connect(server.port) for _ in range(64)]
    server.wait_for('"no_file_descriptors"')

    def is_counted() -> bool:
        refused: dict[str, int] = ask(server, "/api/v1/server").json["counts"]["refused"]
        return refused == {"no_file_descriptors": server.out.count(b'"no_file_descriptors"')}

    wait_until(is_counted, "all that are refused to be counted")
    crowd = []
    for _ in range(40):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(control_path(server)))
        crowd.append(client)
    clients[0].sendall(b"served\n")
    assert clients[0].recv(100) == b"served\n"
    for each in crowd:
        each.close()
    assert wait_until(lambda: _answers(server), "the API to answer again")
    for each in clients:
        each.close()
    assert server.stop() == 0


def _answers(server: Program) -> bool:
    try:
        return ask(server, "/api/v1/server").status == 200
    except OSError:
        return False
