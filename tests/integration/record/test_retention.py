"""``--record-max``: the oldest closed connections go first, then the oldest bytes; the rest is byte-exact."""

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing as close_at_end
from pathlib import Path

import pytest
from conftest import Start
from recording_files import blocks as collected
from recording_files import (
    bytes_of,
    closed,
    data_of,
    disk_bytes,
    gaps_of,
    opened,
    pattern,
    received,
    record,
    remove_index,
    segment,
    sent,
    store,
)
from support import connect

from portside.events import Event, Gap
from portside.record.check import check
from portside.record.connection_record import ConnectionRecord
from portside.record.recording import Recording

LIMIT = 2 << 20


def listed(path: Path) -> dict[int, ConnectionRecord]:
    with Recording(os.fspath(path)) as recording:
        return {each.conn: each for each in recording.connections()}


def shorts(first: int, count: int, size: int) -> Iterator[list[Event]]:
    """Flushes of connections that come, say something both ways and go."""
    for conn in range(first, first + count, 20):
        events: list[Event] = []
        for each in range(conn, conn + 20):
            at = each * 1000
            events += [opened(each, at), received(each, pattern(each, size), at), sent(each, pattern(each, 50, 1), at)]
            events.append(closed(each, size, 50, at + 500))
        yield events


def record_below(path: Path, flushes: Iterator[list[Event]], limit: int = LIMIT) -> int:
    """Record, looking at the disk after each flush; what went through."""
    kept, through = store(path, most_bytes=limit), 0
    for events in flushes:
        kept.flush(collected(*events))
        flush = sum(len(getattr(event, "data", b"")) + 400 for event in events)
        through += flush
        assert disk_bytes(path) <= limit + flush + 8192
    kept.close()
    return through


