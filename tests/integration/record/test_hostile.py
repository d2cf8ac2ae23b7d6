"""Recordings that somebody sent: links, pipes, and indexes and segments with values that cannot be."""

import json
import os
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from zlib import crc32

import pytest
from conftest import Start
from recording_files import START_NS, blocks, change, closed, data_of, opened, received, record, segment, sent, store

from portside.cli import rec
from portside.errors import PortsideError
from portside.events import Event, Gap
from portside.record.block_builder import BlockBuilder
from portside.record.check import check
from portside.record.recording import Recording
from portside.record.segment import (
    EVENT,
    FILE_HEADER_SIZE,
    MARKER,
    MOST_CONN,
    NOTE,
    checksum_seed,
    decode_file_header,
)
from portside.record.store import MOST_BASE

FLUSHES: tuple[list[Event], ...] = (
    [opened(1), received(1, b"hello"), opened(2), sent(2, b"out")],
    [received(1, b" again"), closed(1, 11, 0)],
)
COMMANDS = (
    ("list",), ("list", "--json"), ("show", "1"), ("cat", "1"), ("export", "OUT.pcapng"), ("export", "OUT.jsonl"),
    ("check",),
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A recording with an index that is complete."""
    path = tmp_path / "recording"
    record(path, *FLUSHES)
    return path


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Somebody else's database, which is not to change."""
    outside = tmp_path / "outside"
    with closing(sqlite3.connect(outside)) as database:
        database.execute("CREATE TABLE theirs (x)")
    os.utime(outside, (1, 1))
    return outside


def run_all(path: Path) -> None:
    """Run every command: none fails otherwise than in one line."""
    for command, *words in COMMANDS:
        out = path.parent / f"out-{command}"
        with suppress(PortsideError):
            assert rec.run([command, str(path), *(word.replace("OUT", str(out)) for word in words)]) in (0, 1)


def edit(path: Path, *statements: str) -> None:
    """Change the index as somebody with a database program would."""
    with closing(sqlite3.connect(path / "index.sqlite", isolation_level=None)) as index:
        for statement in statements:
            index.execute(statement)


@pytest.mark.parametrize("name", ["index.sqlite", "index.sqlite-wal", "index.sqlite-journal", "recording.lock"])
def test_a_link_is_neither_followed_nor_written_through(path: Path, outside: Path, name: str) -> None:
    (path / name).unlink(missing_ok=True)
    (path / name).symlink_to(outside)
    before = outside.read_bytes()
    run_all(path)
    if name == "recording.lock":
        with pytest.raises(PortsideError, match="symbolic link"):
            store(path)
    else:
        store(path).close()
    assert outside.read_bytes() == before
    assert outside.stat().st_mtime == 1
    assert sorted(os.listdir(path.parent)) == ["out-export.jsonl", "out-export.pcapng", "outside", "recording"]


@pytest.mark.parametrize("name", ["segment-000001", "segment-000002", "index.sqlite", "recording.lock"])
def test_nothing_waits_for_a_pipe(path: Path, name: str) -> None:
    (path / name).unlink(missing_ok=True)
    os.mkfifo(path / name)
    run_all(path)
    report = check(os.fspath(path))
    if name.startswith("segment"):
        assert [(each.segment, each.why) for each in report.found] == [
            (int(name[-1]), "it is no regular file, and is not read")
        ]


def test_a_segment_that_is_a_link_is_not_read(path: Path, tmp_path: Path) -> None:
    shutil.move(segment(path), tmp_path / "elsewhere")
    segment(path).symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").read_bytes()
    run_all(path)
    assert data_of(path, 1) == (b"", b"")
    kept = store(path, most_bytes=1 << 20)
    kept.flush(blocks(opened(3), received(3, b"x")))
    kept.close()
    assert (tmp_path / "elsewhere").read_bytes() == before


UNSOUND = {
    "a number where the name belongs": ["UPDATE meta SET value = 4611686018427387904"],
    "text where numbers belong": ["UPDATE segments SET indexed = 'x'"],
    "more than there can be": ["UPDATE connections SET received = 9223372036854775807, sent = -1"],
    "a duration": ["UPDATE connections SET duration = 1e308"],
    "a reason": [r"UPDATE connections SET reason = char(27) || ']52;c;eA==' || char(7) WHERE conn = 1"],
    "an extent": ["UPDATE extents SET received_before = 4611686018427387904"],
    "an offset": ["UPDATE extents SET offset = 'x' || offset WHERE conn = 1"],
    "blocks in blocks": ["UPDATE extents SET length = length + 1000"],
    "bytes for text": ["UPDATE connections SET peer = x'ff'"],
    "a view without end": [
        "ALTER TABLE connections RENAME TO c",
        (
            "CREATE VIEW connections AS WITH RECURSIVE n(conn) AS (SELECT 1 UNION ALL SELECT conn FROM n) "
            "SELECT conn, '' peer, '' local, 1 opened, 1 half_closed, 1 closed, '' reason, '' error, 1.0 duration, "
            "1 received, 1 sent, 1 dropped, '' closed_by, 1 began FROM n"
        ),
    ],
    "a trigger": ["CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM connections; END"],
    "more tables": ["CREATE TABLE more (x)"],
    "no tables": ["DROP TABLE extents"],
    "a wrong schema": [
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'INTEGER', 'BLOB') WHERE name = 'connections'",
    ],
}


