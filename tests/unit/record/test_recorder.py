"""The recorder: its thread, back-pressure, and what becomes of everybody when it dies."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from recording_files import Troubles, closed, data_of, opened, peer, received, record, sent, store
from support import DEADLINE_S, wait_until

from portside.events import Event, HalfClosed, Listening, Refused
from portside.record import recorder as recorder_module
from portside.record.block_builder import BlockBuilder
from portside.record.recorder import HIGH_BYTES, LOW_BYTES, Recorder
from portside.record.recording import Recording
from portside.record.store import Store


def test_everything_is_kept(tmp_path: Path) -> None:
    recorder = Recorder(store(tmp_path))
    recorder.consume([Listening(1, "127.0.0.1:1"), opened(1), received(1, b"a"), sent(1, b"b")])
    recorder.tick()
    recorder.consume([HalfClosed(2, 1, peer(1)), Refused(3, "p", "denied"), received(1, b"c"), closed(1, 2, 1)])
    recorder.close()
    assert recorder.deadline is None
    assert data_of(tmp_path, 1) == (b"ac", b"b")
    with Recording(os.fspath(tmp_path)) as recording:
        assert {event.event for event in recording.all_events()} == {
            "listening", "opened", "received", "sent", "half_closed", "refused", "closed"
        }  # fmt: skip


def test_it_is_on_disk_within_100_ms(tmp_path: Path) -> None:
    recorder = Recorder(store(tmp_path))
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as index:
        query = "SELECT coalesce(sum(received), 0) FROM extents WHERE conn = 1"
        delays = []

        def kept(size: int) -> bool:
            return bool(index.execute(query).fetchone()[0] == size)

        for number in range(1, 100):  # on a slow machine not each time
            began = time.monotonic()
            recorder.consume([received(1, b"x")])
            wait_until(partial(kept, number), "the flush")
            delays.append(time.monotonic() - began)
            if delays[-1] < 0.1:
                break
    recorder.close()
    assert min(delays) < 0.1


def test_numbers_go_on_over_runs_and_clocks_may_go_backwards(tmp_path: Path) -> None:
    for run in range(4):
        recorder = Recorder(store(tmp_path))
        back = -run * 3600 * 10**9
        for conn in (recorder.last_conn + 1, recorder.last_conn + 2):
            data = b"run %d, %d" % (run, conn)
            recorder.consume([opened(conn, back), received(conn, data, back - 5), closed(conn, len(data), 0, back - 9)])
        recorder.close()
    with Recording(os.fspath(tmp_path)) as recording:
        assert [recorded.conn for recorded in recording.connections()] == list(range(1, 9))
        for conn in range(1, 9):
            events = list(recording.events(conn))
            assert [event.event for event in events] == ["opened", "received", "closed"]
            assert {getattr(event, "conn", None) for event in events} == {conn}
        assert len(list(recording.all_events())) == 24
    assert data_of(tmp_path, 6) == (b"run 2, 6", b"")


class Gate:
    """A disk that takes nothing until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self._write = os.pwritev
        monkeypatch.setattr(os, "pwritev", self)

    def __call__(self, fd: int, buffers: list[bytes], offset: int) -> int:
        assert self.opened.wait(DEADLINE_S)
        return self._write(fd, buffers, offset)


def test_a_slow_disk_is_felt_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = store(tmp_path)
    gate = Gate(monkeypatch)
    room = threading.Event()
    recorder = Recorder(kept, room.set)
    recorder.consume([opened(1)])
    data, count = b"x" * 65536, 0
    while not recorder.full:
        recorder.consume([received(1, data)])
        count += 1
        assert count * len(data) <= HIGH_BYTES + len(data)
    recorder.request_drain()
    assert not room.is_set()
    waited = threading.Thread(target=recorder.wait_drained)
    waited.start()
    gate.opened.set()
    assert room.wait(DEADLINE_S)
    waited.join(DEADLINE_S)
    assert not waited.is_alive()
    assert recorder._pending <= LOW_BYTES
    room.clear()
    recorder.request_drain()  # it is told at once where there is room
    assert room.wait(DEADLINE_S)
    recorder.close()
    assert data_of(tmp_path, 1)[0] == data * count


