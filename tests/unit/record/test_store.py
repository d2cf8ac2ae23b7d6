"""The store where something goes wrong: the disk, the index, the store itself."""

import errno
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from recording_files import (
    START_NS,
    Troubles,
    blocks,
    closed,
    data_of,
    disk_bytes,
    extents,
    gaps_of,
    opened,
    received,
    record,
    segment,
    sent,
    store,
)

from portside.errors import PortsideError
from portside.record import fallocate as fallocate_module
from portside.record import index_writer as index_writer_module
from portside.record import segment_writer as segment_writer_module
from portside.record import store as store_module
from portside.record.check import check
from portside.record.fallocate import preallocate
from portside.record.store import Store


class Disk:
    """A disk that may be full, after so many more bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self._write = os.pwritev
        monkeypatch.setattr(os, "pwritev", self)

    def __call__(self, fd: int, buffers: list[bytes], offset: int) -> int:
        if self.room is None:
            return self._write(fd, buffers, offset)
        data = b"".join(buffers)[: self.room]
        if not data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)
        return self._write(fd, [data], offset)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def waits(kept: Store) -> bool:
    return kept.retries


def retry_now(kept: Store) -> None:
    kept._retry_at = 0.0


@pytest.mark.parametrize("room", [0, 1, 50, 200])
def test_a_gap(tmp_path: Path, disk: Disk, room: int) -> None:
    troubles: Troubles = []
    kept = store(tmp_path, troubles=troubles)
    kept.flush(blocks(opened(1), received(1, b"before "), opened(2), received(2, b"two")))
    size = segment(tmp_path).stat().st_size
    disk.room = room
    kept.flush(blocks(received(1, b"x" * 500), sent(1, b"y"), opened(3), received(3, b"three")))
    assert segment(tmp_path).stat().st_size == size, "what was half written does not stay"
    kept.flush(blocks(received(1, b"lost"), closed(2, 3, 0)))
    kept.flush(blocks(opened(4), received(4, b"four")))
    kept.flush(blocks(closed(4, 4, 0)))
    assert waits(kept)
    disk.room = None
    retry_now(kept)
    kept.flush(blocks(received(1, b"after"), received(3, b"more"), opened(5), received(5, b"five")))
    assert not waits(kept)
    kept.flush(blocks(closed(1, 516, 1)))
    kept.close()
    assert troubles == [("recording", "[Errno 28] No space left on device"), ("recording", None)]
    assert data_of(tmp_path, 1) == (b"before after", b"")
    assert data_of(tmp_path, 2) == (b"two", b"")
    assert data_of(tmp_path, 3) == (b"more", b"")
    assert data_of(tmp_path, 5) == (b"five", b"")
    assert [(gap.received, gap.sent, gap.why) for gap in gaps_of(tmp_path, 1)] == [(504, 1, "No space left on device")]
    assert [(gap.received, gap.sent) for gap in gaps_of(tmp_path, 3)] == [(5, 0)]
    assert [(gap.received, gap.sent) for gap in gaps_of(tmp_path, 2)] == [(0, 0)]
    assert gaps_of(tmp_path, 5) == []
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as index:
        told = index.execute("SELECT received, sent, connections FROM gaps WHERE conn = 0").fetchall()
        assert told == [(4, 0, 1)]
        assert index.execute("SELECT conn, closed IS NULL FROM connections").fetchall() == [
            (1, 0), (2, 0), (3, 1), (5, 1)
        ]  # fmt: skip
    assert check(os.fspath(tmp_path)).whole


def test_a_gap_in_a_later_run_is_told_of_the_right_connections(tmp_path: Path, disk: Disk) -> None:
    record(tmp_path, [opened(conn) for conn in range(1, 4)])
    kept = store(tmp_path)
    assert kept.base == 3
    kept.flush(blocks(opened(4), received(4, b"a"), opened(7), received(7, b"b")))
    disk.room = 0
    kept.flush(blocks(received(4, b"lost"), received(7, b"gone!")))
    disk.room = None
    retry_now(kept)
    kept.flush(blocks(received(4, b"A"), received(7, b"B")))
    kept.close()
    assert data_of(tmp_path, 4) == (b"aA", b"")
    assert data_of(tmp_path, 7) == (b"bB", b"")
    assert [gap.received for gap in gaps_of(tmp_path, 4)] == [4]
    assert [gap.received for gap in gaps_of(tmp_path, 7)] == [5]


def test_a_gap_lasts_from_the_first_lost_event_to_the_first_kept(tmp_path: Path, disk: Disk) -> None:
    kept = store(tmp_path)
    kept.flush(blocks(opened(1)))
    disk.room = 0
    kept.flush(blocks(received(1, b"x", at=2_000_000_000)))
    disk.room = None
    retry_now(kept)
    kept.flush(blocks(received(1, b"y", at=5_500_000_000)))
    kept.close()
    (gap,) = gaps_of(tmp_path, 1)
    assert (gap.duration, gap.at % 10_000_000_000) == (3.5, 5_500_000_000)


def test_the_gap_of_a_connection_that_closed_meanwhile_ends_with_it(tmp_path: Path, disk: Disk) -> None:
    kept = store(tmp_path)
    kept.flush(blocks(opened(1), opened(2)))
    disk.room = 0
    kept.flush(blocks(received(1, b"x", at=2_000_000_000), received(2, b"y", at=2_000_000_001)))
    kept.flush(blocks(closed(1, 1, 0, at=3_000_000_000)))
    disk.room = None
    retry_now(kept)
    kept.flush(blocks(received(2, b"z", at=9_000_000_000)))
    kept.close()
    assert [(gap.at - START_NS, gap.duration) for gap in gaps_of(tmp_path, 1)] == [(3_000_000_000, 1.0)]
    assert [(gap.at - START_NS, gap.duration) for gap in gaps_of(tmp_path, 2)] == [(9_000_000_000, 7.0)]


def test_it_is_tried_again_only_now_and_then(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    kept = store(tmp_path)
    disk.room = 0
    kept.flush(blocks(opened(1)))
    disk.room = None
    kept.flush(blocks(received(1, b"x")))
    assert waits(kept)
    clock[0] += store_module.RETRY_S
    kept.flush({})
    assert not waits(kept)
    kept.close()
    assert [gap.received for gap in gaps_of(tmp_path, 1)] == [1]


def test_room_that_comes_back_before_the_end_is_used(tmp_path: Path, disk: Disk) -> None:
    kept = store(tmp_path)
    kept.flush(blocks(opened(1)))
    disk.room = 0
    kept.flush(blocks(received(1, b"x" * 9), closed(1, 9, 0)))
    disk.room = None
    kept.close()
    assert [gap.received for gap in gaps_of(tmp_path, 1)] == [9]


def test_a_disk_that_is_full_to_the_end(tmp_path: Path, disk: Disk) -> None:
    kept = store(tmp_path)
    kept.flush(blocks(opened(1), received(1, b"kept")))
    disk.room = 0
    kept.flush(blocks(received(1, b"lost"), closed(1, 8, 0)))
    kept.close()
    disk.room = None
    assert data_of(tmp_path, 1) == (b"kept", b"")
    record(tmp_path)  # and the folder can be recorded in again


def test_a_disk_that_is_full_at_the_start(tmp_path: Path, disk: Disk) -> None:
    disk.room = 0
    with pytest.raises(PortsideError, match=r"cannot record to .*: No space left on device"):
        store(tmp_path)
    assert not segment(tmp_path).exists()
    disk.room = None
    record(tmp_path, [opened(1)])
    assert [row[3] for row in extents(tmp_path)] == [0, 1]


def test_a_segment_that_cannot_be_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Disk) -> None:
    monkeypatch.setattr(store_module, "SEGMENT_BYTES", 500)
    kept = store(tmp_path)
    kept.flush(blocks(opened(1), received(1, b"a" * 500)))
    disk.room = 0
    kept.flush(blocks(received(1, b"b" * 100)))
    assert not segment(tmp_path, 2).exists()
    disk.room = None
    retry_now(kept)
    kept.flush(blocks(received(1, b"c" * 100)))
    kept.close()
    assert segment(tmp_path, 2).exists()
    assert data_of(tmp_path, 1)[0] == b"a" * 500 + b"c" * 100


def test_segments_that_somebody_put_there_are_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SEGMENT_BYTES", 100)
    kept = store(tmp_path)
    segment(tmp_path, 2).write_bytes(b"precious")
    kept.flush(blocks(opened(1), received(1, b"a" * 100)))
    kept.flush(blocks(received(1, b"b" * 100)))
    kept.close()
    assert segment(tmp_path, 2).read_bytes() == b"precious"
    assert 2 not in {row[0] for row in extents(tmp_path)}


def test_a_segment_that_somebody_removes_is_not_written_on(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.flush(blocks(opened(1), received(1, b"gone")))
    segment(tmp_path).unlink()
    kept.flush(blocks(received(1, b"kept")))
    kept.close()
    assert data_of(tmp_path, 1) == (b"kept", b"")
    assert check(os.fspath(tmp_path)).missing == [1]


def test_the_whole_folder_is_removed(tmp_path: Path) -> None:
    troubles: Troubles = []
    kept = store(tmp_path / "folder", troubles=troubles)
    for path in (tmp_path / "folder").iterdir():
        path.unlink()
    (tmp_path / "folder").rmdir()
    for _ in range(3):
        retry_now(kept)
        kept.flush(blocks(opened(1)))
    kept.close()
    assert troubles == [("recording", f"[Errno 2] No such file or directory: '{tmp_path}/folder/segment-000002'")]


def test_sync_means_fdatasync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, int]] = []

    def fdatasync(fd: int) -> None:
        synced.append((os.path.basename(os.readlink(f"/proc/self/fd/{fd}")), os.fstat(fd).st_size))

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    monkeypatch.setattr(os, "fsync", fdatasync)
    kept = store(tmp_path, sync=True)
    assert [name for name, _ in synced] == [tmp_path.name, "segment-000001"]
    synced.clear()
    kept.flush(blocks(opened(1), received(1, b"x" * 1000)))
    assert synced == [("segment-000001", segment(tmp_path).stat().st_size)]
    kept.close()
    synced.clear()
    record(tmp_path, [opened(1)])
    assert synced == [], "without --record-sync the disk takes its time"


def test_a_disk_that_fails_to_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = store(tmp_path, sync=True)
    kept.flush(blocks(opened(1)))
    size = segment(tmp_path).stat().st_size

    def fails(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        kept.flush(blocks(received(1, b"x")))
    assert segment(tmp_path).stat().st_size == size
    kept.close()
    assert [gap.why for gap in gaps_of(tmp_path, 1)] == ["Input/output error"]


def test_an_index_that_somebody_has_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portside.record.index.BUSY_S", 0.01)
    troubles: Troubles = []
    kept = store(tmp_path, troubles=troubles)
    with closing(sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        kept.flush(blocks(opened(1), received(1, b"a")))
        assert waits(kept)
        retry_now(kept)
        kept.flush(blocks(received(1, b"b")))
        other.execute("COMMIT")
    retry_now(kept)
    kept.flush(blocks(received(1, b"c"), closed(1, 3, 0)))
    assert not waits(kept)
    kept.close()
    assert troubles == [("the recording's index", "database is locked"), ("the recording's index", None)]
    assert data_of(tmp_path, 1) == (b"abc", b"")
    assert gaps_of(tmp_path, 1) == []
    assert check(os.fspath(tmp_path)).whole


def test_a_mistake_of_ours_is_a_gap_and_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    troubles: Troubles = []
    kept = store(tmp_path, troubles=troubles)
    kept.flush(blocks(opened(1), received(1, b"a")))

    def fails(*_: object, **__: object) -> list[bytes]:
        raise KeyError("oops")

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "encode_block", fails)
        kept.flush(blocks(received(1, b"b")))
    retry_now(kept)
    kept.flush(blocks(received(1, b"c")))
    kept.close()
    assert [what for what, _ in troubles] == ["recording", "recording"]
    assert troubles[0][1] is not None
    assert "internal error, KeyError" in troubles[0][1]
    assert data_of(tmp_path, 1) == (b"ac", b"")


def test_a_mistake_of_ours_in_the_index_is_said_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles: Troubles = []
    kept = store(tmp_path, troubles=troubles)

    def fails(*_: object) -> None:
        raise KeyError("oops")

    with monkeypatch.context() as patch:
        patch.setattr(index_writer_module, "add", fails)
        kept.flush(blocks(opened(1), received(1, b"a")))
        patch.setattr(index_writer_module, "catch_up", fails)
        retry_now(kept)
        kept.flush(blocks(received(1, b"b")))
    kept.close()
    assert [what for what, _ in troubles] == ["the recording's index"] * 2
    assert data_of(tmp_path, 1) == (b"ab", b"")


def test_a_block_that_would_be_too_large_is_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_BLOCK_BYTES", 4096)
    data = os.urandom(50_000)
    pieces = [received(1, data[at : at + 1000], at=at) for at in range(0, 50_000, 1000)]
    record(tmp_path, [opened(1), *pieces, closed(1, 50_000, 0)])
    assert len(extents(tmp_path)) > 10
    assert data_of(tmp_path, 1) == (data, b"")
    assert check(os.fspath(tmp_path)).whole


def test_what_cannot_be_opened_is_let_go(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"garbage" * 1000)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(PortsideError, match="file is not a database") as raised:
            store(tmp_path)
        assert raised.value.hint == f"portside rec check {tmp_path}"
    assert len(os.listdir("/proc/self/fd")) == before


def test_two_stores_in_one_folder(tmp_path: Path) -> None:
    kept = store(tmp_path)
    with pytest.raises(PortsideError, match="another server is recording there"):
        store(tmp_path)
    kept.close()
    record(tmp_path)


def test_many_buffers_and_short_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwritev
    monkeypatch.setattr(os, "pwritev", lambda fd, buffers, offset: write(fd, [b"".join(buffers)[:7001]], offset))
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    data = [bytes([number % 251]) * (number % 97) for number in range(2000)]
    assert segment_writer_module.write_at(fd, data, 5) == 5 + sum(map(len, data))
    os.close(fd)
    assert (tmp_path / "file").read_bytes()[5:] == b"".join(data)


def test_the_index_may_wait_while_more_is_to_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_writer_module, "INDEX_S", 1000.0)
    kept = store(tmp_path)
    kept.flush(blocks(opened(1), received(1, b"one")))
    kept.flush(blocks(received(1, b"two")), lambda: True)
    with closing(sqlite3.connect(f"{tmp_path}/index.sqlite")) as index:
        count = "SELECT sum(received) FROM extents"
        assert index.execute(count).fetchone() == (3,)
        kept.flush(blocks(received(1, b"three")))
        assert index.execute(count).fetchone() == (11,)
        kept.flush(blocks(received(1, b"four")), lambda: True)
    kept.close()
    assert data_of(tmp_path, 1)[0] == b"onetwothreefour"


MEGABYTE = 1 << 20


def test_room_is_set_aside_for_much_and_given_back(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.flush(blocks(opened(1), received(1, b"little")))
    assert disk_bytes(tmp_path) < MEGABYTE
    kept.flush(blocks(received(1, bytes(MEGABYTE))))
    assert disk_bytes(tmp_path) > 8 * MEGABYTE
    assert segment(tmp_path).stat().st_size < 2 * MEGABYTE
    kept.close()
    assert disk_bytes(tmp_path) < 2 * MEGABYTE
    assert data_of(tmp_path, 1) == (b"little" + bytes(MEGABYTE), b"")


def test_room_that_a_killed_run_had_set_aside_is_given_back_by_the_next(tmp_path: Path) -> None:
    killed = os.fork()
    if not killed:
        store(tmp_path).flush(blocks(opened(1), received(1, bytes(MEGABYTE))))
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(killed, 0)[1] == signal.SIGKILL
    assert disk_bytes(tmp_path) > 8 * MEGABYTE
    store(tmp_path).close()
    assert disk_bytes(tmp_path) < 2 * MEGABYTE
    assert data_of(tmp_path, 1) == (bytes(MEGABYTE), b"")


def test_what_was_found_before_there_was_no_more_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reserve_half(fd: int, offset: int, size: int) -> None:  # as ext4 does on a disk that is nearly full
        preallocate(fd, offset, size // 2)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fallocate_module, "preallocate", reserve_half)
    kept = store(tmp_path)
    kept.flush(blocks(opened(1), received(1, bytes(MEGABYTE))))
    assert disk_bytes(tmp_path) < 2 * MEGABYTE
    kept.close()
    assert data_of(tmp_path, 1) == (bytes(MEGABYTE), b"")


def test_an_index_without_room_has_what_was_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(index_writer_module, "add", no_room)
        kept.flush(blocks(opened(1), received(1, bytes(MEGABYTE))))
    assert waits(kept)
    assert disk_bytes(tmp_path) < 2 * MEGABYTE
    retry_now(kept)
    kept.close()
    assert data_of(tmp_path, 1) == (bytes(MEGABYTE), b"")


def test_where_room_is_scarce_none_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallocate_module, "_SCARCE_BYTES", 1 << 60)
    kept = store(tmp_path)
    kept.flush(blocks(opened(1), received(1, bytes(MEGABYTE))))
    assert disk_bytes(tmp_path) < 2 * MEGABYTE
    kept.close()


def test_room_is_given_back_before_the_index_asks_for_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, [opened(1)])
    with open(segment(tmp_path), "r+b") as file:
        preallocate(file.fileno(), 0, 16 * MEGABYTE)
    monkeypatch.setattr(store_module, "open_index", no_room)
    with pytest.raises(PortsideError, match="full"):
        store(tmp_path)
    assert disk_bytes(tmp_path) < MEGABYTE


def no_room(*_: object, **__: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_a_file_system_that_sets_no_room_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fallocate_module, "preallocate", refuse)
    kept = store(tmp_path)
    kept.flush(blocks(opened(1), received(1, bytes(MEGABYTE))))
    kept.close()
    assert data_of(tmp_path, 1) == (bytes(MEGABYTE), b"")