@pytest.mark.parametrize("why", UNSOUND)
@pytest.mark.parametrize("readable_only", [False, True])
def test_an_index_that_is_not_sound_is_made_anew(start: Start, path: Path, why: str, readable_only: bool) -> None:
    edit(path, *UNSOUND[why])
    if readable_only:
        before = {name: (path / name).read_bytes() for name in os.listdir(path)}
        with Recording(os.fspath(path)) as recording:
            assert [each.conn for each in recording.connections()] == [1, 2]
            assert recording.connection(1).reason == "peer_closed"
            assert b"".join(each for each in recording.data(1, "in") if isinstance(each, bytes)) == b"hello again"
            assert recording.why_rebuilt is not None
        assert {name: (path / name).read_bytes() for name in before} == before
        return
    listed = start("rec", "list", str(path), "--json")
    assert listed.wait() == 0
    assert [json.loads(line)["received"] for line in listed.lines] == [11, 0]
    shown = start("rec", "cat", str(path), "1")
    assert shown.wait() == 0
    assert bytes(shown.out) == b"hello again"
    assert b"the index is not used, but the segments are read" in shown.err
    assert b"hint: portside rec check" in shown.err
    run_all(path)
    assert check(os.fspath(path)).whole, "made anew by the first check"
    assert data_of(path, 1) == (b"hello again", b"")
    listed = start("rec", "list", str(path))
    assert listed.wait() == 0
    assert not listed.err


EVENTS = {
    "nested": b'{"event":' + b"[" * 100_000,
    "large": b'{"event":"' + b"x" * (2 << 20) + b'"}',
    "a count": b'{"event":"closed","at":"2027-01-15T08:00:00.000000Z","conn":1,"peer":"p","reason":"peer_closed",'
    b'"received":9223372036854775808,"sent":0,"duration":1}',
    "a duration": b'{"event":"closed","at":"2027-01-15T08:00:00.000000Z","conn":1,"peer":"p","reason":"peer_closed",'
    b'"received":1,"sent":0,"duration":1e308}',
    "another connection": b'{"event":"opened","at":"2027-01-15T08:00:00.000000Z","conn":7,"peer":"p","local":"l"}',
    "a time": b'{"event":"opened","at":"0001-01-01T00:00:00.000000Z","conn":1,"peer":"p","local":"l"}',
    "text": b'{"event":"gap","at":"2027-01-15T08:00:00.000000Z","conn":1,"received":"1","sent":0,"duration":0,'
    b'"why":""}',
}


@pytest.mark.parametrize("what", EVENTS)
@pytest.mark.parametrize("kind", [EVENT, NOTE])
def test_an_event_that_cannot_be_is_left_out(tmp_path: Path, what: str, kind: int) -> None:
    path = tmp_path / "recording"
    kept = store(path)
    block = BlockBuilder(1 if kind == EVENT else 0)
    block.add_event(opened(1), START_NS) if kind == EVENT else None
    block.add(kind, START_NS + 1, EVENTS[what])
    kept.flush({block.conn: block})
    kept.flush(blocks(received(1, b"hello")))
    kept.close()
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        (path / name).unlink(missing_ok=True)
    run_all(path)
    assert data_of(path, 1) == (b"hello", b"")


