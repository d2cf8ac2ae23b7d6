"""Whole folders as somebody may send them: segments and an index with right checksums and values that cannot be.

Every command that reads a recording is run on each, and a new run is recorded into it. None may fail otherwise than
with a ``PortsideError``, take longer than COMMAND_S, write much more than the folder holds, or touch a file outside it.
"""

import os
import random
import resource
import sqlite3
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stderr, suppress
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from xxhash import xxh3_64_intdigest

from fuzz._mutations import mutate
from portside.cli import rec
from portside.client.script import make_script
from portside.errors import PortsideError
from portside.events import Closed, Gap, HalfClosed, Listening, Opened, Received, to_json
from portside.record.block_builder import BlockBuilder
from portside.record.clock import ClockStep
from portside.record.folder import INDEX_NAME
from portside.record.index import Run, add, new_index_in_memory, store_recording_id
from portside.record.notes import encode_run, encode_step
from portside.record.recording import Recording
from portside.record.scan import Block as BlockFound
from portside.record.scan import index_entry
from portside.record.segment import (
    EVENT,
    HEADER_SIZE,
    MARKER,
    NOTE,
    RECEIVED,
    SENT,
    Damaged,
    decode_body,
    decode_header,
    encode_file_header,
    pack_meta,
)
from portside.record.store import Store

Folder = dict[str, bytes | str]
"""The files of a folder: their bytes, or ``fifo``, ``folder``, or ``link:TARGET`` for what is no file."""

