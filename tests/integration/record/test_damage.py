"""Files of a recording deleted, damaged, exchanged: what is still read, and what ``check`` says and mends."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from recording_files import (
    blocks,
    change,
    data_of,
    extents,
    gaps_of,
    opened,
    received,
    record,
    remove_index,
    segment,
    store,
)
from recording_files import closed as closing_of

from portside.errors import PortsideError
from portside.record import segment as segment_module
from portside.record import store as store_module
from portside.record.check import check
from portside.record.index import SCHEMA
from portside.record.recording import Recording
from portside.record.report import BlockSpan, CheckReport


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two connections in three segments; each flush brings a block of 300 bytes for each."""
    folder = tmp_path / "recording"
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "SEGMENT_BYTES", 1500)
        flushes = [[received(conn, b"%d%d" % (conn, turn) * 150, turn) for conn in (1, 2)] for turn in range(5)]
        record(folder, [opened(1), opened(2)], *flushes, [closing_of(1, 1500, 0), closing_of(2, 1500, 0)])
    assert [segment(folder, number).exists() for number in (1, 2, 3, 4)] == [True, True, True, False]
    return folder


WHOLE = {conn: b"".join(b"%d%d" % (conn, turn) * 150 for turn in range(5)) for conn in (1, 2)}


def checked(path: Path) -> CheckReport:
    done: list[tuple[int, int]] = []
    report = check(os.fspath(path), lambda *each: done.append(each))
    assert all(have <= whole for have, whole in done)
    assert done == [] or done[-1][0] == done[-1][1]
    return report


def all_there(path: Path) -> bool:
    return {conn: data_of(path, conn)[0] for conn in (1, 2)} == WHOLE


def test_a_whole_recording(path: Path) -> None:
    before = sorted(os.listdir(path))
    report = checked(path)
    assert report.whole
    assert (report.segments, report.connections, report.blocks) == (3, 2, len(extents(path)))
    assert report.bytes == sum(each.stat().st_size for each in path.glob("segment-*"))
    assert (report.live, report.rebuilt, report.found, report.incomplete) == (False, False, [], [])
    assert sorted(os.listdir(path)) == before


def test_the_index_deleted(path: Path) -> None:
    remove_index(path)
    assert all_there(path)
    remove_index(path)
    report = checked(path)
    assert (report.index_error, report.rebuilt, report.aside) == ("it is missing", True, None)
    assert report.found == []
    assert checked(path).whole
    assert all_there(path)


def garbage(data: bytearray) -> None:
    data[:] = b"no database " * 1000


def middle(data: bytearray) -> None:
    data[4096 * 2 : 4096 * 9] = b"\xa5" * (4096 * 7)


def truncated(data: bytearray) -> None:
    del data[len(data) // 2 :]


@pytest.mark.parametrize("edit", [garbage, middle, truncated])
def test_a_damaged_index(path: Path, edit: Callable[[bytearray], None]) -> None:
    change(path / "index.sqlite", edit)
    if edit is garbage:
        with Recording(os.fspath(path)) as recording:
            assert recording.why_rebuilt == "file is not a database"
        assert all_there(path)
        with pytest.raises(PortsideError, match="file is not a database"):
            store(path)
    report = checked(path)
    assert report.index_error
    assert (report.rebuilt, report.aside) == (True, f"{path}/index.sqlite.damaged-1")
    assert "which segments or ends of segments were lost before" in report.not_rebuilt
    assert not report.whole
    assert all_there(path)
    assert checked(path).whole
    record(path, [opened(3)])
    change(path / "index.sqlite", edit)
    assert checked(path).aside == f"{path}/index.sqlite.damaged-2"
    assert all_there(path)


def test_an_index_cut_to_nothing_is_made_anew_by_whoever_comes(path: Path) -> None:
    """As after a power failure."""
    os.truncate(path / "index.sqlite", 0)
    assert all_there(path)
    assert checked(path).whole


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM extents WHERE conn = 2 AND segment = 2", "unknown"),
        ("UPDATE extents SET conn = 1 WHERE conn = 2", "unknown"),
        ("UPDATE extents SET received_before = 7 WHERE conn = 2", "unknown"),
        ("INSERT INTO extents VALUES (1, 77, 10, 2, 0, 0, 0, 0, 10, 0)", "absent"),
        ("UPDATE meta SET value = x'00112233445566778899aabbccddeeff'", "index_error"),
        ("DELETE FROM meta", "index_error"),
        ("DROP TABLE given_up", "index_error"),
    ],
)
def test_an_index_that_disagrees(path: Path, statement: str, what: str) -> None:
    with closing(sqlite3.connect(path / "index.sqlite", isolation_level=None)) as index:
        index.execute(statement)
    report = checked(path)
    assert getattr(report, what)
    assert report.rebuilt
    assert not report.whole
    assert all_there(path)
    assert checked(path).whole


