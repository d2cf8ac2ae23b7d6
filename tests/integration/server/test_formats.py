"""What standard output gets, with real clients."""

import base64
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Start
from support import connect, connect_many, listening_port, read_to_end, reset, wait_until

TIME = r"^\d\d:\d\d:\d\d\.\d{3}  "


def peer_of(client: object) -> str:
    host, port = client.getsockname()[:2]  # type: ignore[attr-defined]
    return f"{host}:{port}"


def test_text_is_as_in_the_contract(listen: Start) -> None:
    server = listen()
    client = connect(server.port)
    peer = re.escape(f"#1 {peer_of(client)}  ")
    client.sendall(b"hello\n")
    server.wait_for("> hello$")
    client.close()
    server.wait_for("closed by peer")
    assert server.stop() == 0
    expected = [
        rf"{TIME}listening on 127\.0\.0\.1:\d+$",
        rf"{TIME}{peer}connected$",
        rf"{TIME}{peer}> hello$",
        rf"{TIME}{peer}closed by peer after \d+\.\d{{3}}s, 6 B in, 0 B out$",
        rf"{TIME}stopped: signal$",
    ]
    assert len(server.lines) == len(expected)
    for pattern, line in zip(expected, server.lines, strict=True):
        assert re.match(pattern, line), line
    assert not server.err


def test_an_unfinished_line_is_shown_as_it_stands_but_not_an_unfinished_character(listen: Start) -> None:
    server = listen()
    with connect_many(2, server.port) as (first, second):
        server.wait_for("connected", count=2)
        first.sendall(b"h\303")
        server.wait_for("#1")
        second.sendall(b"login: ")
        server.wait_for("> login: $")  # so 100 ms have passed for the first as well
        first.sendall(b"\251llo\n")
        server.wait_for("> héllo$")
    server.stop()
    assert len([line for line in server.lines if "> " in line]) == 2


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b"\033[2Jx\n", r"\x1b[2Jx"),
        (b"a\r\n", r"a\r"),
        (b"\xff\xfe\n", r"\xff\xfe"),
        (b"nul\0end\n", r"nul\0end"),
        ("\u202eevil \x85\n".encode(), r"\u202eevil \u0085"),
        ("grüße 中文 😀\n".encode(), "grüße 中文 😀"),
    ],
)
def test_nothing_from_the_network_is_unescaped(listen: Start, sent: bytes, shown: str) -> None:
    server = listen()
    with connect(server.port) as client:
        client.sendall(sent)
        server.wait_for(f"> {re.escape(shown)}$")


def test_an_escape_sequence_in_two_reads(listen: Start) -> None:
    server = listen()
    with connect_many(2, server.port) as (first, second):
        first.sendall(b"a\033")
        server.wait_for(r"> a\\x1b$")
        first.sendall(b"[2J\n")
        second.sendall(b"ok\n")
        server.wait_for(r"> \[2J$")


def test_classic_is_the_tutorial_to_the_word(listen: Start) -> None:
    server = listen("--format", "classic")
    port = server.port
    one, two, three = connect(port), connect(port), connect(port)
    server.wait_for("established", count=3)
    one.sendall(b"hello\n")
    server.wait_for("hello")
    one.close()
    server.wait_for("closed")
    reset(two)
    server.wait_for("EOF")
    names = [f"('127.0.0.1', {number})" for number in _ports(server.out.decode())]
    assert server.stop() == 0
    three.close()
    assert server.out.decode() == (
        f"Listening on 127.0.0.1:{port}...\n"
        f"Connection from {names[0]} established.\n"
        f"Connection from {names[1]} established.\n"
        f"Connection from {names[2]} established.\n"
        f"Received from {names[0]}: hello\n"
        f"Connection from {names[0]} closed.\n"
        f"EOF received from {names[1]}. Connection closed.\n"
        "Server interrupted. Closing...\n"
    )


def _ports(text: str) -> list[str]:
    return re.findall(r"from \('127\.0\.0\.1', (\d+)\) established", text)


