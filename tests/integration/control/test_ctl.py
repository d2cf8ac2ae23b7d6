"""``portside ctl`` beside a real server with real clients."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from api_client import ask, control_path, loading, page_of
from conftest import Start
from ctl_command import ctl
from support import DEADLINE_S, Program, connect, connect_many, wait_until


@pytest.fixture
def listen(listen: Start) -> Start:
    return loading(listen)


def on(server: Program, *words: str, stdin: bytes = b"") -> str:
    """Run a command on a server: what it wrote. Fails unless it succeeds."""
    command, *rest = words
    done = ctl(command, "--server", str(server.process.pid), *rest, stdin=stdin)
    assert (done.status, done.err) == (0, ""), done
    return done.out


def one_client(server: Program) -> socket.socket:
    client = connect(server.port)
    server.wait_for("connected")
    return client


def test_an_answer_by_hand(listen: Start, tmp_path: Path) -> None:
    server = listen()
    with one_client(server) as client:
        assert on(server, "send", "1", r"hello\n") == "#1: sent 6 B\n"
        assert client.recv(100) == b"hello\n"
        on(server, "send", "#1", "--hex", "00ff 0a")
        assert client.recv(100) == b"\x00\xff\n"
        (tmp_path / "answer").write_bytes(b"\r\n" * 1000)
        on(server, "send", "1", "--file", str(tmp_path / "answer"))
        assert client.recv(2000, socket.MSG_WAITALL) == b"\r\n" * 1000
        on(server, "send", "1", "--file", "-", stdin=b"from standard input")
        assert client.recv(100) == b"from standard input"
    server.wait_for(r"#1 .* operator: sent|sent 6 B")


def test_pause_resume_and_where_the_bytes_are(listen: Start) -> None:
    server = listen("--format", "json")
    with connect(server.port) as client:
        server.wait_for('"opened"')
        assert on(server, "pause", "1") == "#1: paused\n"
        assert on(server, "pause", "1") == "#1: paused already\n"
        client.sendall(b"x" * 1000)
        wait_until(lambda: "recv_q             1000" in on(server, "show", "1"), "the kernel to hold 1000 bytes")
        (line,) = on(server, "conns", "recvq > 900").splitlines()[1:]
        assert line.split()[:3] == ["1", f"127.0.0.1:{client.getsockname()[1]}", "open,paused"]
        assert '"received"' not in server.out.decode()
        assert on(server, "resume", "1") == "#1: resumed\n"
        server.wait_for('"received"')
        assert on(server, "resume", "1") == "#1: was not paused\n"


@pytest.mark.parametrize(
    ("options", "sentence", "end"),
    [([], "closed", b""), (["--half"], "our direction is ended", b""), (["--reset"], "reset", None)],
)
def test_close(listen: Start, options: list[str], sentence: str, end: bytes | None) -> None:
    server = listen("--half-close-timeout", "1m")
    with one_client(server) as client:
        assert on(server, "close", "1", *options) == f"#1: {sentence}\n"
        if end is None:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        else:
            assert client.recv(1) == end
    server.wait_for(r"#1 \S+  (closed|reset) (here|by)")
    wait_until(lambda: on(server, "conns", "--closed").count("\n") == 2, "the closed one in the list")
    assert ctl("send", "--server", str(server.process.pid), "1", "x").err.endswith("connection 1 is closed\n")


def test_faults_come_and_go(listen: Start) -> None:
    server = listen("--echo")
    with one_client(server) as client:
        assert on(server, "fault", "1", "stall") == "#1: fault 1, stall\n"
        assert on(server, "fault", "1", "latency", "20ms") == "#1: fault 2, latency 20ms\n"
        rows = on(server, "fault", "1").splitlines()
        assert [row.split()[:2] for row in rows[1:]] == [["1", "stall"], ["2", "latency"]]
        client.sendall(b"held\n")
        assert on(server, "fault", "1", "off", "2") == "#1: fault 2 is out, latency 20ms\n"
        assert on(server, "fault", "1", "off") == "#1: fault 1 is out, stall\n"
        assert client.recv(100) == b"held\n"
        assert on(server, "fault", "1", "off") == "#1: has no faults\n"
        assert on(server, "throttle", "1", "10k/s") == "#1: throttled to 10k/s\n"
        assert on(server, "throttle", "1", "off") == "#1: throttled no more\n"


def test_notes_limits_lists_and_a_broadcast(listen: Start) -> None:
    server = listen()
    with connect_many(3, server.port) as clients:
        server.wait_for("connected", count=3)
        assert on(server, "note", "2", "the slow one") == "#2: note: the slow one\n"
        (line,) = on(server, "conns", "note = 'the slow one'").splitlines()[1:]
        assert line.endswith("the slow one")
        assert on(server, "note", "2", "") == "#2: no note\n"
        assert on(server, "broadcast", r"bye\n") == "sent 4 B to 3 clients\n"
        assert [client.recv(10) for client in clients] == [b"bye\n"] * 3
        changed = on(server, "limit", "max-conns=3", "idle_timeout=5m").splitlines()
        assert {"max_conns=3", "idle_timeout=300s", "max_conns_per_ip=off"} <= set(changed)
        with connect(server.port) as refused:
            assert refused.recv(1) == b""
        assert on(server, "deny", "10.0.0.0/8") == "deny: 10.0.0.0/8 added, 1 network listed\n"
        assert on(server, "deny") == "10.0.0.0/8\n"
        assert on(server, "deny", "--remove", "10.0.0.0/8") == "deny: 10.0.0.0/8 taken off, 0 networks listed\n"
        assert on(server, "allow") == "allow: any that is not denied\n"


def test_a_drain_ends_the_server_with_its_last_client(listen: Start) -> None:
    server = listen()
    with one_client(server):
        assert on(server, "drain") == "accepts nobody any more; ends with the last of 1 client\n"
        with pytest.raises(ConnectionRefusedError):
            connect(server.port)
    assert server.wait() == 0


def test_each_answer_as_json(listen: Start) -> None:
    server = listen("--echo")
    with one_client(server):
        pid = str(server.process.pid)
        listed = ctl("conns", "--server", pid, "--json").json
        assert (listed["conn"], listed["received"], listed["kernel"]["recv_q"]) == (1, 0, 0)
        assert ctl("show", "--server", pid, "1", "--json").json["kernel"]["state"] == "ESTABLISHED"
        assert ctl("send", "--server", pid, "1", "x", "--json").json["sent"] == 1
        assert ctl("pause", "--server", pid, "1", "--json").json == {"conn": 1, "paused": True, "changed": True}
        assert ctl("fault", "--server", pid, "1", "--json").json == {"conn": 1, "items": []}
        assert ctl("limit", "--server", pid, "--json").json["max_conns"] is None
        assert ctl("deny", "--server", pid, "--json").json["deny"] == []
        assert ctl("close", "--server", pid, "1", "--json").json["how"] == "fin"
        (mine,) = [
            each for each in map(json.loads, ctl("servers", "--json").out.splitlines()) if str(each["pid"]) == pid
        ]
        assert mine["options"] == {"--echo": True}


def test_events_as_listen_shows_them(listen: Start, start: Start) -> None:
    server = listen("--echo")
    with one_client(server) as client:
        events = start("ctl", "events", "--server", str(server.process.pid))
        numbers = start("ctl", "events", "--json", "--server", str(server.process.pid), "conn = 1", "--payload", "none")

        def seen() -> bool:
            client.sendall(b"again \x1b[2J\n")
            return b"< again" in events.out and b'"sent"' in numbers.out

        wait_until(seen, "both to see a line")  # from when on they look is not known here
        assert r"> again \x1b[2J" in events.out.decode()
        assert b"\x1b" not in events.out
        first = json.loads(numbers.lines[0])
        assert first["seq"] >= 1
        assert first["conn"] == 1
        assert "text" not in first
    events.wait_for("(closed|reset) by peer")
    server.stop()
    assert events.wait() == 0


def test_hostile_payload_in_the_stream_of_events(listen: Start, start: Start) -> None:
    """Half a character, a script and 10 MB without a line's end: nothing of it is a command, and the end comes."""
    server = listen("--format", "raw", stdout=subprocess.DEVNULL)
    assert server.port
    assert ask(server, "/api/v1/server").status == 200  # events are held from now on
    with connect(server.port) as client:
        events = start("ctl", "events", "--after", "0", "--server", str(server.process.pid))
        events.wait_for("connected")
        client.sendall("ü".encode()[:1])
        events.wait_for(r"> \\xc3")
        client.sendall(b"<script>alert(1)</script>\x1b]0;taken\x07\x1b[2J\n")
        events.wait_for(r"<script>alert\(1\)</script>\\x1b\]0;taken\\x07\\x1b\[2J")
        client.sendall(b"0123456789" * 1_000_000)
    events.wait_for("(closed|reset) by peer")
    server.stop()
    assert events.wait() == 0
    shown = events.out.decode()
    assert shown.replace("\n", "").isprintable()
    assert "0123456789" * 10 in shown


