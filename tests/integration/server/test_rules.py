"""--rules and --reply, driven by nc and by plain sockets: conversations, time, other rules meanwhile, bad days."""

import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Start
from support import DEADLINE_S, Program, connect, connect_many, fill, memory_kib, read_to_end, wait_until

from portside.events import RuleApplied
from portside.record.recording import Recording

EXAMPLES = Path(__file__).parents[3] / "examples"


def told(program: Program, client: socket.socket, message: bytes, size: int) -> bytes:
    """Say something; the next bytes of the server."""
    if message:  # sending nothing waits for room to send
        client.sendall(message)
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        assert more, (data, bytes(program.err))
        data += more
    return data


@contextmanager
def playing(listen: Start, folder: Path, rules: str, *arguments: str) -> Iterator[tuple[Program, Path]]:
    file = folder / "rules.toml"
    file.write_text(rules)
    yield listen("--format", "json", "--rules", str(file), *arguments), file


def test_a_device_in_three_steps_with_nc(listen: Start) -> None:
    server = listen("--rules", str(EXAMPLES / "device.toml"))
    said = b"LOGIN ada secret\nDATA 21.5*1A\nDATA 21.5*18\nBLOCK\nQUIT\n"
    nc = subprocess.run(
        ["nc", "127.0.0.1", str(server.port)], input=said, capture_output=True, timeout=DEADLINE_S, check=True
    )
    assert re.fullmatch(
        rb"LOGGER 1\.0 ready\r\nOK ada, send DATA value\*checksum\r\nNAK checksum should be 18\r\n"
        rb"ACK 3 21\.5\*EFF4\r\n\x02\x04\0\x01....BYE\r\ndisconnected\r\n",
        nc.stdout,
        re.DOTALL,
    )
    server.wait_for("closed here")


def test_which_rule_applied_is_said_in_text_and_json(listen: Start, tmp_path: Path) -> None:
    also = tmp_path / "events.jsonl"
    server = listen("--rules", str(EXAMPLES / "device.toml"), "-o", str(also))
    with connect(server.port) as client:
        told(server, client, b"LOGIN ada secret\n", len(b"LOGGER 1.0 ready\r\nOK ada, send DATA value*checksum\r\n"))
        client.sendall(b"what\n")
        server.wait_for("no rule for this message in state data$")
        client.sendall(b"QUIT\n")
        read_to_end(client)
    server.stop()
    shown = [line.split("  ")[2] for line in server.lines if "rule" in line or "> " in line or "< OK" in line]
    assert shown == [
        "rule 1 (greeting) in state greeting, goto login",
        "> LOGIN ada secret",
        "rule 2 (login) in state login, goto data",
        "< OK ada, send DATA value*checksum\\r",
        "> what",
        "no rule for this message in state data",
        "> QUIT",
        "rule 7 in state data",
    ]
    events = [json.loads(line) for line in also.read_text().splitlines()]
    assert [
        [event.get(name) for name in ("rule", "name", "state", "goto")] for event in events if event["event"] == "rule"
    ] == [
        [1, "greeting", "greeting", "login"],
        [2, "login", "login", "data"],
        [None, None, "data", None],
        [7, None, "data", None],
    ]


def test_a_rule_without_states_and_one_of_silence(listen: Start, tmp_path: Path) -> None:
    rules = "[[rule]]\nsilence = '50ms'\nanswer = 'well?'\n[[rule]]\non = 'half-close'\nanswer = 'bye'\n"
    recording = str(tmp_path / "rec")
    with playing(listen, tmp_path, rules, "--record", recording) as (server, _), connect(server.port) as client:
        server.wait_for('"text":"well\\?"')
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"well?bye"
        server.wait_for('"closed"')
        server.stop()
    applied = [event for event in server.events if event["event"] == "rule"]
    assert [{key: event[key] for key in event if key not in ("at", "peer")} for event in applied] == [
        {"event": "rule", "conn": 1, "rule": 1},
        {"event": "rule", "conn": 1, "rule": 2},
    ]
    with Recording(recording) as recorded:
        assert [event.rule for event in recorded.all_events() if isinstance(event, RuleApplied)] == [1, 2]


def test_the_example_is_what_the_documentation_shows_and_its_transcript_holds(start: Start) -> None:
    page = (EXAMPLES.parent / "docs" / "rules.md").read_text()
    shown = page.partition("```toml\n")[2].partition("```")[0]
    assert shown == (EXAMPLES / "device.toml").read_text()
    program = start("rules", "test", str(EXAMPLES / "device.toml"), str(EXAMPLES / "device.transcript"))
    assert program.wait() == 0, bytes(program.out)
    assert b"as expected" in program.out
    check = start("rules", "check", str(EXAMPLES / "device.toml"))
    assert check.wait() == 0
    assert b"8 rules in 3 states" in check.out
    assert b"warning" not in check.out


def test_replies_in_a_line(listen: Start) -> None:
    server = listen("--reply", r"PING => PONG ${count}\n", "--reply", "hex:02 * => hex:06 ${1}", "--greet", "hi\n")
    with connect(server.port) as client:
        assert told(server, client, b"PING\n", 10) == b"hi\nPONG 1\n"
        assert told(server, client, b"\x02ab\r\n?\nPING\r\n", 10) == b"\x06abPONG 4\n"


