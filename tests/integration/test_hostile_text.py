"""Hostile text in every field of every command, on a terminal: nothing of it arrives there as it is."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from certificates import Authority, unverified_context
from conftest import Start
from cryptography import x509
from cryptography.x509.oid import NameOID
from hostile import ARGUMENT, FIELD, OSC_52, PAYLOAD, Terminal, on_terminal, unsafe
from recording_files import START_NS, record, segment
from support import DEADLINE_S, Program, connect, listening_port, read_to_end, wait_until

from portside.events import (
    Closed,
    Event,
    Fault,
    Gap,
    HalfClosed,
    Listening,
    Opened,
    Proxy,
    Received,
    Refused,
    Sent,
    Tls,
)

FORMATS = ["text", "json", "hex", "classic"]
EXPECTED = {"raw": "\n\t"}
"""What may be on a terminal without an escape, by format, where it is not the line feed alone."""


def name_of(text: str) -> str:
    """A file name: no slash, and short enough for the kernel."""
    return os.fsdecode(os.fsencode(text.replace("/", ""))[:200])


@pytest.mark.parametrize("form", [*FORMATS, "raw"])
def test_payload_of_a_server(form: str, tmp_path: Path) -> None:
    arguments = ("--echo", "--format", form, "--record", str(tmp_path / "rec"))
    with on_terminal("listen", "127.0.0.1:0", *arguments, expected=EXPECTED.get(form, "\n")) as (server, _):
        port = wait_until(lambda: listening_port(server.process.pid), "the port")
        with connect(port) as client:
            client.sendall(PAYLOAD)
            client.shutdown(socket.SHUT_WR)
            read_to_end(client)


@pytest.mark.parametrize("arguments", [(), ("--recv-only", "-v"), *(("--format", form) for form in FORMATS)])
def test_payload_of_a_client(arguments: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        expected = "\n" if "--format" in arguments else EXPECTED["raw"]
        with on_terminal("connect", address, *arguments, expected=expected) as (client, terminal):
            peer, _ = listener.accept()
            with peer:
                for at in range(0, len(PAYLOAD), 777):  # characters are cut in two
                    peer.sendall(PAYLOAD[at : at + 777])
            assert client.wait() == 0
        assert len(terminal.shown) > len(PAYLOAD)


def test_raw_is_raw_where_it_is_asked_for(start: Start) -> None:
    terminal = Terminal()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        client = start("connect", address, "--format", "raw", stdout=terminal.fd)
        peer, _ = listener.accept()
        with peer:
            peer.sendall(PAYLOAD)
        assert client.wait() == 0
    assert terminal.close() == PAYLOAD


WRONG = [
    ("{}",),
    ("--{}",),
    ("listen", "{}"),
    ("listen", "127.0.0.1:0", "--{}"),
    ("listen", "127.0.0.1:0", "--format", "{}"),
    ("listen", "127.0.0.1:0", "--frame", "{}"),
    ("listen", "127.0.0.1:0", "--max-frame", "{}"),
    ("listen", "127.0.0.1:0", "--allow", "{}"),
    ("listen", "127.0.0.1:0", "--allow-file", "{}"),
    ("listen", "127.0.0.1:0", "--fault", "{}"),
    ("listen", "127.0.0.1:0", "--fault", "latency {}"),
    ("listen", "127.0.0.1:0", "--idle-timeout", "{}"),
    ("listen", "127.0.0.1:0", "--forward", "{}"),
    ("listen", "127.0.0.1:0", "--rules", "{}"),
    ("listen", "127.0.0.1:0", "--reply", "{}"),
    ("listen", "127.0.0.1:0", "--greet", "\\q{}"),
    ("listen", "127.0.0.1:0", "--handler", "{}"),
    ("listen", "127.0.0.1:0", "--handler", "{}.py:{}"),
    ("listen", "127.0.0.1:0", "--exec", "{}"),
    ("listen", "127.0.0.1:0", "--exec", '"{}'),
    ("listen", "127.0.0.1:0", "--tls", "--tls-cert", "{}"),
    ("listen", "127.0.0.1:0", "--tls", "--tls-alpn", "{}"),
    ("listen", "127.0.0.1:0", "-o", "/nowhere/{}"),
    ("listen", "127.0.0.1:0", "--record", "/proc/{}"),
    ("listen", "unix:/nowhere/{}"),
    ("connect", "{}"),
    ("connect", "{}", "12345"),
    ("connect", "127.0.0.1:9", "--source", "{}"),
    ("connect", "127.0.0.1:9", "--proxy", "{}"),
    ("connect", "127.0.0.1:9", "--exec", "{}"),
    ("connect", "127.0.0.1:9", "--tls", "--tls-ca", "{}"),
    ("connect", "unix:/nowhere/{}"),
    ("connect", "--scan", "{}:1-3"),
    ("watch", "--once", "{}"),
    ("watch", "--once", "program = {}", "nonsense"),
    ("watch", "--once", "--sort", "{}"),
    ("watch", "--once", "--netns", "{}"),
    ("rec", "{}"),
    ("rec", "list", "{}"),
    ("rec", "list", ".", "--peer", "{}"),
    ("rec", "list", ".", "--since", "{}"),
    ("rec", "show", "{}", "1"),
    ("rec", "show", ".", "{}"),
    ("rec", "cat", "{}", "1"),
    ("rec", "check", "{}"),
    ("rec", "diff", "{}:1", "{}:2"),
    ("rec", "diff", "{}", "{}"),
    ("rec", "export", "{}", "x.jsonl"),
    ("rec", "export", ".", "{}"),
    ("rec", "replay", "{}", "1", "127.0.0.1:9"),
    ("rec", "replay", ".", "{}", "127.0.0.1:9"),
    ("rules", "{}"),
    ("rules", "check", "{}"),
    ("rules", "test", "{}", "{}"),
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_arguments_in_errors(arguments: tuple[str, ...], tmp_path: Path) -> None:
    words = [word.replace("{}", ARGUMENT) for word in arguments]
    with on_terminal(*words, cwd=tmp_path, env={"PORTSIDE_LOG": "debug"}) as (program, _):
        assert program.wait() in (1, 2)
    lines = program.err.decode().splitlines()
    assert lines
    assert not any(line.startswith("U+202E") for line in lines)
    said = [line for line in lines if line.startswith("portside: ")]
    assert len(said) == 1


def test_the_environment_in_errors() -> None:
    with on_terminal("listen", env={"PORTSIDE_LOG": ARGUMENT}) as (program, _):
        assert program.wait() == 2


def test_a_traceback_that_was_asked_for() -> None:
    program = subprocess.run(
        [sys.executable, "-m", "portside", "rec", "list", ARGUMENT],
        env={**os.environ, "PORTSIDE_DEBUG": "1"},
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert b"Traceback" in program.stderr
    assert unsafe(program.stderr) == []


@pytest.fixture(params=["segments", "index"])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A recording that somebody sent: hostile in its name and its events, or in its index too."""
    path = tmp_path / name_of(OSC_52)
    at, size = START_NS, len(PAYLOAD)
    tls, proxy = Tls(FIELD, FIELD, FIELD, FIELD, FIELD), Proxy(FIELD, 2, FIELD, {FIELD: FIELD})
    events: list[Event] = [Listening(at, FIELD), Refused(at, FIELD, "denied", FIELD)]
    for conn in (1, 2):
        events += [
            Opened(at, conn, FIELD, FIELD, tls, proxy),
            Received(at, conn, FIELD, PAYLOAD + b"%d" % conn),
            Sent(at, conn, FIELD, PAYLOAD),
            Fault(at=at, conn=conn, peer=FIELD, fault=FIELD, spec=FIELD, address=FIELD),
            HalfClosed(at, conn, FIELD),
            Gap(at, conn, 1, 1, 1.0, FIELD),
            Closed(at + 10**9, conn, FIELD, "error", size + 1, size, 1.0, FIELD),
        ]
    record(path, events)
    if request.param == "index":
        with closing(sqlite3.connect(path / "index.sqlite")) as index, index:
            index.execute("UPDATE connections SET peer = ?, local = ?, reason = ?, error = ?", [FIELD] * 4)
            index.execute("UPDATE runs SET version = ?", [FIELD])
            index.execute("INSERT INTO damage VALUES (1, 100000, 5, ?)", [FIELD])
            index.execute("INSERT INTO gaps VALUES (1, 1, 1, 1, 1.0, ?, 1)", [FIELD])
    else:
        os.unlink(path / "index.sqlite")
    return os.fspath(path)


