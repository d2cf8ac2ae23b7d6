"""Blocks found without an index."""

import errno
import os
from pathlib import Path

import pytest
from recording_files import blocks, closed, extents, opened, received, record, segment, sent, store

from portside.record import scan as scan_module
from portside.record.block_builder import BlockBuilder
from portside.record.check import check
from portside.record.notes import decode_note
from portside.record.scan import Damage, index_entry, scan
from portside.record.segment import (
    EVENT,
    FILE_HEADER_SIZE,
    MARKER,
    NOTE,
    BlockHeader,
    Entry,
    checksum_seed,
    decode_file_header,
)


def scanned(path: Path, number: int = 1) -> list[tuple[str, int, int] | tuple[str, int, int, str, bool]]:
    """Blocks and damage as tuples."""
    fd = os.open(segment(path, number), os.O_RDONLY)
    try:
        seed = checksum_seed(decode_file_header(os.pread(fd, FILE_HEADER_SIZE, 0)).recording)
        return [
            ("damage", *each) if isinstance(each, Damage) else ("block", each.offset, each.length)
            for each in scan(fd, seed, FILE_HEADER_SIZE, os.fstat(fd).st_size)
        ]
    finally:
        os.close(fd)


@pytest.fixture
def four(tmp_path: Path) -> list[tuple[int, int]]:
    """Offsets and lengths of the blocks of a small recording in ``tmp_path``: the run's, and three."""
    record(
        tmp_path, [opened(1), received(1, b"first" * 20)], [received(1, b"second" * 20)], [received(1, b"third" * 20)]
    )
    return [(offset, length) for _, offset, length, _ in extents(tmp_path)]


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def test_all_blocks(tmp_path: Path, four: list[tuple[int, int]]) -> None:
    assert scanned(tmp_path) == [("block", *each) for each in four]


def test_a_damaged_body_is_stepped_over(tmp_path: Path, four: list[tuple[int, int]]) -> None:
    overwrite(segment(tmp_path), four[1][0] + 60, b"\xff")
    assert scanned(tmp_path)[1] == ("damage", *four[1], "a block is damaged", False)
    assert [each[0] for each in scanned(tmp_path)] == ["block", "damage", "block", "block"]


def test_damage_next_to_damage_is_one(tmp_path: Path, four: list[tuple[int, int]]) -> None:
    overwrite(segment(tmp_path), four[1][0] + 6, b"\xff\xff")
    overwrite(segment(tmp_path), four[2][0] + 80, MARKER * 10)
    assert scanned(tmp_path) == [
        ("block", *four[0]),
        ("damage", four[1][0], four[1][1] + four[2][1], "a block's header is damaged", False),
        ("block", *four[3]),
    ]


@pytest.mark.parametrize("look", [5, 64, 1 << 20])
def test_markers_are_found_wherever_a_look_ends(
    tmp_path: Path, four: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    monkeypatch.setattr(scan_module, "_LOOK_BYTES", look)
    overwrite(segment(tmp_path), four[1][0], b"\xff")
    assert [each[:3] for each in scanned(tmp_path)] == [("block", *four[0]), ("damage", *four[1])] + [
        ("block", *each) for each in four[2:]
    ]


def test_of_markers_without_end_each_byte_is_read_once_or_twice(
    tmp_path: Path, four: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    junk = MARKER * (1 << 18)
    with open(segment(tmp_path), "ab") as file:
        file.write(junk)
    pread, sizes = os.pread, []

    def count(fd: int, size: int, offset: int) -> bytes:
        sizes.append(size)
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", count)
    assert scanned(tmp_path)[4:] == [("damage", sum(four[3]), len(junk), "a block's header is damaged", False)]
    assert sum(sizes) < 3 * len(junk)


def test_zeros_are_room_that_was_given_back(tmp_path: Path, four: list[tuple[int, int]]) -> None:
    overwrite(segment(tmp_path), four[1][0], bytes(four[1][1] + four[2][1]))
    assert scanned(tmp_path) == [("block", *four[0]), ("block", *four[3])]
    overwrite(segment(tmp_path), four[3][0], bytes(four[3][1]))
    assert scanned(tmp_path) == [("block", *four[0])]


def test_a_large_hole_is_skipped(tmp_path: Path, four: list[tuple[int, int]]) -> None:
    with open(segment(tmp_path), "r+b") as file:
        file.truncate(four[1][0])
        file.truncate(40 << 30)
    assert scanned(tmp_path) == [("block", *four[0])]


def test_a_file_system_that_knows_no_holes(
    tmp_path: Path, four: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lseek(_fd: int, _offset: int, _whence: int) -> int:
        raise OSError(errno.EINVAL, "no holes here")

    monkeypatch.setattr(os, "lseek", lseek)
    overwrite(segment(tmp_path), four[1][0], bytes(four[1][1]))
    assert len(scanned(tmp_path)) == 3


def test_a_torn_end(tmp_path: Path, four: list[tuple[int, int]]) -> None:
    offset, length = four[3]
    for size in (length - 1, 48, 47, 4, 3, 1):
        os.truncate(segment(tmp_path), offset + size)
        last = scanned(tmp_path)[-1]
        assert last[:3] == ("damage", offset, size)
        assert last[-1] is True


def test_copies_of_blocks_do_not_count(tmp_path: Path) -> None:
    """A recording sent through the server that records it."""
    record(tmp_path, [opened(1), received(1, b"original")])
    copy = segment(tmp_path).read_bytes()
    record(tmp_path, [opened(2), received(2, copy * 3), sent(2, copy), closed(2, 3 * len(copy), len(copy))])
    _, offset, length, _ = extents(tmp_path)[-1]
    for start in range(offset, offset + 48):
        overwrite(segment(tmp_path, 2), start, bytes([segment(tmp_path, 2).read_bytes()[start] ^ 0x55]))
        damages = [each for each in scanned(tmp_path, 2) if each[0] == "damage"]
        assert [each[1:3] for each in damages] == [(offset, length)]
        overwrite(segment(tmp_path, 2), start, bytes([segment(tmp_path, 2).read_bytes()[start] ^ 0x55]))
    assert check(os.fspath(tmp_path)).whole


def test_events_and_notes_of_a_later_version_cost_nothing_else(tmp_path: Path) -> None:
    kept = store(tmp_path)
    collected = blocks(opened(1), received(1, b"abc"))
    collected[1].add(EVENT, 5, b'{"event":"teleported","conn":1}')
    collected[1].add(EVENT, 5, b"not json at all")
    collected[1].add(NOTE, 5, b'{"weather":"fine"}')
    collected[1].add(NOTE, 5, b"[]")
    collected[1].add(7, 5, b"a kind that is not known")
    kept.flush(collected)
    kept.close()
    (tmp_path / "index.sqlite").unlink()
    report = check(os.fspath(tmp_path))
    assert (report.rebuilt, report.found, report.connections) == (True, [], 1)
    assert check(os.fspath(tmp_path)).whole


def test_what_is_not_of_a_run() -> None:
    for data in (b"", b"[]", b"3", b"{}", b'{"run":1}', b'{"clock":"x"}', b"\xff"):
        assert decode_note(Entry(1, NOTE, data)) is None


def test_an_empty_block_has_no_time() -> None:
    block = scan_module.Block(40, BlockHeader(1, 2, 3, 4, 0, 0, 0), [])
    assert index_entry(1, block).extent[4:] == (0, 0, 3, 4, 0, 0)
    assert list(BlockBuilder(1).parts(10)) == []