def test_answers_wait_and_what_comes_meanwhile_too(listen: Start, tmp_path: Path) -> None:
    rules = """
    [[rule]]
    on = "connect"
    answer = { text = 'hi\\n', delay = "100ms" }
    [[rule]]
    equals = "slow"
    answer = ['one\\n', { text = 'two\\n', delay = "200ms" }]
    [[rule]]
    equals = "fast"
    answer = 'now\\n'
    [[rule]]
    on = "half-close"
    answer = 'bye\\n'
    """
    with playing(listen, tmp_path, rules) as (server, _), connect(server.port) as client:
        began = time.monotonic()
        client.sendall(b"slow\nfast")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"hi\none\ntwo\nnow\nbye\n"
        assert time.monotonic() - began >= 0.29
        server.wait_for('"closed"')
        assert server.events[-1]["reason"] == "peer_closed"


def test_silence_is_answered_and_ended(listen: Start, tmp_path: Path) -> None:
    rules = """
    [[rule]]
    silence = "50ms"
    repeat = true
    answer = 'ping\\n'
    [[rule]]
    silence = "4s"
    end = "close"
    """
    with playing(listen, tmp_path, rules) as (server, _), connect_many(20, server.port) as clients:
        for client in clients:
            assert 2 <= read_to_end(client).count(b"ping\n") <= 80
        server.wait_for('"local_closed"', count=20)


def test_messages_that_end_by_time(listen: Start, tmp_path: Path) -> None:
    rules = "[[rule]]\non = 'message'\nanswer = '<${message}>'\n"
    with playing(listen, tmp_path, rules, "--frame", "idle:4s") as (server, _), connect(server.port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(b"a")
        client.sendall(b"b")
        assert told(server, client, b"c", 5) == b"<abc>"


def test_ends(listen: Start, tmp_path: Path) -> None:
    rules = """
    [[rule]]
    equals = "close"
    answer = 'last\\n'
    end = "close"
    [[rule]]
    equals = "reset"
    end = "reset"
    [[rule]]
    equals = "half"
    answer = 'fin\\n'
    end = "half-close"
    [[rule]]
    on = "message"
    answer = 'never seen\\n'
    """
    with playing(listen, tmp_path, rules) as (server, _):
        with connect(server.port) as client:
            client.sendall(b"close\nmore\n")
            assert read_to_end(client) == b"last\n"
        with connect(server.port) as client:
            client.sendall(b"reset\n")
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        with connect(server.port) as client:
            client.sendall(b"half\n")
            assert read_to_end(client) == b"fin\n"
            client.sendall(b"half\nmore\n")
            server.wait_for('"text":"half\\\\nmore')
        server.wait_for('"closed"', count=3)
        reasons = [event["reason"] for event in server.events if event["event"] == "closed"]
        assert reasons == ["local_closed", "local_reset", "peer_closed"]


def test_other_rules_meanwhile(listen: Start, tmp_path: Path) -> None:
    first = """
    [[rule]]
    state = "a"
    equals = "go"
    answer = 'in b\\n'
    goto = "b"
    [[rule]]
    state = "b"
    on = "message"
    answer = 'old ${count}\\n'
    """
    with playing(listen, tmp_path, first) as (server, file), connect(server.port) as client:
        assert told(server, client, b"go\n", 5) == b"in b\n"
        file.write_text(first.replace("'old", "'new ${"))
        server.signal(signal.SIGHUP)
        server.wait_for(r"rules\.toml:10:14: .*\nhint: the old rules go on", err=True)
        assert told(server, client, b"x\n", 6) == b"old 2\n"
        file.write_text(first.replace("'old", "'new"))
        server.signal(signal.SIGHUP)
        server.wait_for(r"rules\.toml: read again: 2 rules", err=True)
        assert told(server, client, b"x\n", 6) == b"new 3\n"
        file.write_text("[[rule]]\nsilence = '20ms'\nanswer = 'begun anew\\n'\n")
        server.signal(signal.SIGHUP)
        assert told(server, client, b"", 11) == b"begun anew\n"
        file.unlink()
        server.signal(signal.SIGHUP)
        server.wait_for("cannot read .*No such file", err=True)
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (b"[[rule]]\nregex = 'a('\n", rb"rules.toml:2:9: RE2 does not take it: missing \): a\(\n"),
        (b"[[rule]]\nanswer = 'x'\n", rb"rules.toml:1:1: a rule without a condition\nhint: "),
        (b"# \xff\n", rb"rules.toml:1:3: no UTF-8\n"),
        (b"#" * ((4 << 20) + 1), rb"rules.toml:1:1: more than 4 MiB of rules\n"),
    ],
)
def test_an_error_is_shown_before_the_port_opens(start: Start, tmp_path: Path, rules: bytes, words: bytes) -> None:
    file = tmp_path / "rules.toml"
    file.write_bytes(rules)
    server = start("listen", "127.0.0.1:0", "--rules", str(file))
    assert server.wait() == 2
    assert re.match(rb"portside: .*" + words, server.err)
    assert b"Traceback" not in server.err
    assert not server.out
    check = start("rules", "check", str(file))
    assert check.wait() == 1
    assert check.err == server.err


