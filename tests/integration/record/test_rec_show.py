"""``rec show``: a connection as it was shown when it happened."""

from pathlib import Path

from conftest import Start
from recording_files import closed, data_of, opened, received, record, sent
from support import connect, wait_until

MS = 1_000_000


def test_an_unfinished_line_is_shown_as_it_was_then(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "rec"
    events = [
        received(1, b"one "),
        received(1, b"line\n", 90 * MS),
        received(1, b"two ", 100 * MS),
        sent(1, b"between\n", 160 * MS),
        sent(1, b"between\n", 220 * MS),
        received(1, b"lines\n", 280 * MS),
    ]
    record(path, [opened(1), *events, closed(1, 19, 16, 300 * MS)])
    program = start("rec", "show", str(path), "1")
    assert program.wait() == 0
    lines = [line.rpartition("  ")[2] for line in program.lines]
    assert lines[1:-1] == ["> one line", "> two ", "< between", "< between", "> lines"]
    times = [line.split("  ")[0][-4:] for line in program.lines]
    assert times == [".000", ".090", ".100", ".160", ".220", ".280", ".300"]


def test_idle_frames_end_where_the_connection_was_idle(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "rec"
    bytes_at = [received(1, b"x", at * MS) for at in (0, 300, 700, 1250)]
    record(path, [opened(1), *bytes_at, closed(1, 4, 0, 1300 * MS)])
    program = start("rec", "show", str(path), "1", "--format", "json", "--frame", "idle:500ms")
    assert program.wait() == 0
    messages = [(each["text"], each["at"][-10:-4]) for each in program.events if each["event"] == "received"]
    assert messages == [("xxx", "01.200"), ("x", "01.300")]


def test_a_prompt_of_a_followed_connection_is_shown(start: Start, listen: Start, tmp_path: Path) -> None:
    path = tmp_path / "rec"
    server = listen("--record", str(path))
    with connect(server.port) as client:
        client.sendall(b"first\nlogin: ")
        server.wait_for("> login: ")
        wait_until(lambda: (path / "index.sqlite").exists() and b"login" in data_of(path, 1)[0], "the recording")
        program = start("rec", "show", "--follow", str(path), "1")
        program.wait_for("> login: $")