def test_an_index_of_a_later_version(path: Path) -> None:
    with closing(sqlite3.connect(path / "index.sqlite", isolation_level=None)) as index:
        index.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    before = (path / "index.sqlite").read_bytes()
    for opens in (check, Recording, lambda name: store(Path(name))):
        with pytest.raises(PortsideError, match="a later version of Portside wrote it") as raised:
            opens(os.fspath(path))
        assert raised.value.hint == "use that version"
    assert (path / "index.sqlite").read_bytes() == before


def test_a_segment_of_a_later_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(segment_module, "VERSION", segment_module.VERSION + 1)
        later = segment_module.encode_file_header(4, 1, b"0" * 16)
    segment(path, 4).write_bytes(later)
    for opens in (check, Recording, lambda name: store(Path(name))):
        with pytest.raises(PortsideError, match=r"segment-000004: a later version of Portside wrote it"):
            opens(os.fspath(path))
    assert segment(path, 4).read_bytes() == later


def test_a_segment_truncated(path: Path) -> None:
    offset, length = next((row[1], row[2]) for row in extents(path) if row[0] == 2 and row[3] == 2)
    os.truncate(segment(path, 2), offset + length - 5)
    report = checked(path)
    assert not report.whole
    assert any(each.segment == 2 and each.why == "its end is missing" for each in report.found)
    assert 2 in [each.conn for each in report.incomplete]
    for conn in (1, 2):
        data = data_of(path, conn)[0]
        for gap in gaps_of(path, conn):
            assert len(data) + gap.received == 1500
            assert any(data == WHOLE[conn][:at] + WHOLE[conn][at + gap.received :] for at in range(len(data) + 1))
    assert not checked(path).whole, "it is still not whole"
    assert not report.rebuilt


def test_a_segment_missing(path: Path) -> None:
    lost = segment(path, 2).read_bytes()
    segment(path, 2).unlink()
    report = checked(path)
    assert (report.missing, report.absent, report.whole) == ([2], [], False)
    assert {each.conn for each in report.incomplete} == {1, 2}
    for conn in (1, 2):
        (gap,) = gaps_of(path, conn)
        assert len(data_of(path, conn)[0]) + gap.received == 1500
    assert checked(path).missing == [2]
    remove_index(path)
    report = checked(path)
    assert (report.missing, report.whole) == ([], False)
    assert {each.conn for each in report.incomplete} == {1, 2}
    segment(path, 2).write_bytes(lost)
    assert checked(path).whole
    assert all_there(path)


def test_a_missing_segment_is_remembered_over_a_rebuild(path: Path) -> None:
    segment(path, 2).unlink()
    assert checked(path).missing == [2]
    with closing(sqlite3.connect(path / "index.sqlite", isolation_level=None)) as index:
        index.execute("DELETE FROM extents WHERE conn = 2")
    assert checked(path).rebuilt
    report = checked(path)
    assert (report.missing, report.rebuilt) == ([2], False)


def test_a_segment_of_another_recording(path: Path, tmp_path: Path) -> None:
    record(tmp_path / "other", [opened(1), received(1, b"forged")])
    segment(tmp_path / "other").rename(segment(path, 4))
    report = checked(path)
    assert [(each.segment, each.why) for each in report.found] == [(4, "it belongs to another recording")]
    assert all_there(path)
    remove_index(path)
    assert all_there(path)
    record(path, [opened(3)])
    assert segment(path, 5).exists()
    assert [each[:2] for each in checked(path).found] == [(4, 0)]