def test_a_server_that_is_killed_while_its_events_are_shown(listen: Start, start: Start) -> None:
    server = listen()
    assert server.port
    assert ask(server, "/api/v1/server").status == 200  # events are held from now on
    with one_client(server):
        events = start("ctl", "events", "--after", "0", "--server", str(server.process.pid))
        lines = start("ctl", "events", "--json", "--after", "0", "--server", str(server.process.pid))
        events.wait_for("connected")
        lines.wait_for('"opened"')
        server.process.kill()
        server.process.wait()
    for each in (events, lines):
        assert each.wait() == 1
        assert each.err.decode().startswith(f"portside: server {server.process.pid}: ")
        assert each.err.count(b"\n") == 1


def test_which_server(listen: Start, tmp_path: Path) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    none = ctl("conns", env=env)
    assert (none.status, none.err.splitlines()[0]) == (1, "portside: no server: none runs here that can be reached")
    one = listen(env=env)
    assert one.port
    assert ctl("conns", env=env).status == 0
    other = listen("--web", env=env)
    page = page_of(other)
    many = ctl("conns", env=env)
    assert (many.status, many.err.splitlines()[0]) == (1, "portside: which server: 2 run here")
    for which in (one, other):
        assert str(which.process.pid) in many.err
    for name in (
        str(other.process.pid),
        str(other.port),
        f"127.0.0.1:{other.port}",
        f"http://{page.address}/#{page.token}",
    ):
        shown = ctl("limit", "--server", name, "max_conns=7", "--json", env=env)
        assert shown.json["max_conns"] == 7, (name, shown)
    assert ctl("limit", "--server", str(one.process.pid), "--json", env=env).json["max_conns"] is None
    for link in (f"http://{page.address}/#wrong", f"http://{page.address}"):
        unknown = ctl("limit", "--server", link, env=env)
        assert (unknown.status, "hint: give the whole link that `listen --web` printed" in unknown.err) == (1, True)
    wrong = ctl("conns", "--server", "127.0.0.2:1", env=env)
    assert "is none of those that run here" in wrong.err
    assert str(one.process.pid) in wrong.err


