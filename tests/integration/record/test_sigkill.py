"""SIGKILL at 100 random moments under load: what is kept is an exact prefix of what was sent, each time."""

import itertools
import mmap
import os
import random
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import Start
from recording_files import closed, opened, received, sent
from support import DEADLINE_S, connect, wait_until

from portside.events import Event, Gap
from portside.record import store as store_module
from portside.record.check import check
from portside.record.recorder import Recorder
from portside.record.recording import Recording
from portside.record.store import Store

IN_PROCESS, SERVERS = 80, 20
RUNS_OF_A_FOLDER = 5  # killed one after the other on the same folder
CONNS = 6
_PERIOD = 1 << 20


class Sum:
    """Of this run: how often something was killed, and of how many of these what was kept held; bytes sent and kept."""

    killed = held = sent = kept = 0


@pytest.fixture(scope="module")
def total() -> Iterator[Sum]:
    """Told at the end (`pytest -s`)."""
    total = Sum()
    yield total
    print(f"SIGKILL: {total.held} of {total.killed} held, {total.sent:,} B sent, {total.kept:,} B kept")


class Pattern:
    """An endless stream of which every position within a megabyte is different."""

    def __init__(self, name: str) -> None:
        self._tile = b"".join(b"%s.%07d " % (name.encode(), at) for at in range(_PERIOD // 12))

    def at(self, start: int, size: int) -> bytes:
        """So many bytes from a position on."""
        start %= len(self._tile)
        times = (start + size) // len(self._tile) + 1
        return (self._tile * times)[start : start + size]

    def is_prefix(self, pieces: list[bytes]) -> bool:
        return self.position(pieces, 0) is not None

    def position(self, pieces: list[bytes], at: int) -> int | None:
        for piece in pieces:
            if self.at(at, len(piece)) != piece:
                return None
            at += len(piece)
        return at


PATTERNS = {(conn, way): Pattern(f"{conn:02d}{way}") for conn in range(1, CONNS + 1) for way in "<>"}


class Counters:
    """Bytes handed over, for each connection and direction, seen by whoever outlives the process that counts.

    A number is stored at once; ``struct.pack_into`` writes zeros first, and SIGKILL may come behind them.
    """

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, 8 * 2 * CONNS)).cast("q")

    def reset(self) -> None:
        for place in range(2 * CONNS):
            self._numbers[place] = 0

    def get(self, conn: int, way: int) -> int:
        return self._numbers[2 * (conn - 1) + way]

    def add(self, conn: int, way: int, size: int) -> None:
        self._numbers[2 * (conn - 1) + way] += size

    def sum(self) -> int:
        return sum(self._numbers)


def load(path: str, seed: int, counters: Counters, ready: int) -> None:
    """In a child: record as fast as it goes, until it is killed."""
    generator = random.Random(seed)
    store_module.SEGMENT_BYTES = generator.choice((20_000, 1 << 20, 64 << 20))
    recorder = Recorder(Store(path, version="killed", sync=generator.random() < 0.3))
    base = recorder.last_conn
    recorder.consume([opened(base + conn) for conn in range(1, CONNS + 1)])
    os.write(ready, b"!")
    sizes = generator.choice(((1, 64), (1, 3000), (1, 60_000)))
    for turn in itertools.count(1):
        batch: list[Event] = []
        for _ in range(generator.randint(1, 40)):
            conn, way = generator.randint(1, CONNS), generator.randint(0, 1)
            start, size = counters.get(conn, way), generator.randint(*sizes)
            data = PATTERNS[conn, "<>"[way]].at(start, size)
            counters.add(conn, way, size)
            batch.append((sent if way else received)(base + conn, data, turn))
        if turn % 50 == 0:  # others come and go
            batch += [
                opened(base + CONNS + turn, turn),
                received(base + CONNS + turn, b"short", turn),
                closed(base + CONNS + turn, 5, 0, turn),
            ]
        recorder.wait_drained()
        recorder.consume(batch)


def killed_child(path: Path, seed: int, counters: Counters, moment_s: float) -> None:
    counters.reset()
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        with suppress(BaseException):
            os.close(reader)
            load(os.fspath(path), seed, counters, writer)
        os._exit(1)
    try:
        os.close(writer)
        assert os.read(reader, 1) == b"!", "the child did not begin"
        threading.Event().wait(moment_s)  # the random moment
    finally:
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        os.close(reader)


def pieces_of(recording: Recording, conn: int, direction: Any) -> list[bytes]:
    """What is kept of a connection; nothing may be missing between its pieces."""
    pieces = []
    for piece in recording.data(conn, direction):
        assert not isinstance(piece, Gap), piece
        pieces.append(piece)
    return pieces


