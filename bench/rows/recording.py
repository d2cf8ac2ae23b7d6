"""What recording costs the server: lines and blocks of 50 clients, every byte of them checked for in the recording."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench import machine, peers
from bench.disk import fill, folder_on_disk, warm
from bench.report import Bar, Result
from bench.rows import Plan
from bench.rows.blocks import BLOCK_BYTES
from bench.server import Server, Work
from portside.record.recording import Recording

CLIENTS, LINE_BYTES = 50, 64
BLOCKS = 4_000
CAPTURE_LIMIT_S = 30


@dataclass(frozen=True)
class Kept:
    """How fast some bytes were kept, in GB/s of what passed, and which part of them was."""

    rate: float
    part: float = 1.0


def lines(plan: Plan) -> Iterator[Result]:
    """Lines of 64 bytes, with and without --record."""
    for mode, words in (("alone", "a line a segment"), ("lines", "a line a send()")):
        each = plan.some(10_000)
        works = plan.by_turns(
            {
                "recording": partial(_recorded, mode, each, LINE_BYTES),
                "without": partial(_unrecorded, mode, each),
            }
        )
        mine, theirs = ([CLIENTS * each / work.seconds for work in of] for of in works.values())
        row = f"{CLIENTS} clients, 64-byte lines, --record, raw to /dev/null, {words}"
        yield Result(row, "lines/s", mine, "the same without --record", theirs, Bar(0.7), NOTE, (*works.values(),))


def blocks(plan: Plan) -> Iterator[Result]:
    """Blocks of 256 kB, beside copying them into a file and capturing them."""
    count = plan.some(BLOCKS)
    size = count * BLOCK_BYTES
    turns = {"recording": partial(_recorded_blocks, count), "cat > file": partial(_copied, size)}
    if plan.has(("tcpdump",)):
        turns["tcpdump -w"] = partial(_captured, count)
    kept = plan.by_turns(turns)
    ours = [each.rate for each in kept["recording"]]
    row = f"{CLIENTS} clients sending 256 kB blocks, {size / 2**30:.2g} GiB, --record"
    yield Result(row, "GB/s", ours, "cat > file", [each.rate for each in kept["cat > file"]], Bar(0.65), NOTE)
    if captured := kept.get("tcpdump -w"):
        part = min(each.part for each in captured)
        name = f"tcpdump -w (kept {part:.0%} of it)"
        yield Result(row, "GB/s", ours, name, [each.rate for each in captured], Bar(1.0), NOTE_TCPDUMP)


def _unrecorded(mode: str, each: int) -> Work:
    with Server(peers.portside("--format", "raw", output="null")) as server:
        return server.work(mode, CLIENTS, each)


def _recorded(mode: str, each: int, size: int) -> Work:
    """One run with --record; its time lasts until the recording is complete."""
    with folder_on_disk() as folder:
        peer = peers.portside("--format", "raw", "--record", folder, output="null")
        core = machine.SERVER_CORE if mode != "blocks" else None
        with Server(peer, core) as server:
            warm(folder, each * CLIENTS * size if mode == "blocks" else 0)
            server.output = Path(folder, "index.sqlite-wal")  # what is written last, at each flush
            work = server.work(mode, CLIENTS, each)
            server.stop()
        with Recording(folder) as recording:
            received = sum(connection.received for connection in recording.connections())
            stored = sum(
                len(piece) for n in (1, CLIENTS) for piece in recording.data(n, "in") if isinstance(piece, bytes)
            )
        if received != CLIENTS * each * size or stored != 2 * each * size:
            raise RuntimeError(f"{received} bytes are recorded, {CLIENTS * each * size} were sent")
        return replace(work, missing=0.0)


def _recorded_blocks(count: int) -> Kept:
    work = _recorded("blocks", count // CLIENTS, BLOCK_BYTES)
    return Kept(count * BLOCK_BYTES / 1e9 / work.seconds)


def _copied(size: int) -> Kept:
    with folder_on_disk() as folder:
        source = Path(folder, "source")
        fill(source, size)
        warm(folder, size)
        with open(source, "rb") as stdin, open(Path(folder, "copy"), "wb") as stdout:
            start = time.perf_counter()
            subprocess.run(["cat"], stdin=stdin, stdout=stdout, check=True)
            seconds = time.perf_counter() - start
    return Kept(size / 1e9 / seconds)


def _captured(count: int) -> Kept:
    """The same load on a server that drops what it reads, while tcpdump writes it down."""
    with folder_on_disk() as folder, Server(peers.reference("sink", output="null"), None) as server:
        warm(folder, count * BLOCK_BYTES)
        path = os.path.join(folder, "capture")
        command = ["tcpdump", "-i", "lo", "-s", "0", "-w", path, f"dst port {server.port}"]
        capture = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            assert capture.stderr
            while "listening on" not in (line := capture.stderr.readline()):
                if not line:
                    raise RuntimeError("tcpdump does not start")
            server.output = Path(path)  # it lasts until the last packet is in the file
            work = server.work("blocks", CLIENTS, count // CLIENTS)
        finally:
            capture.send_signal(signal.SIGINT)
            said = capture.communicate(timeout=CAPTURE_LIMIT_S)[1]
        kept = os.path.getsize(path)
    size = count * BLOCK_BYTES
    if not kept:
        raise RuntimeError(f"tcpdump kept nothing: {said.strip()}")
    return Kept(size / 1e9 / work.seconds * min(1.0, kept / size), min(1.0, kept / size))


NOTE = (
    "The time lasts until the last block is in the recording; then each connection's bytes are counted there. "
    "Files are written to memory that the kernel writes back when it likes, ours as theirs. The server of the blocks "
    "may use both cores, as cat and tcpdump may."
)
NOTE_TCPDUMP = "tcpdump -s 0 on lo beside a C server that drops what it reads; its rate is that of the bytes it kept."