def test_a_moment_passes_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "FULL_WAIT_S", DEADLINE_S)
    kept = store(tmp_path)
    gate = Gate(monkeypatch)
    recorder = Recorder(kept)
    data, full_after = b"x" * 65536, []

    def feed() -> None:
        for _ in range(HIGH_BYTES // len(data) + 1):
            recorder.consume([received(1, data)])
        full_after.append(recorder.full)

    feeder = threading.Thread(target=feed)
    feeder.start()
    wait_until(lambda: is_full(recorder), "much to wait")
    gate.opened.set()
    feeder.join(DEADLINE_S)
    assert full_after == [False]
    recorder.close()


def test_nothing_is_waited_for_by_those_who_have_asked_for_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store(tmp_path)
    gate = Gate(monkeypatch)
    room = threading.Event()
    recorder = Recorder(kept, room.set)
    recorder.consume([received(1, b"x" * HIGH_BYTES)])
    recorder.request_drain()
    with monkeypatch.context() as patch:
        patch.setattr(recorder._changed, "wait_for", fails)
        recorder.consume([closed(1, HIGH_BYTES, 0)])
    assert is_full(recorder)
    gate.opened.set()
    assert room.wait(DEADLINE_S)
    recorder.close()


def test_many_small_events_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = store(tmp_path)
    gate = Gate(monkeypatch)
    recorder = Recorder(kept)
    count, batch = 0, [received(1, b"")] * 1000
    while not recorder.full:
        recorder.consume(batch)
        count += 1000
    assert count < 200_000
    gate.opened.set()
    recorder.close()


def is_full(recorder: Recorder) -> bool:
    return recorder.full


def fails(*_: object) -> None:
    raise KeyError("oops")


def test_a_thread_that_dies_says_so_and_hangs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    troubles: Troubles = []
    kept = store(tmp_path, troubles=troubles)
    gate = threading.Event()

    def waits_and_fails(*_: object) -> None:
        assert gate.wait(DEADLINE_S)
        fails()

    monkeypatch.setattr(Store, "flush", waits_and_fails)
    room = threading.Event()
    recorder = Recorder(kept, room.set)
    data = b"x" * 1_000_000
    while not is_full(recorder):
        recorder.consume([received(1, data)])
    recorder.request_drain()
    gate.set()
    recorder.wait_drained()
    assert room.wait(DEADLINE_S)
    recorder._thread.join(DEADLINE_S)
    room.clear()
    for _ in range(100):
        recorder.consume([received(1, data)])
    assert not is_full(recorder)
    assert not recorder._blocks, "what it cannot keep it does not hold"
    recorder.request_drain()
    assert room.is_set()
    recorder.close()
    ((what, why),) = troubles
    assert what == "recording any more"
    assert why is not None
    assert "KeyError" in why
    monkeypatch.undo()
    record(tmp_path)  # the folder is free


def test_it_fails_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    troubles: Troubles = []
    recorder = Recorder(store(tmp_path, troubles=troubles))
    monkeypatch.setattr(Store, "retries", property(lambda _: True))
    monkeypatch.setattr(Store, "_after_outage", fails)
    monkeypatch.setattr(Store, "flush", fails)
    recorder.close()
    assert [what for what, _ in troubles] == ["recording any more"]
    monkeypatch.undo()
    record(tmp_path)


def test_whoever_wants_room_may_be_gone(tmp_path: Path) -> None:
    def gone() -> None:
        raise RuntimeError("Event loop is closed")

    recorder = Recorder(store(tmp_path), gone)
    recorder.consume([opened(1)])
    recorder.request_drain()
    recorder.wait_drained()
    wait_until(lambda: not recorder._drain_requested, "the recorder")
    recorder.consume([received(1, b"still kept")])
    recorder.close()
    assert data_of(tmp_path, 1) == (b"still kept", b"")


@pytest.mark.parametrize("threads", [4])
def test_from_several_threads(tmp_path: Path, threads: int) -> None:
    recorder = Recorder(store(tmp_path))

    def feed(conn: int) -> None:
        recorder.consume([opened(conn)])
        for number in range(300):
            recorder.consume([received(conn, b"%d," % number)])

    feeders = [threading.Thread(target=feed, args=(conn,)) for conn in range(1, threads + 1)]
    for feeder in feeders:
        feeder.start()
    for feeder in feeders:
        feeder.join(DEADLINE_S)
    recorder.close()
    expected = b"".join(b"%d," % number for number in range(300))
    assert [data_of(tmp_path, conn)[0] for conn in range(1, threads + 1)] == [expected] * threads


def test_20_000_connections(tmp_path: Path) -> None:
    recorder = Recorder(store(tmp_path))
    batch: list[Event] = []
    for conn in range(1, 20_001):
        data = b"hello %d" % conn
        batch += [opened(conn, conn), received(conn, data, conn), closed(conn, len(data), 0, conn)]
        if len(batch) > 500:
            recorder.wait_drained()
            recorder.consume(batch)
            batch = []
    recorder.consume(batch)
    recorder.close()
    with Recording(os.fspath(tmp_path)) as recording:
        listed = list(recording.connections())
        assert [recorded.conn for recorded in listed] == list(range(1, 20_001))
        assert all(recorded.received == len(b"hello %d" % recorded.conn) for recorded in listed)
        assert b"".join(recording.data(19_999, "in")) == b"hello 19999"  # type: ignore[arg-type]
    record(tmp_path, [opened(20_001)])


def test_what_is_collected_is_flushed_early_when_it_is_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "FLUSH_S", DEADLINE_S)
    kept = store(tmp_path)
    flushed = threading.Event()
    flush = kept.flush

    def flush_and_tell(blocks: dict[int, BlockBuilder], more: Callable[[], bool]) -> None:
        flush(blocks, more)
        flushed.set()

    monkeypatch.setattr(kept, "flush", flush_and_tell)
    recorder = Recorder(kept)
    recorder.consume([received(1, b"x")])
    recorder.consume([received(1, b"x" * recorder_module.FLUSH_BYTES)])
    assert flushed.wait(DEADLINE_S / 2)
    recorder.close()