def test_80_recorders(tmp_path: Path, total: Sum) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    generator = random.Random(seed)
    counters = Counters()
    for folder in range(IN_PROCESS // RUNS_OF_A_FOLDER):
        path, base = tmp_path / f"{folder}", 0
        before: dict[int, tuple[int, int]] = {}
        for run in range(RUNS_OF_A_FOLDER):
            moment_s = generator.choice((0.0, 0.005, 0.06, 0.12, 0.3)) * generator.random()
            killed_child(path, generator.getrandbits(32), counters, moment_s)
            total.killed += 1
            total.sent += counters.sum()
            if generator.random() < 0.3:
                shutil.copytree(path, path.with_suffix(f".{run}"))  # rebuilt from the segments alone, later
            with Recording(os.fspath(path)) as recording:
                assert all(each.torn for each in recording.found), recording.found
                sizes = {each.conn: (each.received, each.sent) for each in recording.connections()}
                assert before.items() <= sizes.items(), "an earlier run's connections stay what they were"
                for conn in range(1, CONNS + 1):
                    if base + conn not in sizes:
                        continue
                    for way, direction in enumerate(("in", "out")):
                        pieces = pieces_of(recording, base + conn, direction)
                        size = sum(map(len, pieces))
                        assert PATTERNS[conn, "<>"[way]].is_prefix(pieces), (folder, run, conn, direction)
                        assert size <= counters.get(conn, way)
                        total.kept += size
                total.held += 1
                before, base = sizes, max(sizes, default=0)
        assert check(os.fspath(path)).whole
        for copy in tmp_path.glob(f"{folder}.*"):
            for index in copy.glob("index.sqlite*"):
                index.unlink()
            report = check(os.fspath(copy))
            assert report.rebuilt
            assert all(each.torn for each in report.found)
            assert report.incomplete == []
            assert check(os.fspath(copy)).whole
            shutil.rmtree(copy)
        shutil.rmtree(path)
    assert total.kept


class Client:
    """Sends a pattern and takes what it gets, until the server is gone."""

    def __init__(self, port: int, number: int) -> None:
        self.socket = connect(port)
        self.name = "{}:{}".format(*self.socket.getsockname())
        self.pattern = PATTERNS[number, "<"]
        self.sent = 0
        self.got = bytearray()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._send, self._take)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        generator = random.Random(self.name)
        with suppress(OSError):
            while True:
                data = self.pattern.at(self.sent, generator.choice((10, 1000, 100_000)))
                self.sent += len(data)  # at most
                self.socket.sendall(data)

    def _take(self) -> None:
        with suppress(OSError):
            while data := self.socket.recv(1 << 16):
                self.got += data

    def end(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE_S)
        self.socket.close()


def keeps_both_directions(path: Path) -> bool:
    with Recording(os.fspath(path)) as recording:
        return any(each.received and each.sent for each in recording.connections())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(4))
def test_20_servers(start: Start, tmp_path: Path, part: int, total: Sum) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    generator = random.Random(seed)
    shown = Pattern("stdin")
    (tmp_path / "stdin").write_bytes(shown.at(0, 30_000_000))
    kept_out = 0
    for run in range(SERVERS // 4):
        path = tmp_path / ("recording" if part % 2 else f"recording-{run}")
        with open(tmp_path / "stdin", "rb") as stdin, open(os.devnull, "wb") as null:
            words = ("listen", "127.0.0.1:0", "--format", "raw", "--record", os.fspath(path), "--stdin")
            server = start(*words, stdin=stdin, stdout=null)
            clients = [Client(server.port, number) for number in range(1, CONNS + 1)]
            if not run:  # so that at least one is killed when both directions are on disk
                wait_until(partial(keeps_both_directions, path), "something kept each way")
            threading.Event().wait(generator.random() * generator.choice((0.05, 0.5)))  # the random moment
            server.kill()
        for client in clients:
            client.end()
        total.killed += 1
        total.sent += sum(client.sent for client in clients)
        with Recording(os.fspath(path)) as recording:
            assert all(each.torn for each in recording.found), recording.found
            by_peer = {each.peer: each.conn for each in recording.connections()}
            for client in clients:
                if client.name not in by_peer:
                    continue
                pieces = pieces_of(recording, by_peer[client.name], "in")
                assert client.pattern.is_prefix(pieces), (run, client.name)
                total.kept += sum(map(len, pieces))
                out = b"".join(pieces_of(recording, by_peer[client.name], "out"))
                assert out.startswith(client.got[: len(out)]), (run, client.name)
                assert client.got.startswith(out[: len(client.got)]), (run, client.name)
                kept_out += len(out)
        assert check(os.fspath(path)).whole
        total.held += 1
    assert kept_out
