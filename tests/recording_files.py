"""Recordings for tests: made of events, read back, and damaged on purpose."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from portside.events import Closed, Event, Gap, Opened, Payload, Received, Sent
from portside.record.block_builder import BlockBuilder
from portside.record.recording import Recording
from portside.record.store import Store

START_NS = 1_800_000_000_000_000_000
Troubles = list[tuple[str, str | None]]


def peer(conn: int) -> str:
    """Where the client of this connection seems to come from."""
    return f"127.0.0.1:{10000 + conn % 50000}"


def opened(conn: int, at: int = 0) -> Opened:
    return Opened(START_NS + at, conn, peer(conn), "127.0.0.1:12345")


def received(conn: int, data: bytes, at: int = 0) -> Received:
    return Received(START_NS + at, conn, peer(conn), data)


def sent(conn: int, data: bytes, at: int = 0) -> Sent:
    return Sent(START_NS + at, conn, peer(conn), data)


def closed(conn: int, got: int = 0, gave: int = 0, at: int = 0) -> Closed:
    return Closed(START_NS + at, conn, peer(conn), "peer_closed", got, gave, 1.0)


def blocks(*events: Event) -> dict[int, BlockBuilder]:
    """What a recorder would have collected of these events by now."""
    collected: dict[int, BlockBuilder] = {}
    for event in events:
        conn = getattr(event, "conn", 0)
        block = collected.setdefault(conn, BlockBuilder(conn))
        if isinstance(event, Payload):
            block.add_payload(event)
        else:
            block.add_event(event, event.at)
    return collected


def store(path: Path, **options: object) -> Store:
    """A store in a folder; ``troubles`` collects what it says."""
    troubles: Troubles | None = options.pop("troubles", None)  # type: ignore[assignment]
    if troubles is not None:
        collect = troubles

        def trouble(what: str, error: OSError | sqlite3.Error | None) -> None:
            collect.append((what, None if error is None else str(error)))

        options["on_trouble"] = trouble
    return Store(os.fspath(path), version="test", **options)  # type: ignore[arg-type]


def record(path: Path, *flushes: Sequence[Event], **options: object) -> None:
    """Record these events, a flush each, in order and with an orderly end."""
    kept = store(path, **options)
    for events in flushes:
        kept.flush(blocks(*events))
    kept.close()


def data_of(path: Path, conn: int) -> tuple[bytes, bytes]:
    """The bytes of a connection, in and out, gaps left out."""
    with Recording(os.fspath(path)) as recording:
        return bytes_of(recording, conn, "in"), bytes_of(recording, conn, "out")


def bytes_of(recording: Recording, conn: int, direction: object) -> bytes:
    pieces = recording.data(conn, direction)  # type: ignore[arg-type]
    return b"".join(piece for piece in pieces if not isinstance(piece, Gap))


def gaps_of(path: Path, conn: int) -> list[Gap]:
    with Recording(os.fspath(path)) as recording:
        return [event for event in recording.events(conn) if isinstance(event, Gap)]


def segment(path: Path, number: int = 1) -> Path:
    return path / f"segment-{number:06d}"


def extents(path: Path) -> list[tuple[int, ...]]:
    """Segment, offset, length, connection of each block, by the index."""
    with closing(sqlite3.connect(path / "index.sqlite")) as index:
        return index.execute("SELECT segment, offset, length, conn FROM extents ORDER BY 1, 2").fetchall()


def remove_index(path: Path) -> None:
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        (path / name).unlink(missing_ok=True)


def change(path: Path, edit: Callable[[bytearray], object]) -> None:
    """Edit a file in place."""
    data = bytearray(path.read_bytes())
    edit(data)
    path.write_bytes(data)


def disk_bytes(path: Path) -> int:
    """What the segments of a recording take on the disk."""
    return sum(each.stat().st_blocks * 512 for each in path.glob("segment-*"))


def pattern(conn: int, size: int, direction: int = 0) -> bytes:
    """Bytes of which every position can be checked."""
    unit = b"".join(b"%d.%d.%07d " % (conn, direction, number) for number in range(size // 8 + 1))
    return unit[:size]