def test_a_damaged_block(path: Path) -> None:
    spot = next(BlockSpan(*row) for row in extents(path) if row[0] == 2 and row[3] == 1)
    change(segment(path, 2), lambda data: data.__setitem__(spot.offset + 100, data[spot.offset + 100] ^ 1))
    for _ in range(2):
        report = checked(path)
        assert [each[:4] for each in report.found] == [(2, spot.offset, spot.length, "a block is damaged")]
        assert [each[:2] for each in report.incomplete] == [(1, 300)]
        assert (report.absent, report.unknown, report.rebuilt) == ([], [], False)
        remove_index(path)
        assert checked(path).rebuilt
    (gap,) = gaps_of(path, 1)
    assert gap.received == 300
    assert data_of(path, 2)[0] == WHOLE[2]


def test_a_damaged_header_of_a_segment_costs_nothing_else(path: Path) -> None:
    change(segment(path, 1), lambda data: data.__setitem__(20, data[20] ^ 1))
    assert all_there(path)
    report = checked(path)
    assert [each.why for each in report.found] == ["its header is damaged"]
    remove_index(path)
    assert all_there(path)


def test_nothing_can_be_read(tmp_path: Path) -> None:
    record(tmp_path, [opened(1)])
    change(segment(tmp_path), lambda data: data.__setitem__(20, data[20] ^ 1))
    remove_index(tmp_path)
    for opens in (Recording, check):
        with pytest.raises(PortsideError, match="nothing in it can be read"):
            opens(os.fspath(tmp_path))
    with pytest.raises(PortsideError, match="there is no recording"):
        check(os.fspath(tmp_path.parent))


def test_a_live_recording_is_only_verified(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.flush(blocks(opened(1), received(1, b"a" * 300)))
    kept.flush(blocks(received(1, b"b" * 300)))
    report = checked(tmp_path)
    assert (report.live, report.whole, report.blocks, report.connections) == (True, True, 3, 1)
    os.pwrite(kept._segments._fd, b"a torn flush", kept._segments.offset)
    assert checked(tmp_path).whole
    change(segment(tmp_path), lambda data: data.__setitem__(300, data[300] ^ 1))
    report = checked(tmp_path)
    assert (len(report.found), report.rebuilt, report.whole) == (1, False, False)
    (tmp_path / "index.sqlite").rename(tmp_path / "away")
    report = checked(tmp_path)
    assert (report.index_error, report.rebuilt) == ("it is missing", False)
    kept.close()


def test_a_segment_just_begun(tmp_path: Path) -> None:
    """The server was killed between making the file and writing its header."""
    record(tmp_path, [opened(1), received(1, b"abc")])
    segment(tmp_path, 2).touch()
    with Recording(os.fspath(tmp_path)) as recording:
        assert recording.found == []
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as index:
        assert index.execute("SELECT segment FROM segments ORDER BY 1").fetchall() == [(1,), (2,)], "known from now on"
    assert checked(tmp_path).whole
    segment(tmp_path, 3).write_bytes(segment(tmp_path).read_bytes()[:20])
    report = checked(tmp_path)
    assert report.whole
    assert [each.torn for each in report.found] == [True]
    record(tmp_path, [opened(2)])
    assert checked(tmp_path).whole


def test_a_rebuild_without_room_leaves_the_old_index(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(path / "index.sqlite", isolation_level=None)) as index:
        index.execute("DELETE FROM extents WHERE conn = 2")
    before = (path / "index.sqlite").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("portside.record.rebuild.catch_up", full)
    report = check(os.fspath(path))
    assert (report.rebuild_error, report.rebuilt, report.whole) == ("database or disk is full", False, False)
    assert report.unknown
    assert (path / "index.sqlite").read_bytes() == before
    assert not list(path.glob("*.new*")) + list(path.glob("*damaged*"))
