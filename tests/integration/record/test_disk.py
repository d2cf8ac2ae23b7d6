"""The disk is full, is not ours, or holds something else."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from conftest import Start
from recording_files import bytes_of, change, closed, opened, received, record, remove_index, segment
from support import DEADLINE_S, Program, connect, wait_until

from portside.events import Gap
from portside.record.check import check
from portside.record.connection_record import ConnectionRecord
from portside.record.recording import Recording

# A disk is tried again after so long that all that a test does while it is full has happened.
PATIENT = (
    sys.executable,
    "-c",
    "from portside.record import store; store.RETRY_S = 10.0; from portside.cli import main; main()",
)


@pytest.fixture
def recording_server(listen: Start) -> Start:
    def start(path: Path, *arguments: str, **options: object) -> Program:
        server = listen("--record", os.fspath(path), "--format", "json", *arguments, **options)
        server.wait_for("recording to", err=True)
        return server

    return start


def fill(disk: Path) -> None:
    """Take all room but a few bytes."""
    with open(disk / "ballast", "ab", buffering=0) as ballast:
        for size in (65536, 4096):
            try:
                while True:
                    ballast.write(b"x" * size)
            except OSError:
                pass


class Talker:
    """A client whose bytes the server has shown before it goes on."""

    def __init__(self, server: Program, name: str, open_now: ExitStack) -> None:
        self.server, self.name = server, name
        self.socket = open_now.enter_context(connect(server.port))
        self.peer = "{}:{}".format(*self.socket.getsockname())

    def say(self, text: str) -> None:
        self.socket.sendall(f"{self.name} {text}\n".encode())
        self.server.wait_for(rf"{self.name} {text}\\n")

    def leave(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)
        assert self.socket.recv(1) == b""
        self.socket.close()
        self.server.wait_for(rf'"closed".*{self.peer}"')


Talkers = Callable[[Program, str], Talker]


@pytest.fixture
def talker() -> Iterator[Talkers]:
    with ExitStack() as open_now:
        yield partial(Talker, open_now=open_now)


def seen(path: Path, conn: int, size: int) -> bool:
    with Recording(os.fspath(path)) as recording:
        return any(each.conn == conn and each.received >= size for each in recording.connections())


def test_a_full_disk(recording_server: Start, small_disk: Path, talker: Talkers) -> None:
    path = small_disk / "recording"
    server = recording_server(path, command=PATIENT)
    stays, leaves, early = (talker(server, name) for name in ("stays", "leaves", "early"))
    early.say("was here")
    early.leave()
    for each in (stays, leaves):
        each.say("before")
    wait_until(lambda: seen(path, 1, 13) and seen(path, 2, 14), "what came before")
    fill(small_disk)
    big = "z" * 8000
    stays.say(big)  # which cannot be kept
    server.wait_for("cannot write the recording: No space left on device", err=True)
    stays.say("within")
    leaves.say("within")
    leaves.leave()
    comes, vanishes = talker(server, "comes"), talker(server, "vanishes")
    comes.say("within")
    vanishes.say("within")
    vanishes.leave()
    assert server.err.count(b"cannot write the recording:") == 1
    (small_disk / "ballast").unlink()
    server.wait_for("recording can be written again", err=True)
    late = talker(server, "late")
    for each in (stays, comes, late):
        each.say("after")
        each.leave()
    assert server.stop() == 0
    assert server.err.count(b"cannot write the recording:") == 1
    lost = {stays: f"{stays.name} {big}\nstays within\n", leaves: "leaves within\n", comes: "comes within\n"}
    kept = {stays: "stays before\nstays after\n", leaves: "leaves before\n", comes: "comes after\n",
            early: "early was here\n", late: "late after\n"}  # fmt: skip
    with Recording(os.fspath(path)) as recording:
        by_peer = {each.peer: each for each in recording.connections()}
        assert set(by_peer) == {each.peer for each in kept}, "what came and went within the gap is a sum"
        for who, text in kept.items():
            recorded = by_peer[who.peer]
            assert recorded.reason == "peer_closed"
            assert recorded.received == len(text) + len(lost.get(who, ""))
            assert bytes_of(recording, recorded.conn, "in").decode() == text
            gaps = [event for event in recording.events(recorded.conn) if isinstance(event, Gap)]
            assert [(gap.received, gap.sent) for gap in gaps] == ([(len(lost[who]), 0)] if who in lost else [])
            assert all(gap.why == "No space left on device" and gap.duration > 0 for gap in gaps)
        (gap,) = [event for event in recording.all_events() if isinstance(event, Gap) and not event.conn]
        assert (gap.connections, gap.received, gap.sent) == (1, len("vanishes within\n"), 0)
    assert check(os.fspath(path)).whole


def test_a_disk_that_is_full_from_the_start(listen: Start, small_disk: Path) -> None:
    fill(small_disk)
    server = listen("--record", os.fspath(small_disk / "recording"))
    assert server.wait() == 1
    assert server.err.count(b"\n") == 1
    assert b"cannot record to" in server.err


def test_a_recording_on_a_full_disk_is_verified(small_disk: Path) -> None:
    path = small_disk / "recording"
    record(path, [opened(1), received(1, b"x" * 1000)], [received(1, b"y" * 1000), closed(1, 2000)])
    fill(small_disk)
    report = check(os.fspath(path))
    assert report.whole
    assert (report.connections, report.index_error, report.rebuilt) == (1, None, False)
    change(segment(path), lambda data: data.__setitem__(-1, data[-1] ^ 1))
    assert [each.why for each in check(os.fspath(path)).found] == ["a block is damaged"]


@pytest.mark.parametrize("lost", [True, False])
def test_where_there_is_no_room_for_a_new_index_the_segments_are_verified_all_the_same(
    small_disk: Path, lost: bool
) -> None:
    path = small_disk / "recording"
    record(path, [opened(1), received(1, b"x" * 1000), closed(1, 1000)])
    if lost:
        remove_index(path)
    else:
        change(path / "index.sqlite", lambda data: data.__setitem__(slice(0, 100), bytes(100)))
    before = {each.name for each in path.iterdir()}
    fill(small_disk)
    command = [sys.executable, "-m", "portside", "rec", "check", os.fspath(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    why = "it is missing" if lost else "file is not a database"
    assert done.stdout.splitlines()[1:] == [
        f"the index cannot be used: {why}",
        "the index cannot be made anew: database or disk is full",
        "not whole",
    ]
    assert (done.returncode, done.stderr) == (1, "")
    assert {each.name for each in path.iterdir()} == before
    (small_disk / "ballast").unlink()
    assert check(os.fspath(path)).rebuilt
    assert check(os.fspath(path)).whole


def test_a_flood_into_a_full_disk_costs_no_memory(recording_server: Start, small_disk: Path) -> None:
    with open(os.devnull, "wb") as null:
        server = recording_server(small_disk / "recording", "--format", "raw", stdout=null, command=PATIENT)
    with connect(server.port) as client:
        client.sendall(b"x")
        wait_until(lambda: seen(small_disk / "recording", 1, 1), "the first byte")
        fill(small_disk)
        for _ in range(400):
            client.sendall(b"x" * 65536)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    server.wait_for("cannot write the recording: No space left", err=True)
    (small_disk / "ballast").unlink()
    server.wait_for("recording can be written again", err=True)
    with connect(server.port) as client:
        client.sendall(b"the end")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert server.stop() == 0
    with Recording(os.fspath(small_disk / "recording")) as recording:
        whole = 0
        for event in recording.events(1):
            whole += event.received if isinstance(event, Gap) else len(getattr(event, "data", b""))
        assert whole == 1 + 400 * 65536
        assert bytes_of(recording, 2, "in") == b"the end"


# Even root may not write where the mode of its own folder says so, once it has given its capabilities away.
UNPRIVILEGED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.getuid() == 0 else ()


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """A folder, with the files in it, that not even its owner may write."""
    modes = {each: each.stat().st_mode for each in (*path.iterdir(), path)}
    for each, mode in modes.items():
        each.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for each, mode in modes.items():
            each.chmod(mode)


def test_a_folder_that_may_not_be_written(start: Start, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    command = (*UNPRIVILEGED, sys.executable, "-m", "portside")
    with read_only(theirs):
        for path in (theirs, theirs / "new"):
            server = start("listen", "127.0.0.1:0", "--record", os.fspath(path), command=command)
            assert server.wait() == 1
            assert server.err.decode().splitlines()[0] == f"portside: cannot record to {path}: Permission denied"
            assert b"listening" not in server.out


@pytest.mark.parametrize("what", ["other files", "a file"])
def test_a_folder_that_is_none(listen: Start, tmp_path: Path, what: str) -> None:
    path = tmp_path / "thing"
    if what == "a file":
        path.write_bytes(b"precious")
        why = "Not a directory\n"
    else:
        path.mkdir()
        (path / "thesis.tex").write_bytes(b"precious")
        why = "it holds other files\nhint: name an empty folder, one with a recording, or one that is not there yet\n"
    server = listen("--record", os.fspath(path))
    assert server.wait() == 1
    assert server.err.decode() == f"portside: cannot record to {path}: {why}"
    assert (path if what == "a file" else path / "thesis.tex").read_bytes() == b"precious"


def test_two_servers(recording_server: Start, listen: Start, tmp_path: Path, talker: Talkers) -> None:
    server = recording_server(tmp_path / "r")
    second = listen("--record", os.fspath(tmp_path / "r"))
    assert second.wait() == 1
    words = (
        f"portside: cannot record to {tmp_path / 'r'}: another server is recording there\nhint: name another folder\n"
    )
    assert second.err.decode() == words
    first = talker(server, "first")
    first.say("is well")
    first.leave()
    assert server.stop() == 0
    with Recording(os.fspath(tmp_path / "r")) as recording:
        assert bytes_of(recording, 1, "in") == b"first is well\n"


def test_reading_what_is_being_written(recording_server: Start, tmp_path: Path, talker: Talkers) -> None:
    path = tmp_path / "r"
    server = recording_server(path)
    one = talker(server, "one")

    def listed() -> list[ConnectionRecord]:
        with Recording(os.fspath(path)) as recording:
            assert recording.live
            return list(recording.connections())

    for number in range(1, 6):
        one.say(f"message {number}")
        wait_until(partial(seen, path, 1, 14 * number), "its bytes")
        with Recording(os.fspath(path)) as recording:
            assert bytes_of(recording, 1, "in").count(b"\n") == number
    assert listed()[0].open
    with Recording(os.fspath(path)) as kept_open:
        other = talker(server, "two")
        other.say("x")
        wait_until(lambda: len(list(kept_open.connections())) == 2, "the second connection")
        report = check(os.fspath(path))
        assert report.live
        assert report.whole
        assert report.blocks >= 3
    other.leave()
    wait_until(lambda: listed()[1].closed, "its closing")
    assert not listed()[1].open
    server.kill()
    with Recording(os.fspath(path)) as recording:
        assert not recording.live
        assert [each.open for each in recording.connections()] == [False, False]


def as_reader(path: Path, code: str) -> str:
    """What somebody without the right to write sees."""
    with read_only(path):
        command = (*UNPRIVILEGED, sys.executable, "-c", f"import sys; path = sys.argv[1]{code}print(result)", path)
        return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=DEADLINE_S).stdout.strip()


READ = """
from portside.record.recording import Recording
with Recording(path) as recording:
    result = [(each.conn, b"".join(recording.data(each.conn, "in"))) for each in recording.connections()]
"""
CHECK = """
from portside.record.check import check
report = check(path)
result = (report.whole, report.rebuilt, report.connections)
"""


@pytest.mark.parametrize("end", ["in order", "killed", "no index"])
def test_reading_without_the_right_to_write(recording_server: Start, tmp_path: Path, talker: Talkers, end: str) -> None:
    path = tmp_path / "r"
    server = recording_server(path)
    one = talker(server, "one")
    one.say("hello")
    wait_until(lambda: seen(path, 1, 10), "its bytes")
    assert as_reader(path, READ) == "[(1, b'one hello\\n')]", "while it is written"
    if end == "in order":
        assert server.stop() == 0
    else:
        server.kill()
    if end == "no index":
        for index in path.glob("index.sqlite*"):
            index.unlink()
    before = sorted(os.listdir(path))
    assert as_reader(path, READ) == "[(1, b'one hello\\n')]"
    assert as_reader(path, CHECK) == str((end != "no index", False, 1))
    assert sorted(os.listdir(path)) == before