def test_a_claimed_gap_makes_no_output_without_end(start: Start, tmp_path: Path) -> None:
    path, out = tmp_path / "recording", tmp_path / "out.pcapng"
    huge = 1 << 60
    record(path, [opened(1), Gap(START_NS, 1, huge, huge, 0.0, "claimed"), closed(1, huge, huge)])
    program = start("rec", "export", str(path), str(out))
    assert program.wait() == 1
    assert out.stat().st_size < 100_000


def test_names_that_are_no_segments(path: Path) -> None:
    for name in ("segment-" + "9" * 30, "segment-4294967296", "segment-x"):
        (path / name).write_bytes(b"")
    run_all(path)
    assert check(os.fspath(path)).whole


@pytest.mark.parametrize("conn", [MOST_CONN, MOST_CONN - 1, MOST_BASE + 1])
def test_no_run_is_recorded_whose_connections_could_not_be_read(tmp_path: Path, conn: int) -> None:
    record(tmp_path / "recording", [opened(MOST_BASE)])
    last = MOST_BASE + 1
    record(tmp_path / "recording", [opened(last), received(last, b"of the last run")])
    record(tmp_path / "full", [opened(conn)])
    assert data_of(tmp_path / "recording", last) == (b"of the last run", b"")
    before = sorted(os.listdir(tmp_path / "full"))
    with pytest.raises(PortsideError, match=f"its last connection is {conn}"):
        store(tmp_path / "full")
    assert sorted(os.listdir(tmp_path / "full")) == before


def test_a_block_that_claims_more_than_the_file_has(path: Path) -> None:
    def claim(data: bytearray) -> None:
        del data[-3:]

    change(segment(path), claim)
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        (path / name).unlink(missing_ok=True)
    with Recording(os.fspath(path)) as recording:
        assert [(each.why, each.torn) for each in recording.found] == [("a block is cut short", True)]


def test_a_block_of_gigabytes_in_a_sparse_file_is_not_held_in_memory(path: Path) -> None:
    """Its header is right in itself: an archive of a few kilobytes may hold it."""
    file, size = segment(path), 2 << 30
    head = decode_file_header(file.read_bytes()[:FILE_HEADER_SIZE])
    offset, seed = file.stat().st_size, checksum_seed(head.recording)
    header = struct.pack("<4sIQQQIIQ", MARKER, 9, 1, 11, 0, 4, size, 0)
    checksum = crc32(header, crc32(struct.pack("<Q", offset), seed))
    with file.open("ab") as opened_file:
        opened_file.write(header + struct.pack("<I", checksum))
        opened_file.truncate(offset + len(header) + 4 + size)
    (damage,) = check(os.fspath(path)).found
    assert damage.why == "a block's header contradicts itself"
    assert data_of(path, 1) == (b"hello again", b"")


def test_pages_that_refer_to_each_other(path: Path) -> None:
    """A tree of SQLite whose pages are all the same one below: reading it never ends."""
    record(path, *([opened(conn), received(conn, b"x"), closed(conn, 1)] for conn in range(10, 1500)))
    edit(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    with closing(sqlite3.connect(path / "index.sqlite")) as index:
        (root,) = index.execute("SELECT rootpage FROM sqlite_master WHERE name = 'extents'").fetchone()

    def point_to_itself(data: bytearray) -> None:
        size = int.from_bytes(data[16:18], "big")
        at = (root - 1) * size
        assert data[at] == 2, "an inner page of an index tree"
        cells = int.from_bytes(data[at + 3 : at + 5], "big")
        for cell in range(cells):
            place = at + int.from_bytes(data[at + 12 + 2 * cell : at + 14 + 2 * cell], "big")
            data[place : place + 4] = root.to_bytes(4, "big")

    change(path / "index.sqlite", point_to_itself)
    run_all(path)


@pytest.mark.parametrize("change_it", [lambda name: f"//{name.lstrip('/')}", lambda name: f"{name}/./"])
def test_names_of_folders_that_read_as_something_else(path: Path, change_it: Callable[[str], str]) -> None:
    with Recording(change_it(os.fspath(path))) as recording:
        assert recording.connection(1).reason == "peer_closed"
