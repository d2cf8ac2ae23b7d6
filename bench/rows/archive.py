"""Recordings that have become large: listing, opening, exporting."""

import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench import peers
from bench.disk import folder_on_disk, warm
from bench.report import Bar, Result
from bench.rows import Plan
from bench.rows.command import to_a_file
from portside.events import Closed, Event, Opened, Received
from portside.record.recorder import Recorder
from portside.record.store import Store

CONNECTIONS = 100_000
EXPORT_BYTES, READ_BYTES = 1_000_000_000, 250_000
PAYLOAD = b"QQQQ" * 16
MOST_MB = 200


def listing(plan: Plan) -> Iterator[Result]:
    """`rec list` of many connections, and `rec show` of one of them."""
    count = plan.some(CONNECTIONS)
    with folder_on_disk() as folder:
        _many(folder, count)
        command = [peers.PORTSIDE, "rec"]
        times = plan.by_turns(
            {
                "list": partial(to_a_file, [*command, "list", folder], b"peer_closed", count),
                "show": partial(to_a_file, [*command, "show", folder, str(count // 2)], b"QQQQ", 1),
            },
            plan.runs * 2,
        )
    bars = {"list": Bar(1000, at_most=True, absolute=True), "show": Bar(100, at_most=True, absolute=True)}
    for name, words in (("list", f"rec list of {count:,} connections"), ("show", "rec show of one of them")):
        yield Result(f"{words} > file", "ms", times[name], bar=bars[name], note=NOTE)


def export(plan: Plan) -> Iterator[Result]:
    """A recording as a file for Wireshark."""
    size = plan.some(EXPORT_BYTES)
    with folder_on_disk() as folder:
        recording = os.path.join(folder, "recording")
        _large(recording, size)
        segments = sorted(map(str, Path(recording).glob("segment-*")))
        memory: list[float] = []
        times = plan.by_turns(
            {"export": partial(_export, folder, recording, memory), "cp": partial(_copy, folder, segments)}
        )
    mine, theirs = ([size / 1e9 / seconds for seconds in of] for of in times.values())
    row = f"rec export of {size / 1e9:g} GB to pcapng"
    yield Result(row, "GB/s", mine, "cp of the recording", theirs, Bar(0.4), NOTE)
    yield Result(f"{row}: memory", "MB", memory, bar=Bar(MOST_MB, at_most=True, absolute=True), note=NOTE)


def _many(folder: str, count: int) -> None:
    recorder = Recorder(Store(folder, version="bench"))
    for first in range(1, count + 1, 1000):
        events: list[Event] = []
        for conn in range(first, min(first + 1000, count + 1)):
            peer, at = f"127.0.0.1:{10_000 + conn % 50_000}", time.time_ns()
            events.append(Opened(at, conn, peer, "127.0.0.1:12345"))
            events.append(Received(at, conn, peer, PAYLOAD))
            events.append(Closed(at, conn, peer, "peer_closed", len(PAYLOAD), 0, 0.001))
        recorder.consume(events)
        recorder.wait_drained()
    recorder.close()


def _large(folder: str, size: int) -> None:
    """One connection's worth of reads as large as the server's."""
    recorder = Recorder(Store(folder, version="bench"))
    peer, block = "127.0.0.1:33406", os.urandom(READ_BYTES)
    recorder.consume([Opened(time.time_ns(), 1, peer, "127.0.0.1:12345")])
    for _ in range(size // READ_BYTES):
        recorder.consume([Received(time.time_ns(), 1, peer, block)])
        recorder.wait_drained()
    recorder.consume([Closed(time.time_ns(), 1, peer, "peer_closed", size, 0, 1.0)])
    recorder.close()


def _export(folder: str, recording: str, memory: list[float]) -> float:
    """Seconds; the most memory of the process in MB goes to ``memory``."""
    target = os.path.join(folder, "all.pcapng")
    os.sync()
    warm(folder, EXPORT_BYTES)
    start = time.perf_counter()
    process = subprocess.Popen([peers.PORTSIDE, "rec", "export", recording, target], env=peers.ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = status
    if status or os.path.getsize(target) < EXPORT_BYTES // 100:
        raise RuntimeError(f"the export ended with {status}")
    memory.append(usage.ru_maxrss * 1024 / 1e6)
    os.unlink(target)
    return seconds


def _copy(folder: str, segments: list[str]) -> float:
    target = os.path.join(folder, "copy")
    os.mkdir(target)
    os.sync()
    warm(folder, EXPORT_BYTES)
    start = time.perf_counter()
    subprocess.run(["cp", *segments, target], check=True)
    seconds = time.perf_counter() - start
    for name in os.listdir(target):
        os.unlink(os.path.join(target, name))
    os.rmdir(target)
    return seconds


NOTE = "From the start of the process to its end, Python's own start included."