def test_what_is_wrong_is_said(listen: Start) -> None:
    server = listen()
    assert server.port
    pid = ("--server", str(server.process.pid))
    for words, status, text in [
        (["conns", *pid, "recvq >> 0"], 2, "hint: recvq >> 0"),
        (["conns", *pid, "--sort", "bogus"], 2, "there is no column 'bogus'"),
        (["show", *pid, "99"], 1, "no connection 99"),
        (["show", *pid, "x"], 2, "'x' is no connection"),
        (["show", *pid], 2, "it takes CONN"),
        (["send", *pid, "1", r"\q"], 2, r"\q is no escape"),
        (["send", *pid, "1", ""], 2, "there is nothing to send"),
        (["send", *pid, "1", "--file", "/nowhere"], 1, "/nowhere: No such file or directory"),
        (["fault", *pid, "99", "stall"], 1, "no connection has the number 99"),
        (["limit", *pid, "max-con=3"], 2, "no limit is called 'max_con'\nhint: did you mean max_conns?"),
        (["limit", *pid, "max_conns"], 2, "write NAME=VALUE"),
        (["deny", *pid, "localhost"], 1, "is no address and no network"),
        (["servres"], 2, "did you mean servers?"),
    ]:  # fmt: skip
        done = ctl(*words)
        assert done.status == status, (words, done)
        assert text in done.err, (words, done)
        assert "Traceback" not in done.err


def test_a_server_that_does_not_answer(listen: Start, tmp_path: Path) -> None:
    """A program that is no server of ours has a socket in the folder: it is left out of the list."""
    folder = tmp_path / "portside"
    folder.mkdir(mode=0o700)
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(folder / f"{os.getpid()}.sock"))
        stranger.listen()
        listing = subprocess.Popen(
            [sys.executable, "-m", "portside", "ctl", "servers"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **env},
        )  # fmt: skip
        accepted, _ = stranger.accept()
        with accepted:
            accepted.sendall(b"SSH-2.0-OpenSSH\r\n")
        out, err = listing.communicate(timeout=DEADLINE_S)
    assert (listing.returncode, out.decode().count("\n"), err) == (0, 1, b"")


def test_a_killed_server_leaves_a_socket_that_names_nobody(listen: Start) -> None:
    server = listen()
    assert server.port
    path = control_path(server)
    server.process.kill()
    server.process.wait()
    assert path.exists()
    assert ctl("conns", "--server", str(server.process.pid)).status == 1
    assert str(server.process.pid) not in ctl("servers").out


def test_an_act_loads_nothing_that_it_does_not_need(listen: Start) -> None:
    """What takes the most time to load, so that ``ctl`` starts in 60 ms on a machine of today."""
    server = listen()
    with one_client(server):
        command = ["-X", "importtime", "-m", "portside", "ctl", "pause", "1", "--server", str(server.process.pid)]
        done = subprocess.run(
            [sys.executable, *command],
            capture_output=True, text=True, timeout=DEADLINE_S, check=True,
        )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "portside.ctl.acts" in loaded
    heavy = {"http.client", "email", "ssl", "_ssl", "msgspec", "asyncio", "numpy", "psutil", "starlette", "uvicorn"}
    assert not loaded & heavy


def test_a_certificate_that_nobody_vouches_for(listen: Start) -> None:
    page = page_of(listen("--web", "--web-tls"))
    done = ctl("conns", "--server", f"https://{page.address}/#{page.token}")
    assert done.status == 1
    assert "its certificate is not trusted: self-signed certificate\nhint: --tls-ca FILE" in done.err