def test_json_of_two_hundred_nc(listen: Start) -> None:
    server = listen("--format", "json")
    clients = [
        subprocess.Popen(["nc", "-N", "127.0.0.1", str(server.port)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for _ in range(200)
    ]
    for number, client in enumerate(clients):
        assert client.stdin
        client.stdin.write(f"client {number}\n".encode())
        client.stdin.close()
    assert [client.wait(30) for client in clients] == [0] * 200
    server.wait_for('"closed"', count=200)
    assert server.stop() == 0
    events = server.events
    kinds = [event["event"] for event in events]
    assert kinds.count("opened") == kinds.count("closed") == kinds.count("half_closed") == 200
    assert {event["reason"] for event in events if event["event"] == "closed"} == {"peer_closed"}
    assert {event["text"] for event in events if event["event"] == "received"} == {
        f"client {number}\n" for number in range(200)
    }
    opened = [event for event in events if event["event"] == "opened"]
    assert sorted(event["conn"] for event in opened) == list(range(1, 201))
    assert list(opened[0]) == ["event", "at", "conn", "peer", "local"]
    assert list(events[0]) == ["event", "at", "address"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", events[0]["at"])
    assert events[-1]["event"] == "stopped"
    assert events[-1]["reason"] == "signal"


def test_json_has_text_or_base64(listen: Start) -> None:
    server = listen("--format", "json", "--frame", "delim:00", "--max-frame", "4")
    with connect(server.port) as client:
        client.sendall("é\0".encode() + b"\xff\0" + b"abcdefgh\0")
        server.wait_for('"received"', count=5)
    server.stop()
    received = [event for event in server.events if event["event"] == "received"]
    assert [(event["size"], event.get("text"), event.get("cut")) for event in received] == [
        (3, "é\0", None),
        (2, None, None),
        (4, "abcd", True),
        (4, "efgh", True),
        (1, "\0", None),
    ]
    assert base64.b64decode(received[1]["base64"]) == b"\xff\0"
    assert "base64" not in received[0]


@pytest.mark.parametrize(
    ("frame", "messages"),
    [
        ("length:u24le+1", ["\x03\0\0#abc", "\0\0\0$"]),
        ("length:u32be@1-4", ["Q\0\0\0\x07abc", "S\0\0\0\x04"]),
        ("length:u16be@2", ["ab\0\x03abc", "ab\0\0"]),
        ("length:u8-4", ["\x08abcd", "\x02", "\x05#"]),
    ],
)
def test_length_fields_anywhere_in_a_header(listen: Start, frame: str, messages: list[str]) -> None:
    server = listen("--format", "json", "--frame", frame)
    with connect(server.port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = "".join(messages).encode()
        client.sendall(stream[:3])
        client.sendall(stream[3:])
        server.wait_for('"received"', count=len(messages))
    server.stop()
    assert [event["text"] for event in server.events if event["event"] == "received"] == messages


def test_text_in_another_encoding(listen: Start, tmp_path: Path) -> None:
    """A character in two reads is one, a byte of no character and a control character are escaped; JSON has bytes."""
    events, recording = tmp_path / "x.jsonl", str(tmp_path / "rec")
    server = listen("--encoding", "Shift_JIS", "-o", str(events), "--record", recording)
    with connect(server.port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kanji = "漢字".encode("shift_jis")
        client.sendall(kanji[:1])
        wait_until(lambda: b'"received"' in events.read_bytes(), "the first byte to be read")
        client.sendall(kanji[1:] + b" \x1b[2J \xff\n")
        server.wait_for(r"> 漢字 \\x1b\[2J \\xff$")
    assert server.stop() == 0
    assert not [line for line in server.lines if "x8a" in line]
    assert b'"base64"' in events.read_bytes()
    shown = subprocess.run(
        [sys.executable, "-m", "portside", "rec", "show", recording, "--encoding", "sjis"],
        capture_output=True, timeout=30, check=True,
    ).stdout.decode()  # fmt: skip
    assert "> 漢字 \\x1b[2J \\xff\n" in shown


def test_raw_on_a_terminal_and_classic_in_another_encoding(listen: Start) -> None:
    ours, theirs = pty.openpty()
    server = listen("--format", "raw", "--encoding", "latin-1", "--no-stdin", stdout=theirs)
    classic = listen("--format", "classic", "--encoding", "latin-1")
    port = wait_until(lambda: listening_port(server.process.pid), "the port")
    for each in (port, classic.port):
        with connect(each) as client:
            client.sendall(b"caf\xe9 \x1b[2J \x9b\n")
            client.shutdown(1)
            assert read_to_end(client) == b""
    classic.wait_for(r"Received from .*: café \\x1b\[2J \\u009b$")
    shown = b""
    while b"u009b" not in shown:
        shown += os.read(ours, 4096)
    assert "café \\x1b[2J \\u009b" in shown.decode()
    server.stop()
    os.close(ours)
    os.close(theirs)


def test_hex_is_a_dump_of_each_message(listen: Start) -> None:
    server = listen("--format", "hex", "--frame", "fixed:18")
    with connect(server.port) as client:
        client.sendall(b"0123456789abcdef\xff\n")
        server.wait_for(r"\|\.\.\|$")
    server.stop()
    at = next(index for index, line in enumerate(server.lines) if line.endswith("> 18 B"))
    assert server.lines[at + 1 : at + 3] == [
        "    00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|",
        "    00000010  ff 0a                                             |..|",
    ]


def test_raw_is_the_bytes_and_nothing_else(listen: Start, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    data = bytes(range(256)) * 40_000
    with copy.open("wb") as out:
        server = listen("--format", "raw", stdout=out)
        with connect(server.port) as client:
            client.sendall(data)
            client.shutdown(1)
            assert client.recv(1) == b""
        assert server.stop() == 0
    assert copy.read_bytes() == data


def test_a_long_line_is_cut_and_said_so(listen: Start) -> None:
    server = listen("--max-frame", "10")
    with connect(server.port) as client:
        client.sendall(b"0123456789abc\n")
        server.wait_for("> abc$")
    server.stop()
    shown = [line.split("  ")[-1] for line in server.lines if "> " in line or "!" in line]
    assert shown == ["> 0123456789", "! cut at 10 B, the message goes on", "> abc"]


def test_output_files_beside_stdout_and_their_rotation(listen: Start, tmp_path: Path) -> None:
    text, jsonl, raw, dump = (tmp_path / name for name in ("all.log", "all.jsonl", "all.raw", "all.hex"))
    server = listen("-o", str(text), "-o", str(jsonl), "-o", str(raw), "--output", str(dump))
    with connect(server.port) as client:
        lines = []
        for turn in range(20):
            line = f"line {turn}\n"
            lines.append(line)
            client.sendall(line.encode())
            server.wait_for(rf"> line {turn}$")
            if turn % 5 == 4:
                for path in (text, jsonl, raw):
                    path.rename(f"{path}.{turn}")
                server.signal(signal.SIGHUP)
                wait_until(lambda: all(path.exists() for path in (text, jsonl, raw)), "the new files")
    server.wait_for("closed by peer")
    assert server.stop() == 0
    assert "".join(path.read_text() for path in _rotated(raw)) == "".join(lines)
    shown = "".join(path.read_text() for path in _rotated(text))
    assert re.findall(r"> (line \d+)$", shown, re.MULTILINE) == [line.strip() for line in lines]
    events = [json_line for path in _rotated(jsonl) for json_line in path.read_text().splitlines()]
    assert sum('"event":"received"' in event for event in events) == 20
    assert "6c 69 6e 65 20 31 39" in dump.read_text()


def _rotated(path: Path) -> list[Path]:
    """A file and what it was renamed to, the oldest first."""
    old = sorted(path.parent.glob(f"{path.name}.*"), key=lambda each: int(each.suffix[1:]))
    return [*old, *([path] if path.exists() else [])]


def test_a_file_called_standard_output_is_a_file(listen: Start, tmp_path: Path) -> None:
    server = listen("-o", "standard output", cwd=tmp_path)
    with connect(server.port) as client:
        server.signal(signal.SIGHUP)
        client.sendall(b"on both\n")
        server.wait_for("> on both")
    server.stop()
    assert "> on both" in (tmp_path / "standard output").read_text()


def test_the_times_of_text_are_those_of_json_and_never_go_back(listen: Start, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    server = listen("--echo", "--fault", "latency 300ms out", "-o", str(file))
    with connect(server.port) as client, connect(server.port) as other:
        server.wait_for("connected", count=2)
        client.sendall(b"unfinished")
        server.wait_for("> unfinished")
        other.sendall(b"begun")
        client.sendall(b"whole\n")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"unfinishedwhole\n"
        server.wait_for("< whole")
    server.wait_for("(closed|reset) by peer", count=2)
    assert server.stop() == 0
    times = [line.split("  ")[0] for line in server.lines]
    assert times == sorted(times)
    events = [json.loads(line) for line in file.read_text().splitlines()]
    for text, event in (("unfinished", "received"), ("begun", "received"), ("whole\n", "received")):
        (at,) = (each["at"] for each in events if each.get("text") == text and each["event"] == event)
        (line,) = (line for line in server.lines if line.endswith(f"> {text.strip()}"))
        assert line.startswith(at[11:23])


def test_a_flood_on_a_terminal_loses_no_closing(listen: Start) -> None:
    controller, terminal = pty.openpty()
    server = listen(stdout=terminal, env={"NO_COLOR": "1"})
    os.close(terminal)
    port = wait_until(lambda: listening_port(server.process.pid), "the port")
    for _ in range(3):  # all of it while nobody reads the terminal
        with connect(port) as client:
            client.sendall(b"y" * 99_999 + b"\n" * 900_001)
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b""
    shown = bytearray()
    while shown.count(b"closed by peer") < 3:
        shown += os.read(controller, 1 << 16)
    lines = bytes(shown).decode().splitlines()
    assert sum("connected" in line for line in lines) == 3
    assert any("not shown: too fast for this terminal" in line for line in lines)
    assert sum(line.endswith("1000000 B in, 0 B out") for line in lines) == 3
    assert server.stop() == 0
    os.close(controller)