_OF_CHECK = -3  # of all commands
IN_TESTS = 40  # attempts; each is many commands
LIMIT_S = 60.0  # of an attempt, which is many commands
COMMAND_S = 2.0
_MEMORY_BYTES = 2 << 30  # of address space, beside what there is already
_MOST_GROWTH = 300  # times what the folder holds, in a file that is made of it
_NAME = b"0123456789abcdef"
_AT = 1_700_000_000_000_000_000
_PEER, _LOCAL = "127.0.0.1:33406", "127.0.0.1:12345"
_HEADER = struct.Struct("<4sIQQQIIQ")
_NUMBERS = (0, 1, 2, 3, 7, 255, 65535, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 53, 10**18, 1 << 60,
            1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip
_JSON = (
    b"", b"{}", b"[]", b"3", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"a":' * 5000, b'{"event":"opened"}',
    (b'{"event":"closed","at":"2026-11-22T12:00:01.123456Z","conn":1,"peer":"p","reason":"peer_closed",'
    b'"received":4611686018427387904,"sent":9223372036854775808,"duration":1e308}'),
    (b'{"event":"gap","at":"2026-11-22T12:00:01Z","conn":1,"received":1000000000000000000,"sent":-5,"duration":-1,'
    b'"why":"\\u001b]52;c;eA==\\u0007"}'),
    b'{"event":"gap","at":"x","conn":0,"received":0,"sent":0,"duration":1e400,"why":"","connections":1e9}',
    b'{"event":"opened","at":"0001-01-01T00:00:00Z","conn":1,"peer":"[::%x]:99999999999","local":"\\u0000"}',
    (b'{"event":"opened","at":"2026-11-22T12:00:01Z","conn":1,"peer":"a","local":"b","proxy":{"via":"","version":1,'
    b'"tlvs":{"x":[[[[{}]]]]}}}'),
    b'{"clock":' + b"9" * 5000 + b"}", b'{"clock":3600000000000}', b'{"clock":-9223372036854775808}',
    b'{"run":1e3,"base":-1,"began":"x","pid":[],"version":3}',
)  # fmt: skip
_VALUES = (*_NUMBERS, -1, -(1 << 63), 1e308, float("inf"), -1.5, None, "", "12", "\x1b]52;c;eA==\x07", "x" * 10_000,
           b"", b"\xff" * 16, b"\x00")  # fmt: skip
_SCHEMAS = (
    ("DROP TABLE connections; CREATE VIEW connections AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) "
    "SELECT x AS conn, 'p' AS peer, 'l' AS local, 1 AS opened, 1 AS half_closed, 1 AS closed, 'x' AS reason, "
    "'' AS error, 1.0 AS duration, 1 AS received, 1 AS sent, 1 AS dropped, '' AS closed_by, 1 AS began FROM n;"),
    "CREATE TRIGGER t AFTER INSERT ON runs BEGIN INSERT INTO runs SELECT run + 1, 0, 0, 0, '', 0 FROM runs; END;",
    "CREATE TABLE more (x);", "DROP TABLE clock;", "DROP TABLE extents;", "DROP TABLE meta;",
    "DROP INDEX extents_of_conn;",
    "PRAGMA user_version = 0;", "PRAGMA user_version = 1;", "PRAGMA user_version = 2;", "PRAGMA user_version = 99;",
    "PRAGMA user_version = -1;", "DELETE FROM segments;", "UPDATE segments SET indexed = 0;", "DELETE FROM meta;",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 2;",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'INTEGER', 'TEXT');",
)  # fmt: skip
_NAMES = ("segment-000000", "segment-000002", "segment-000009", "segment-4294967295", "segment-" + "9" * 30,
          "segment-000001", INDEX_NAME, f"{INDEX_NAME}-wal", f"{INDEX_NAME}-shm", f"{INDEX_NAME}-journal",
          "recording.lock", f"{INDEX_NAME}.new", f"{INDEX_NAME}.damaged-1", "lost+found")  # fmt: skip
_KINDS = ("fifo", "folder", "link:../outside/text", "link:../outside/database", "link:../outside/nothing",
          "link:segment-000001", "link:/dev/zero", b"", b"\0" * 5000)  # fmt: skip

Block = list[Any]  # [conn, bytes in and out before it, entries as lists of time, kind and data]


# The folder.


def make_input(chance: random.Random) -> Folder:
    """A recording of two segments, with some values in it, some bytes of it or some of its files changed."""
    segments = [_first_segment(), _second_segment()]
    how = chance.choice(("blocks", "blocks", "rows", "rows", "schema", "bytes", "files", "all"))
    if how in ("blocks", "all"):
        for _ in range(chance.choice((1, 1, 2, 5))):
            _change_block(chance.choice(chance.choice(segments)), chance)
    lies = chance if how in ("blocks", "all") else None
    files: Folder = {}
    index = new_index_in_memory()
    with closing(index):
        store_recording_id(index, _NAME)
        for number, blocks in enumerate(segments, 1):
            files[f"segment-{number:06d}"] = _encode_segment(number, blocks, index, lies)
        if how in ("rows", "all"):
            for _ in range(chance.choice((1, 1, 2, 5))):
                _change_row(index, chance)
        if how in ("schema", "all"):
            with suppress(sqlite3.Error):
                index.executescript(chance.choice(_SCHEMAS))
        files[INDEX_NAME] = index.serialize()
    if how == "bytes" or chance.random() < 0.1:
        name = chance.choice(sorted(files))
        content = files[name]
        files[name] = mutate(content, chance) if isinstance(content, bytes) else content
    if how in ("files", "all"):
        files[chance.choice(_NAMES)] = chance.choice(_KINDS)
    if chance.random() < 0.3:
        files.pop(INDEX_NAME, None)
    return files


def _first_segment() -> list[Block]:
    run = Run(1, 0, _AT, 77, "1.0")
    return [
        [0, 0, 0, [[_AT, NOTE, encode_run(run)], [_AT, EVENT, to_json(Listening(_AT, _LOCAL))]]],
        [1, 0, 0, [[_AT + 1, EVENT, to_json(Opened(_AT + 1, 1, _PEER, _LOCAL))], [_AT + 2, RECEIVED, b"hello\n"],
                   [_AT + 3, SENT, b"HELLO\n"]]],
        [2, 0, 0, [[_AT + 2, EVENT, to_json(Opened(_AT + 2, 2, "[::1]:7", "[::1]:9"))], [_AT + 4, SENT, b"x" * 99]]],
    ]  # fmt: skip


def _second_segment() -> list[Block]:
    end = Closed(_AT + 9, 1, _PEER, "local_closed", 11, 6, 0.5, None, "upstream")
    return [
        [0, 0, 0, [[_AT + 5, NOTE, encode_step(ClockStep(_AT + 5, 3600))]]],
        [1, 9, 6, [[_AT + 6, EVENT, to_json(Gap(_AT + 6, 1, 3, 0, 0.1, "full"))], [_AT + 6, RECEIVED, b"\x00\xff"],
                   [_AT + 8, EVENT, to_json(HalfClosed(_AT + 8, 1, _PEER))], [_AT + 9, EVENT, to_json(end)]]],
        [2, 0, 99, [[_AT + 7, RECEIVED, b"again"]]],
    ]  # fmt: skip


def _change_block(block: Block, chance: random.Random) -> None:
    entry: list[Any] = chance.choice(block[3]) if block[3] else [0, 0, b""]
    what = chance.randrange(8)
    if what < 3:
        block[what] = chance.choice(_NUMBERS)
    elif what == 3:
        entry[0] = chance.choice(_NUMBERS)
    elif what == 4:
        entry[1] = chance.randrange(8)
    elif what == 5:
        block[3].append([chance.choice(_NUMBERS), chance.choice((EVENT, NOTE)), chance.choice(_JSON)])
    elif what == 6:
        entry[2] = mutate(entry[2], chance) if entry[2] and chance.random() < 0.7 else chance.choice(_JSON)
    else:
        block[3] += block[3] * chance.choice((1, 100))


def _encode_segment(number: int, blocks: list[Block], index: sqlite3.Connection, chance: random.Random | None) -> bytes:
    """A segment with right checksums, and its rows in the index; with ``chance``, some of its sizes are lies."""
    data = encode_file_header(number, _AT, _NAME)
    seed = zlib.crc32(_NAME)
    for flush, (conn, received, sent, entries) in enumerate(blocks):
        metas = [pack_meta(kind, len(body)) for _, kind, body in entries]
        count = len(entries)
        if chance is not None and chance.random() < 0.05:
            metas = [meta | (1 << 29) - 1 for meta in metas]
        body = struct.pack(f"<{count}Q{count}I", *(entry[0] for entry in entries), *metas)
        body += b"".join(entry[2] for entry in entries)
        size = len(body)
        if chance is not None and chance.random() < 0.05:
            count, size = (
                chance.choice(_NUMBERS) & 0xFFFFFFFF,
                chance.choice((size, chance.choice(_NUMBERS) & 0xFFFFFFFF)),
            )
        header = _HEADER.pack(
            MARKER, number * 100 + flush, conn, received, sent, count, size, xxh3_64_intdigest(body, seed)
        )
        checksum = zlib.crc32(header, zlib.crc32(struct.pack("<Q", len(data)), seed))
        block = header + struct.pack("<I", checksum) + body
        with suppress(Damaged, OverflowError, sqlite3.Error):
            decoded = decode_header(seed, len(data), block)
            found = list(decode_body(seed, decoded, block[HEADER_SIZE:]))
            add(index, [index_entry(number, BlockFound(len(data), decoded, found))], {})
        data += block
    with suppress(OverflowError, sqlite3.Error):
        index.execute("INSERT INTO segments VALUES (?, ?)", (number, len(data)))
    return data


def _change_row(index: sqlite3.Connection, chance: random.Random) -> None:
    tables = ("meta", "runs", "segments", "damage", "connections", "extents", "gaps", "given_up", "clock")
    table = chance.choice(tables)
    columns = [row[1] for row in index.execute(f"PRAGMA table_info({table})")]
    with suppress(sqlite3.Error, OverflowError):
        if chance.random() < 0.4:
            values = [chance.choice(_VALUES) for _ in columns]
            marks = ", ".join("?" * len(columns))
            index.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", values)  # noqa: S608
        else:
            index.execute(f"UPDATE {table} SET {chance.choice(columns)} = ?", (chance.choice(_VALUES),))  # noqa: S608


# What is done with it.


def accepts(value: Folder) -> bool:
    """Run every command on a folder: whether all of it was whole."""
    with TemporaryDirectory() as name:
        outside, path = Path(name, "outside"), Path(name, "recording")
        _make_outside(outside)
        _make_folder(path, value)
        held = sum(len(content) for content in value.values())
        before = _look(outside)
        with _limited_memory(), _silent():
            worked = [_timed(command) for command in _commands(str(path), Path(name, "out"), held)]
        _require(_look(outside) == before, "a file outside the folder was changed")
    return worked[_OF_CHECK]


def _commands(path: str, out: Path, held: int) -> Iterator[Callable[[], object]]:
    def run(*words: str) -> Callable[[], object]:
        return lambda: rec.run(list(words))

    yield run("list", path)
    yield run("list", path, "--json", "--contains", "again")
    for conn, form in ("1", "text"), ("2", "json"), ("1", "classic"), ("2", "hex"):
        yield run("show", path, conn, "--format", form)
    yield run("show", path)
    yield run("search", path, "l")
    yield run("search", path, "2", "again", "--json")
    yield run("cat", path, "2", "--direction", "out")
    for end in (".pcapng", ".jsonl"):
        yield run("export", path, f"{out}{end}")
        yield lambda end=end: _require_small(Path(f"{out}{end}"), held)  # type: ignore[misc]
    yield run("diff", f"{path}:1", f"{path}:2")
    yield lambda: _read_scripts(path)
    yield run("check", path)
    yield run("check", path, "--json")
    yield lambda: _record_more(path)


def _read_scripts(path: str) -> None:
    with Recording(path) as recording:
        for each in list(recording.connections())[:20]:
            script = make_script(
                lambda conn=each.conn: recording.events(conn),  # type: ignore[misc]
                "client",
                received=each.received or 0,
                sent=each.sent or 0,
                began=each.began,
            )
            for _ in (*script.steps, *script.answers):
                pass


def _record_more(path: str) -> None:
    store = Store(path, version="fuzz", most_bytes=1 << 20)
    block = BlockBuilder(store.base + 1)
    block.add_payload(Received(_AT, store.base + 1, _PEER, b"more"))
    store.flush({block.conn: block})
    store.close()


def _require_small(file: Path, held: int) -> None:
    if file.exists():
        size = file.stat().st_size
        file.unlink()
        _require(size < _MOST_GROWTH * held + (1 << 20), f"{size} B were made of {held} B")


def _timed(command: Callable[[], object]) -> bool:
    """Run a command: whether it succeeded."""
    began = time.monotonic()
    try:
        succeeded = not command()
    except PortsideError:
        succeeded = False
    took = time.monotonic() - began
    _require(took < COMMAND_S, f"took {took:.1f} s")
    return succeeded


def _require(condition: bool, words: str) -> None:  # noqa: FBT001
    if not condition:
        raise AssertionError(words)


# Around it.


def _make_folder(path: Path, value: Folder) -> None:
    path.mkdir()
    for name, content in value.items():
        if isinstance(content, bytes):
            (path / name).write_bytes(content)
        elif content == "fifo":
            os.mkfifo(path / name)
        elif content == "folder":
            (path / name).mkdir()
        else:
            (path / name).symlink_to(content.removeprefix("link:"))


def _make_outside(outside: Path) -> None:
    outside.mkdir()
    (outside / "text").write_text("somebody else's\n")
    with closing(sqlite3.connect(outside / "database")) as database:
        database.execute("CREATE TABLE t (x)")


def _look(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """The content, the mode and the time of change of each file."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in sorted(folder.iterdir())
    }


@contextmanager
def _limited_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def _silent() -> Iterator[None]:
    """Standard output, which the commands write to as a descriptor, and standard error go nowhere."""
    with ExitStack() as stack:
        sys.stdout.flush()
        saved = os.dup(1)
        stack.callback(os.close, saved)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        stack.callback(os.dup2, saved, 1)
        stack.enter_context(redirect_stderr(StringIO()))
        yield
