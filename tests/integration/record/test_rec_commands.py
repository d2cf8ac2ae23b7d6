"""What a review of ``portside rec`` found."""

import json
import os
import re
import shlex
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("list DIR:1", "rec list: it takes DIR, the recording as a whole\nhint: portside rec show DIR 1\n"),
        ("check DIR 1", "rec check: it takes DIR, the recording as a whole\nhint: portside rec show DIR 1\n"),
        ("show DIR 1,2", "'1,2' is no connection: write its number, as the list of them shows it\n"),
        ("diff DIR 2", "it takes two connections"),
        ("search x DIR", "rec search: the recording comes first\nhint: portside rec search DIR x\n"),
    ],
)
def test_words_in_another_order_or_number(start: Start, tmp_path: Path, words: str, message: str) -> None:
    path = record(tmp_path / "rec", conversation((">", b"x"), "fin"))
    program = start("rec", *words.replace("DIR", path).split())
    assert program.wait() == 2
    what, hint, command = message.partition("\nhint: ")
    assert what + hint + command.replace("DIR", shlex.quote(path)) in program.err.decode()


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


def two_conversations(path: Path) -> str:
    first = conversation((">", b"HELLO\n"), 20, ("<", b"hello again\n"), "fin")
    second = conversation(10, (">", b"AGAIN AGAIN\n"), "fin", conn=2)
    return record(path / "rec", sorted([*first, *second], key=lambda event: event.at))


def lines_of(start: Start, *words: str, status: int = 0) -> list[str]:
    program = start("rec", *words)
    assert program.wait() == status, program.err
    return program.out.decode().splitlines()


def test_connections_are_shown_in_the_order_of_time(start: Start, tmp_path: Path) -> None:
    path = two_conversations(tmp_path)
    shown = [line.split("  ")[1].split()[0] for line in lines_of(start, "show", path)]
    assert shown == ["#1", "#1", "#2", "#2", "#2", "#1", "#1"]
    assert lines_of(start, "show", path, "2", "1") == lines_of(start, "show", path)
    assert lines_of(start, "show", path, "2") == lines_of(start, "show", f"{path}:2")
    assert all(" #2 " in line for line in lines_of(start, "show", path, "2"))
    assert all(re.match(r"2023-11-1[45] \d\d:\d\d:\d\d\.\d{3}  #", line) for line in lines_of(start, "show", path))
    assert start("rec", "show", path, "1", "9").wait() == 1
    assert start("rec", "show", path, "1", "2", "--follow").wait() == 2


def test_a_connection_is_named_in_two_ways(start: Start, tmp_path: Path) -> None:
    path = two_conversations(tmp_path)
    assert lines_of(start, "cat", f"{path}:2") == lines_of(start, "cat", path, "2") == ["AGAIN AGAIN"]
    assert lines_of(start, "diff", path, "1", f"{path}:1") == lines_of(start, "diff", f"{path}:1", f"{path}:1")
    exported = lines_of(start, "export", f"{path}:2", "-", "--format", "jsonl")
    assert {json.loads(line)["conn"] for line in exported} == {2}
    assert exported == lines_of(start, "export", path, "-", "--format", "jsonl", "--conn", "2")
    assert start("rec", "export", path, "all.txt").wait() == 2


def test_a_capture_through_a_pipe(start: Start, tmp_path: Path) -> None:
    path = two_conversations(tmp_path)
    program = start("rec", "export", path, "-")
    assert program.wait() == 0
    file = tmp_path / "all.pcapng"
    assert start("rec", "export", path, str(file)).wait() == 0
    assert bytes(program.out) == file.read_bytes()


def test_every_place_of_a_text(start: Start, tmp_path: Path) -> None:
    path = two_conversations(tmp_path)
    found = [json.loads(line) for line in lines_of(start, "search", path, "AGAIN", "--json")]
    assert [(each["conn"], each["direction"], each["offset"]) for each in found] == [(2, "in", 0), (2, "in", 6)]
    assert lines_of(start, "search", f"{path}:1", "again\\n") == [
        "#1 127.0.0.1:33406  < byte 6: hello again\\n",
    ]
    assert lines_of(start, "search", path, "nowhere", status=1) == []
    assert start("rec", "search", path).wait() == 2
    assert start("rec", "search", path, "").wait() == 2


def test_a_text_in_two_reads_and_around_a_gap(start: Start, tmp_path: Path) -> None:
    said = [[event] for event in conversation((">", b"xxAB"), (">", b"CDyy"), (">", b"LOST"), (">", b"ABCD"), "fin")]
    path = record(tmp_path / "rec", *said)
    damage(tmp_path / "rec", b"LOST")
    found = [json.loads(line)["offset"] for line in lines_of(start, "search", path, "ABCD", "--json")]
    assert found == [2, 12]
    assert lines_of(start, "search", path, "yyABCD", status=1) == []
