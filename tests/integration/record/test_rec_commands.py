"""What a review of ``portside rec`` found."""

import json
import os
import signal
from pathlib import Path

import pytest
from conftest import Start
from support import connect
from transcripts import conversation, damage, record


def test_text_around_a_gap_was_never_adjacent(start: Start, tmp_path: Path) -> None:
    said = [[event] for event in conversation((">", b"AAAA"), (">", b"MIDDLEMIDDLE"), (">", b"BBBB"), "fin")]
    path = record(tmp_path / "rec", *said)
    damage(tmp_path / "rec", b"MIDDLE")
    program = start("rec", "list", path, "--json", "--contains", "AAAABBBB")
    assert program.wait() == 0
    assert not program.out
    program = start("rec", "list", path, "--json", "--contains", "BBBB")
    assert program.wait() == 0
    assert json.loads(program.out)["conn"] == 1


def test_what_a_killed_run_left_is_not_open(start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "rec")
    server = start("listen", "127.0.0.1:0", "--record", path, "--format", "json")
    with connect(server.port) as client:
        client.sendall(b"x")
        server.wait_for('"received"')
        listed = start("rec", "list", path, "--json", "--reason", "open")
        assert listed.wait() == 0
        server.signal(signal.SIGKILL)
        server.wait()
    later = start("listen", "127.0.0.1:0", "--record", path)
    assert later.port
    listed = start("rec", "list", path, "--json", "--reason", "open")
    assert listed.wait() == 0
    assert not listed.out
    followed = start("rec", "show", "--follow", path, "1")
    assert followed.wait() == 0


@pytest.mark.parametrize("arguments", [("replay", "DIR", "1", "12345", "-w", "0"), ("list", "DIR", "--since", "x")])
def test_wrong_values(start: Start, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = record(tmp_path / "rec", conversation("fin"))
    program = start("rec", *(path if word == "DIR" else word for word in arguments))
    assert program.wait() == 2


def test_names_that_are_no_utf8(start: Start, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")
    record(Path(path), conversation((">", b"x"), "fin"))
    program = start("rec", "diff", "--json", f"{path}:1", f"{path}:1")
    assert program.wait() == 0
    assert json.loads(program.out)["same"]
    program = start("rec", "replay", path, "all", f"unix:{path}/nobody", "--json")
    assert program.wait() == 1
    assert json.loads(program.out)["as_recorded"] is False
    assert b"Traceback" not in program.err


def test_a_name_that_begins_with_a_dash(start: Start, tmp_path: Path) -> None:
    record(tmp_path / "-dash", conversation((">", b"x"), "fin"))
    program = start("rec", "list", "--json", "--", "-dash", cwd=tmp_path)
    assert program.wait() == 0
    assert json.loads(program.out)["received"] == 1