RECORDINGS = [
    ("list", "{}"),
    ("list", "{}", "--json"),
    *(("show", "{}", "1", "--format", form) for form in (*FORMATS, "raw")),
    ("check", "{}"),
    ("check", "{}", "--json"),
    ("diff", "{}:1", "{}:2"),
    ("diff", "{}:1", "{}:2", "--json"),
    ("export", "{}", "out.jsonl"),
    ("export", "{}", "out.pcapng"),
    ("replay", "{}", "all", "127.0.0.1:9", "--timeout", "1s"),
    ("replay", "{}", "all", "127.0.0.1:9", "--timeout", "1s", "--json"),
    ("cat", "{}", "7"),
    ("cat", "{}", "1"),
    ("cat", "{}:2", "--direction", "out"),
    *(("show", "{}", "--format", form) for form in (*FORMATS, "raw")),
    ("show", "{}:1", "--frame", "lines"),
    ("search", "{}", "c"),
    ("search", "{}", "1", "c", "--json"),
    ("export", "{}", "-", "--format", "jsonl"),
]


@pytest.mark.parametrize("arguments", RECORDINGS, ids=" ".join)
def test_a_recording_of_somebody_else(recording: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    words = [word.replace("{}", recording) for word in arguments]
    expected = EXPECTED["raw"] if "raw" in arguments or arguments[0] == "cat" else "\n"
    with on_terminal("rec", *words, cwd=tmp_path, expected=expected) as (program, _):
        assert program.wait() in (0, 1)
    exported = tmp_path / "out.jsonl"
    if exported.exists():
        assert unsafe(exported.read_bytes()) == []
        assert all(json.loads(line) for line in exported.read_bytes().splitlines())


@pytest.mark.parametrize("damage", [b"\x1b]52;c;aGk=\x07", PAYLOAD])
def test_damage_in_a_segment(recording: str, damage: bytes) -> None:
    file = segment(Path(recording))
    data = bytearray(file.read_bytes())
    data[60 : 60 + len(damage)] = damage
    file.write_bytes(data)
    for command in ("check", "list", "show"):
        with on_terminal("rec", command, recording, *(["1"] if command == "show" else [])) as (program, _):
            assert program.wait() in (0, 1)


RULES = """
[[rule]]
state = {state}
match = "x"
answer = "y"
goto = {state}
"""


def test_rules_and_transcripts(tmp_path: Path) -> None:
    state = json.dumps(FIELD)
    (tmp_path / "states.toml").write_text(f"start = {state}\n" + RULES.format(state=state))
    (tmp_path / "broken.toml").write_text(f"{FIELD} = [")
    (tmp_path / "key.toml").write_text(f"{state} = 1\n")
    (tmp_path / "transcript").write_text(f"> {FIELD}\n< {FIELD}\n{FIELD}\n", "utf-8")
    (tmp_path / "answers.toml").write_text('[[rule]]\nmatch = "x"\nanswer = "\\u001b]52;c;aGk=\\u0007\\u202e\\n"\n')
    (tmp_path / "differs").write_text("> x\n< y\n")
    for words in (
        *(("check", f"{name}.toml") for name in ("states", "broken", "key")),
        ("test", "states.toml", "transcript"),
        ("test", "answers.toml", "differs"),
    ):
        with on_terminal("rules", *words, cwd=tmp_path) as (program, terminal):
            assert program.wait() in (0, 1, 2)
        assert program.err or terminal.shown


@pytest.fixture(params=["\x1b]52;c;aGk=\x07", "\x9b31m\u202e\u2028", "a\nb\u200b\x7f"])
def hostile_process(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process with a hostile name that listens; its port."""
    code = "import ctypes,os,sys;ctypes.CDLL(None).prctl(15,os.fsencode(sys.argv[1]));import socket;"
    code += "s=socket.create_server(('127.0.0.1',0));print(s.getsockname()[1],flush=True);sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, request.param], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    yield int(process.stdout.readline())
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    "arguments", [("--once",), ("--json",), ("--summary",), ("--once", "--wide"), ("--once", "-l")]
)
def test_names_of_programs(hostile_process: int, arguments: tuple[str, ...]) -> None:
    with on_terminal("watch", *arguments, "-a", f"sport = :{hostile_process}") as (program, terminal):
        assert program.wait() == 0
    assert b"\\" in terminal.shown


def test_names_of_programs_in_events(hostile_process: int) -> None:
    with on_terminal("watch", "--events", "--interval", "100ms", f"sport = :{hostile_process}") as (_, terminal):
        wait_until(lambda: b"PID/Program" in terminal.shown, "the header")
        with connect(hostile_process):
            wait_until(lambda: str(hostile_process).encode() in terminal.shown, "the connection")


def test_names_of_programs_in_the_live_display(hostile_process: int) -> None:
    terminal = Terminal()
    program = Program("watch", "-a", f"sport = :{hostile_process}", stdin=terminal.fd, stdout=terminal.fd)
    try:
        wait_until(lambda: str(hostile_process).encode() in terminal.shown, "the listener")
        wait_until(lambda: b"\\" in terminal.shown, "its program")
        os.write(terminal.controller, b"\x1b[B\r")  # Down, Enter: one socket in full
        wait_until(lambda: b"Escape" in terminal.shown, "the details")
    finally:
        program.kill()
        shown = terminal.close().decode()
    for raw in ("\x1b]52", "\x9b", "\u202e", "\u2028", "\u200b", "\x7f"):
        assert raw not in shown


def test_what_programs_and_handlers_write(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(PAYLOAD)
    (tmp_path / "handler.py").write_text(f"async def handle(connection):\n    raise ValueError({FIELD!r})\n")
    for words in (("--sh-exec", f"cat {tmp_path}/noise >&2"), ("--handler", f"{tmp_path}/handler.py:handle")):
        with on_terminal("listen", "127.0.0.1:0", *words) as (server, terminal):
            port = wait_until(lambda pid=server.process.pid: listening_port(pid), "the port")  # type: ignore[misc]
            connect(port).close()
            server.wait_for("52;c", err=True)
            wait_until(lambda shown=terminal.shown: b" after " in shown, "the end")  # type: ignore[misc]


def test_certificates_and_logs(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.sign("client")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, FIELD[:30].replace("\0", ""))])
    certificate = authority.sign_name(name, files.key)
    arguments = ("--tls", "--tls-ca", authority.path, "--format", "text", "--log-level", "debug")
    with on_terminal("listen", "127.0.0.1:0", *arguments) as (server, terminal):
        port = wait_until(lambda: listening_port(server.process.pid), "the port")
        context = unverified_context()
        (tmp_path / "hostile.crt").write_bytes(certificate)
        context.load_cert_chain(tmp_path / "hostile.crt", files.key)
        with connect(port) as plain, context.wrap_socket(plain) as client:
            client.sendall(PAYLOAD)
            wait_until(lambda: b"certificate" in terminal.shown, "the subject")


def test_the_answer_of_a_proxy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with on_terminal("connect", "127.0.0.1:9", "--proxy", proxy, "-v") as (client, _):
            peer, _ = listener.accept()
            with peer:
                peer.recv(1 << 16)
                peer.sendall(b"HTTP/1.1 502 " + FIELD.replace("\n", "").replace("\r", "").encode() + b"\r\n\r\n")
                assert client.wait() == 1
