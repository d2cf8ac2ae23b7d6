"""The format of segments, to every branch."""

import sys
from array import array
from zlib import crc32

import pytest

from portside.record import segment
from portside.record.segment import (
    EVENT,
    FILE_HEADER_SIZE,
    HEADER_SIZE,
    MARKER,
    MOST_BLOCK_BYTES,
    MOST_ENTRY_BYTES,
    NOTE,
    RECEIVED,
    SENT,
    BlockPosition,
    Damaged,
    Entry,
    FileHeader,
    checksum_seed,
    decode_body,
    decode_file_header,
    decode_header,
    encode_block,
    encode_file_header,
    meta_kind,
    pack_meta,
)

NAME = bytes(range(16))
SEED = checksum_seed(NAME)
PLACE = BlockPosition(7, 3, 100, 200)
ENTRIES = [Entry(5, RECEIVED, b"abc"), Entry(6, SENT, b""), Entry(4, EVENT, b"{}"), Entry(2**63 - 1, NOTE, b"note")]


def encoded(entries: list[Entry] = ENTRIES, offset: int = 40, place: BlockPosition = PLACE) -> bytes:
    buffers = encode_block(
        SEED,
        offset,
        place,
        times=[entry.at for entry in entries],
        metas=[pack_meta(entry.kind, len(entry.data)) for entry in entries],
        bodies=[entry.data for entry in entries],
    )
    return b"".join(buffers)


def test_a_file_header_comes_back() -> None:
    data = encode_file_header(9, 1234, NAME)
    assert len(data) == FILE_HEADER_SIZE
    assert decode_file_header(data) == FileHeader(segment.VERSION, 9, 1234, NAME)


def test_a_file_header_that_is_none() -> None:
    data = encode_file_header(9, 1234, NAME)
    with pytest.raises(Damaged, match="cut short"):
        decode_file_header(data[:-1])
    with pytest.raises(Damaged, match="no segment"):
        decode_file_header(b"X" + data[1:])
    with pytest.raises(Damaged, match="damaged"):
        decode_file_header(data[:-1] + bytes([data[-1] ^ 1]))


def test_a_later_version_is_told_and_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "VERSION", 77)
    assert decode_file_header(encode_file_header(1, 2, NAME)).version == 77


@pytest.mark.parametrize("entries", [ENTRIES, ENTRIES[:1], []])
def test_a_block_comes_back(entries: list[Entry]) -> None:
    data = encoded(entries)
    header = decode_header(SEED, 40, data)
    assert header[:4] == PLACE
    assert header.entries == len(entries)
    assert HEADER_SIZE + header.size == len(data)
    assert decode_body(SEED, header, memoryview(data)[HEADER_SIZE:]) == entries


def test_large_bodies_are_not_copied() -> None:
    large = b"x" * 20000
    buffers = encode_block(SEED, 40, PLACE, times=[1, 2], metas=[pack_meta(RECEIVED, 20000)] * 2, bodies=[large, large])
    assert buffers[1] is large
    assert buffers[2] is large
    data = b"".join(buffers)
    header = decode_header(SEED, 40, data)
    assert [entry.data for entry in decode_body(SEED, header, data[HEADER_SIZE:])] == [large, large]


def test_a_meta_is_a_kind_and_a_size() -> None:
    for kind in (RECEIVED, SENT, EVENT, NOTE):
        assert meta_kind(pack_meta(kind, MOST_ENTRY_BYTES)) == kind
        assert pack_meta(kind, MOST_ENTRY_BYTES) & MOST_ENTRY_BYTES == MOST_ENTRY_BYTES


def test_a_header_that_is_none() -> None:
    data = encoded()
    with pytest.raises(Damaged, match="cut short"):
        decode_header(SEED, 40, data[: HEADER_SIZE - 1])
    with pytest.raises(Damaged, match="header is damaged"):
        decode_header(SEED, 40, b"\0" + data[1:])
    with pytest.raises(Damaged, match="header is damaged"):
        decode_header(SEED, 40, data[: HEADER_SIZE - 1] + bytes([data[HEADER_SIZE - 1] ^ 128]))


def test_a_block_counts_only_in_its_recording_and_at_its_offset() -> None:
    data = encoded()
    with pytest.raises(Damaged):
        decode_header(checksum_seed(b"another name 123"), 40, data)
    with pytest.raises(Damaged):
        decode_header(SEED, 41, data)


@pytest.mark.parametrize(("entries", "size"), [(3, 35), (0, MOST_BLOCK_BYTES + 1)])
def test_a_header_that_contradicts_itself(entries: int, size: int) -> None:
    header = segment._HEADER.pack(MARKER, *PLACE, entries, size, 0)
    checksum = crc32(header, crc32((40).to_bytes(8, "little"), SEED))
    with pytest.raises(Damaged, match="contradicts"):
        decode_header(SEED, 40, header + checksum.to_bytes(4, "little"))


def test_a_body_that_is_none() -> None:
    data = encoded()
    header = decode_header(SEED, 40, data)
    body = data[HEADER_SIZE:]
    with pytest.raises(Damaged, match="cut short"):
        decode_body(SEED, header, body[:-1])
    with pytest.raises(Damaged, match="is damaged"):
        decode_body(SEED, header, body[:-1] + bytes([body[-1] ^ 1]))


def test_the_other_byte_order_writes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = array("Q", [0x0102030405060708])
    swapped.byteswap()
    monkeypatch.setattr(segment, "_SWAPPED", True)  # as if this machine were the other one
    assert segment._column("Q", swapped) == array("Q", [0x0102030405060708]).tobytes()
    column = segment._numbers("Q", (258).to_bytes(8, "big" if sys.byteorder == "little" else "little"))
    assert list(column) == [258]
