"""A connection has one number: on the screen, in JSON, in files and in the recording."""

import json
import re
import socket
from pathlib import Path

import pytest
from conftest import Start
from support import connect
from transcripts import conversation, record


def listed(start: Start, path: str) -> list[int]:
    program = start("rec", "list", path, "--json")
    assert program.wait() == 0
    return [json.loads(line)["conn"] for line in program.lines]


def test_a_servers_numbers_go_on_from_those_of_the_recording(start: Start, listen: Start, tmp_path: Path) -> None:
    path = record(tmp_path / "rec", conversation((">", b"before"), "fin"), conversation("fin", conn=10))
    log = tmp_path / "log"
    server = listen("--record", path, "-o", str(log), "--chat")
    for _ in range(2):
        with connect(server.port) as client:
            client.sendall(b"/who\n")
            client.shutdown(socket.SHUT_WR)
            while client.recv(100):
                pass
    server.wait_for("closed by peer", count=2)
    assert server.stop() == 0
    assert b"from connection 11 on" in server.err
    for shown in (bytes(server.out), log.read_bytes()):
        assert re.findall(rb"  (#[0-9]+) .* connected", shown) == [b"#11", b"#12"]
    assert listed(start, path) == [1, 10, 11, 12]
    show = start("rec", "show", path, "12")
    assert show.wait() == 0
    assert [line.split("  ", 1)[1] for line in show.lines] == [
        line.split("  ", 1)[1] for line in server.lines if "  #12 " in line
    ]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_clients_number_goes_on_from_those_of_the_recording(start: Start, tmp_path: Path, form: str) -> None:
    path = record(tmp_path / "rec", conversation("fin", conn=3))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = ("--recv-only", "--format", form, "--record", path)
        client = start("connect", f"127.0.0.1:{listener.getsockname()[1]}", *words)
        peer, _ = listener.accept()
        peer.close()
        assert client.wait() == 0
    assert b'"conn":4' in client.out if form == "json" else b"  #4 " in client.out
    assert listed(start, path) == [3, 4]


def test_without_a_recording_numbers_begin_with_1(listen: Start) -> None:
    server = listen("--format", "json")
    connect(server.port).close()
    server.wait_for('"closed"')
    assert {event["conn"] for event in server.events if "conn" in event} == {1}