@pytest.mark.parametrize("size", [100, 5000])
def test_many_short_connections(tmp_path: Path, size: int) -> None:
    count = 20_000 if size == 100 else 2000
    assert record_below(tmp_path, shorts(1, count, size)) > 3 * LIMIT
    left = listed(tmp_path)
    numbers = sorted(left)
    dropped = [conn for conn in numbers if left[conn].dropped]
    assert dropped
    assert dropped == numbers[: len(dropped)], "the oldest went first"
    kept = numbers[len(dropped) :]
    assert kept[-1] == count
    assert sum(left[conn].received for conn in kept) > (LIMIT // 8 if size == 100 else LIMIT // 2)
    with Recording(os.fspath(tmp_path)) as recording:
        for conn in kept[:: max(1, len(kept) // 100)]:
            assert bytes_of(recording, conn, "in") == pattern(conn, size)
            assert bytes_of(recording, conn, "out") == pattern(conn, 50, 1)
    report = check(os.fspath(tmp_path))
    assert report.whole
    assert report.incomplete == []
    remove_index(tmp_path)
    report = check(os.fspath(tmp_path))
    assert (report.found, report.missing, report.rebuilt) == ([], [], True)
    assert report.not_rebuilt[0] == "which connections --record-max gave up, and when"
    assert check(os.fspath(tmp_path)).whole
    assert data_of(tmp_path, kept[0]) == (pattern(kept[0], size), pattern(kept[0], 50, 1))


def endless(size: int) -> Iterator[list[Event]]:
    yield [opened(1)]
    data = pattern(1, size)
    for at in range(0, size, 40_000):
        yield [received(1, data[at : at + 40_000], at)]


def check_endless(path: Path, size: int) -> None:
    kept = data_of(path, 1)[0]
    assert pattern(1, size).endswith(kept)
    (gap,) = gaps_of(path, 1)
    assert gap.received + len(kept) == size
    report = check(os.fspath(path))
    assert report.whole
    assert report.incomplete == []
    with close_at_end(sqlite3.connect(path / "index.sqlite")) as index:
        assert index.execute("SELECT received, sent FROM given_up WHERE conn = 1").fetchone() == (gap.received, 0)


def test_one_endless_connection(tmp_path: Path) -> None:
    size = 5 * LIMIT
    record_below(tmp_path, endless(size))
    check_endless(tmp_path, size)
    assert len(data_of(tmp_path, 1)[0]) > LIMIT * 0.7
    remove_index(tmp_path)
    report = check(os.fspath(tmp_path))
    assert (report.found, report.missing) == ([], [])
    assert report.may_be_given_up
    assert [each.conn for each in report.incomplete] == [1]
    assert check(os.fspath(tmp_path)).whole


@pytest.mark.parametrize("flush_bytes", [40_000, 2 * LIMIT, 5 * LIMIT])
def test_of_one_transfer_that_is_larger_the_newest_stays(tmp_path: Path, flush_bytes: int) -> None:
    """Also when it has closed, and in flushes that are larger than the limit."""
    size = 5 * LIMIT
    data = pattern(1, size)
    record(
        tmp_path,
        [opened(1)],
        *([received(1, data[at : at + flush_bytes], at)] for at in range(0, size, flush_bytes)),
        [closed(1, size, 0, size)],
        most_bytes=LIMIT,
    )
    assert disk_bytes(tmp_path) <= LIMIT
    check_endless(tmp_path, size)
    assert len(data_of(tmp_path, 1)[0]) > LIMIT * 0.7
    assert listed(tmp_path)[1].dropped is None


def test_of_a_file_sent_to_a_server_the_end_can_be_read(start: Start, tmp_path: Path) -> None:
    folder = str(tmp_path / "rec")
    server = start("listen", "127.0.0.1:0", "--format", "json", "--record", folder, "--record-max", "1M")
    server.wait_for('"listening"')
    data = pattern(1, 8 << 20)
    with connect(server.port) as client:
        client.sendall(data)
    server.wait_for('"closed"')
    server.stop()
    command = [sys.executable, "-m", "portside", "rec"]
    cat = subprocess.run([*command, "cat", folder, "1"], capture_output=True, timeout=60, check=False)
    assert data.endswith(cat.stdout)
    assert len(cat.stdout) > 600_000
    assert cat.returncode == 1
    assert f"{len(data) - len(cat.stdout)} B" in cat.stderr.decode()
    shown = subprocess.run([*command, "list", folder], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "given up" not in shown


def test_a_large_transfer_that_has_closed_makes_room_from_its_beginning(tmp_path: Path) -> None:
    size = 3 * LIMIT
    data = pattern(1, size)
    kept = store(tmp_path, most_bytes=LIMIT)
    kept.flush(collected(opened(1), received(1, data), closed(1, size)))
    left = [len(data_of(tmp_path, 1)[0])]
    for conn in range(2, 20):
        kept.flush(collected(opened(conn), received(conn, pattern(conn, LIMIT // 16)), closed(conn, LIMIT // 16)))
        assert disk_bytes(tmp_path) <= LIMIT + LIMIT // 16 + 8192
        if not listed(tmp_path)[1].dropped:
            assert data.endswith(data_of(tmp_path, 1)[0])
            left.append(len(data_of(tmp_path, 1)[0]))
    kept.close()
    assert left == sorted(left, reverse=True)
    assert len(set(left)) > 5, "it goes piece by piece"
    assert listed(tmp_path)[1].dropped
    assert data_of(tmp_path, 19)[0] == pattern(19, LIMIT // 16)
    assert check(os.fspath(tmp_path)).whole


def test_both(tmp_path: Path) -> None:
    def both() -> Iterator[list[Event]]:
        size = 3 * LIMIT
        others = shorts(2, 3000, 300)
        for events in endless(size):
            yield events + next(others, [])

    record_below(tmp_path, both())
    check_endless(tmp_path, 3 * LIMIT)
    left = listed(tmp_path)
    assert all(each.dropped for each in left.values() if each.conn > 1 and each.conn < max(left) - 2000)


def test_no_more_is_given_up_than_must_be(tmp_path: Path) -> None:
    """Large connections go one by one."""
    limit = 8 << 20

    def large() -> Iterator[list[Event]]:
        for conn in range(1, 41):
            for at in range(0, 400_000, 100_000):
                yield [received(conn, pattern(conn, 400_000)[at : at + 100_000], conn)]
            yield [opened(conn, conn), closed(conn, 400_000, 0, conn)]

    record_below(tmp_path, large(), limit)
    left = [each for each in listed(tmp_path).values() if not each.dropped]
    assert sum(each.received for each in left) > limit * 0.85


def test_room_is_given_back_while_others_stay(tmp_path: Path) -> None:
    """Holes in the middle of segments: closed ones between the blocks of one that goes on."""

    def mixed() -> Iterator[list[Event]]:
        yield [opened(1)]
        for turn in range(2, 400):
            yield [
                received(1, pattern(1, 100 * 400)[100 * (turn - 2) : 100 * (turn - 1)]),
                opened(turn, turn), received(turn, pattern(turn, 20_000), turn), closed(turn, 20_000, 0, turn),
            ]  # fmt: skip

    record_below(tmp_path, mixed())
    assert data_of(tmp_path, 1)[0] == pattern(1, 100 * 398)
    assert gaps_of(tmp_path, 1) == []
    assert listed(tmp_path)[2].dropped
    assert not listed(tmp_path)[399].dropped
    remove_index(tmp_path)
    report = check(os.fspath(tmp_path))
    assert (report.found, report.incomplete, report.missing) == ([], [], [])
    assert data_of(tmp_path, 1)[0] == pattern(1, 100 * 398)
    assert data_of(tmp_path, 399)[0] == pattern(399, 20_000)


def test_a_limit_is_kept_over_runs(tmp_path: Path) -> None:
    for run in range(4):
        record(tmp_path, *shorts(1 + run * 400, 400, 5000), most_bytes=LIMIT)
        assert disk_bytes(tmp_path) <= LIMIT + 200_000
    assert max(listed(tmp_path)) == 1600


def test_a_reader_sees_what_is_given_up_meanwhile_as_missing(tmp_path: Path) -> None:
    kept = store(tmp_path, most_bytes=LIMIT)
    flushes = list(endless(3 * LIMIT))
    for events in flushes[:40]:
        kept.flush(collected(*events))
    with Recording(os.fspath(tmp_path)) as recording:
        pieces = recording.data(1, "in")
        seen = [next(pieces) for _ in range(3)]
        for number, events in enumerate(flushes[40:]):
            kept.flush(collected(*events))
            if number % 20 == 0:
                assert check(os.fspath(tmp_path)).whole
        seen += pieces
    at, truth = 0, pattern(1, 3 * LIMIT)
    for piece in seen:
        if isinstance(piece, Gap):
            at += piece.received
        else:
            assert truth[at : at + len(piece)] == piece
            at += len(piece)
    kept.close()


def test_what_sigkill_leaves_between_index_and_file_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is told first; the file follows."""
    monkeypatch.setattr("portside.record.retention.Retention._punch", lambda *_: None)
    monkeypatch.setattr(os, "unlink", lambda *_, **__: None)
    kept = store(tmp_path, most_bytes=1 << 20)
    generator = random.Random(1)
    monkeypatch.setattr(
        "portside.record.retention.Retention._used", lambda _: (1 << 20) + 1 if generator.random() < 0.5 else 0
    )
    for events in [*shorts(1, 400, 500), *endless(1 << 20)]:
        kept.flush(collected(*events))
    kept.close()
    monkeypatch.undo()
    report = check(os.fspath(tmp_path))
    assert report.unknown == []
    assert report.found == []
    assert segment(tmp_path).exists()