def test_what_cannot_be_read_or_is_used_wrongly(start: Start, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    subprocess.run(["mkfifo", str(fifo)], check=True)
    good = tmp_path / "good"
    good.write_text("[[rule]]\non = 'message'\n[[rule]]\nequals = 'a'\n")
    (tmp_path / "binary").write_bytes(b"\xff")
    for arguments, status, words in (
        (("listen", "0", "--rules", str(tmp_path / "none")), 1, "No such file"),
        (("listen", "0", "--rules", str(fifo)), 1, "it is a pipe"),
        (("listen", "0", "--rules", str(good), "--echo"), 2, "--echo and --rules exclude each other"),
        (("listen", "0", "--reply", "PING"), 2, "PATTERN => ANSWER"),
        (("rules",), 2, "usage: portside rules"),
        (("rules", "dance"), 2, "no such command"),
        (("rules", "check"), 2, "it takes FILE"),
        (("rules", "test", str(good)), 2, "it takes FILE TRANSCRIPT"),
        (("rules", "test", str(good), str(tmp_path / "none")), 1, "No such file"),
        (("rules", "test", str(good), str(tmp_path / "binary")), 1, "no UTF-8"),
        (("rules", "--help"), 0, "usage: portside rules"),
        (("rules", "check", str(good)), 0, "good:3:1: warning: rule 2 never applies: rule 1 comes before it"),
    ):
        program = start(*arguments)
        assert program.wait() == status, arguments
        assert words.encode() in program.out + program.err, arguments
        assert b"Traceback" not in program.err


def test_catastrophic_expressions_hang_nobody(listen: Start, tmp_path: Path) -> None:
    evil = ["^(a+)+$", "(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y", "^(a|a)*b", "(.*a){20}b"]
    rules = "".join(f"[[rule]]\nregex = '{each}'\nanswer = '{index}\\n'\n" for index, each in enumerate(evil))
    rules += "[[rule]]\nequals = 'B'\nanswer = 'b\\n'\n"
    with (
        playing(listen, tmp_path, rules) as (server, _),
        connect(server.port) as attacker,
        connect(server.port) as other,
    ):
        began = time.monotonic()
        attacker.sendall(b"a" * 60_000 + b"!\n" + b"x" * 60_000 + b"\n")
        assert told(server, other, b"B\n", 2) == b"b\n"
        assert told(server, attacker, b"B\n", 2) == b"b\n"
        assert time.monotonic() - began < DEADLINE_S / 2


def test_a_client_that_does_not_read_is_not_read_either(listen: Start, tmp_path: Path) -> None:
    rules = "[[rule]]\nequals = 'x'\nanswer = '" + "y" * 20_000 + "\\n'\n[[rule]]\nequals = 'hi'\nanswer = 'hi\\n'\n"
    with (
        playing(listen, tmp_path, rules) as (server, _),
        connect(server.port) as client,
        connect(server.port) as other,
    ):
        assert told(server, other, b"hi\n", 3) == b"hi\n"
        before = memory_kib(server.process.pid)
        fill(client, block=b"x\n" * 10_000)
        assert told(server, other, b"hi\n", 3) == b"hi\n"
        assert memory_kib(server.process.pid) - before < 60_000
        assert len(told(server, client, b"", 1_000_000)) == 1_000_000


def test_a_flood_of_messages_delays_nobody_else(listen: Start, tmp_path: Path) -> None:
    rules = "[[rule]]\nregex = '^n(.*)'\n[[rule]]\nequals = 'hi'\nanswer = 'hi\\n'\n"
    is_answered = threading.Event()
    with playing(listen, tmp_path, rules) as (server, _), connect(server.port) as flood:
        flood.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)

        def send() -> None:
            while not is_answered.is_set():
                flood.sendall(b"n\n" * 5000)
            flood.sendall(b"hi\n")

        sender = threading.Thread(target=send)
        sender.start()
        try:
            wait_until(lambda: b'"event":"rule"' in server.out, "the flood to be answered")
            with connect(server.port) as other:
                assert told(server, other, b"hi\n", 3) == b"hi\n"
        finally:
            is_answered.set()
            sender.join()
        assert told(server, flood, b"", 3) == b"hi\n"


def test_a_length_field_behind_other_bytes_in_a_file_of_rules(listen: Start, tmp_path: Path) -> None:
    rules = "frame = 'length:u16be@1-3'\n[[rule]]\nhex = '51 00 04 *'\nanswer = { hex = '52 ${1}' }\n"
    with playing(listen, tmp_path, rules) as (server, _), connect(server.port) as client:
        assert told(server, client, b"Q\0\x04aX\0\x03Q\0\x04b", 4) == b"RaRb"
        server.wait_for('"event":"rule"', count=3)
    assert [event.get("rule") for event in server.events if event["event"] == "rule"] == [1, None, 1]
