"""`rec diff`: two recorded connections compared."""

from pathlib import Path

from conftest import Start
from msgspec.structs import replace
from transcripts import conversation, damage, record

from portside.events import Closed

HELLO = conversation((">", b"hello\n"), ("<", b"HELLO\n"), (">", b"again\n"), "fin")


def test_the_same_in_other_pieces_at_another_time(start: Start, tmp_path: Path) -> None:
    one = record(tmp_path / "one", HELLO)
    pieces = conversation((">", b"hel"), 500, (">", b"lo\nagain\n"), ("<", b"HELLO\n"), "fin", conn=7, began_ms=999)
    other = record(tmp_path / "other", pieces)
    program = start("rec", "diff", f"{one}:1", f"{other}:7")
    assert program.wait() == 0
    assert program.lines == ["in   same, 12 B", "out  same, 6 B", "end  same: peer_closed"]


def test_what_differs(start: Start, tmp_path: Path) -> None:
    other = conversation((">", b"hello\nagain\n"), ("<", b"HE\x1bLO\n"), conn=2, reason="local_reset")
    path = record(tmp_path / "r", HELLO, other)
    program = start("rec", "diff", f"{path}:1", f"{path}:2")
    assert program.wait() == 1
    assert program.lines == [
        "in   same, 12 B",
        "out  differs at byte 2",
        f'     {path}:1  "HELLO\\n", 6 B',
        f'     {path}:2  "HE\\x1bLO\\n", 6 B',
        "end  differs",
        f"     {path}:1  peer_closed",
        f"     {path}:2  local_reset",
    ]


def test_a_shorter_one(start: Start, tmp_path: Path) -> None:
    path = record(tmp_path / "r", HELLO, conversation((">", b"hello\n"), ("<", b"HELLO\n"), conn=2, reason=None))
    program = start("rec", "diff", f"{path}:1", f"{path}:2")
    assert program.wait() == 1
    assert program.lines == [
        "in   differs at byte 6",
        f'     {path}:1  "hello\\nagain\\n", 12 B',
        f'     {path}:2  "hello\\n" and ends there, 6 B',
        "out  same, 6 B",
        "end  differs",
        f"     {path}:1  peer_closed",
        f"     {path}:2  not recorded",
    ]


def test_who_closed_it(start: Start, tmp_path: Path) -> None:
    *before, closed = conversation((">", b"hello\n"), ("<", b"HELLO\n"), (">", b"again\n"), "fin", conn=2)
    assert isinstance(closed, Closed)
    path = record(tmp_path / "r", HELLO, [*before, replace(closed, by="upstream")])
    program = start("rec", "diff", f"{path}:1", "2")  # a number alone: of the same recording
    assert program.wait() == 1
    ends = ["end  differs", f"     {path}:1  peer_closed", f"     {path}:2  peer_closed by upstream"]
    assert program.lines == ["in   same, 12 B", "out  same, 6 B", *ends]
    same = start("rec", "diff", f"{path}:2", "2")
    assert same.wait() == 0
    assert same.lines[-1] == "end  same: peer_closed by upstream"


def test_json(start: Start, tmp_path: Path) -> None:
    path = record(tmp_path / "r", HELLO, conversation((">", b"hello\n"), ("<", b"HE\xffLO\n"), "fin", conn=2))
    program = start("rec", "diff", "--json", f"{path}:1", f"{path}:2")
    assert program.wait() == 1
    (line,) = program.events
    assert line == {
        "same": False,
        "left": {"recording": path, "conn": 1},
        "right": {"recording": path, "conn": 2},
        "in": {
            "same": False,
            "size": [12, 6],
            "unknown": 0,
            "difference": {
                "offset": 6,
                "before": {"text": "hello\n"},
                "left": {"text": "again\n"},
                "right": {"text": ""},
            },
        },
        "out": {
            "same": False,
            "size": [6, 6],
            "unknown": 0,
            "difference": {
                "offset": 2,
                "before": {"text": "HE"},
                "left": {"text": "LLO\n"},
                "right": {"base64": "/0xPCg=="},
            },
        },
        "reason": ["peer_closed", "peer_closed"],
        "by": [None, None],
    }
    program = start("rec", "diff", "--json", f"{path}:1", f"{path}:1")
    assert program.wait() == 0
    assert program.events[0]["same"]


def test_lost_bytes_are_not_the_same(start: Start, tmp_path: Path) -> None:
    one = record(tmp_path / "one", HELLO)
    other = record(tmp_path / "other", HELLO[:3], HELLO[3:4], HELLO[4:])
    damage(tmp_path / "other", b"again")
    program = start("rec", "diff", f"{one}:1", f"{other}:1")
    assert program.wait() == 1
    assert program.lines == [
        "in   same as far as it is known: of 12 B 6 B are missing",
        "out  same, 6 B",
        "end  same: peer_closed",
    ]


def test_a_difference_after_lost_bytes(start: Start, tmp_path: Path) -> None:
    lines = conversation((">", b"one\n"), (">", b"two\n"), (">", b"three\n"), "fin")
    one = record(tmp_path / "one", conversation((">", b"one\ntwo\nthr33\n"), "fin"))
    other = record(tmp_path / "other", lines[:2], lines[2:3], lines[3:])
    damage(tmp_path / "other", b"two")
    program = start("rec", "diff", f"{one}:1", f"{other}:1")
    assert program.wait() == 1
    assert program.lines[0] == "in   differs at byte 11; 4 B before it are not known"


def test_many_bytes_in_little_memory(start: Start, tmp_path: Path) -> None:
    piece = bytes(range(256)) * 4096
    events = conversation(*(((">", piece),) * 64), (">", b"a"), "fin")
    others = conversation(*(((">", piece * 2),) * 32), (">", b"b"), "fin", conn=2)
    path = record(tmp_path / "r", *[[event] for event in (*events, *others)])
    program = start("rec", "diff", f"{path}:1", f"{path}:2")
    assert program.wait() == 1
    assert program.lines[0] == f"in   differs at byte {64 << 20}"


def test_no_such_connection(start: Start, tmp_path: Path) -> None:
    path = record(tmp_path / "r", HELLO)
    program = start("rec", "diff", f"{path}:1", f"{path}:9")
    assert program.wait() == 1
    assert program.err.startswith(f"portside: connection 9: it is not in {path}\n".encode())
