"""The format of a segment file: bytes in, values out.

A recording is a folder of self-describing segments; the index beside them only has the position of each block, and can
be rebuilt from them. All numbers are little-endian.

    segment   file header, then blocks until the end of the file
    block     what one flush kept of one connection: header, entries, payload
    entry     a read, a send or an event: its time, its kind, its bytes of the payload

1. A block that is not whole does not count: its header has a checksum of itself, and one of the body.
2. Blocks of a connection stand in the order in which its bytes passed. ``received`` and ``sent`` in the header are the
   bytes of all blocks before it, so a reader notices a missing block, and knows its size.
3. Blocks of one flush have the same ``flush`` number, and nothing in the next flush happened before anything in it:
   sorting the entries of each flush by time puts the whole recording in order.
4. Connection 0 is the recording itself: the beginnings of runs, ports, refused clients.
5. Every block begins with a marker that a reader can look for after a damaged one. Zeros between blocks are holes
   where blocks were evicted (``--record-max``).
6. A header's checksum begins with a seed from the recording's random name and with the block's offset: neither bytes
   that a peer made up nor a copy of a block (a recording sent through the server that records it) pass for a block.
7. A change of this format raises VERSION and the index's SCHEMA: a reader may never look at the file's header.
"""

import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple
from zlib import crc32

from xxhash import xxh3_64, xxh3_64_intdigest

VERSION: Final = 1
MAGIC: Final = b"PORTSIDE"
MARKER: Final = b"\xf0PSB"

_FILE_HEADER = struct.Struct("<8sHHIQ16s")
_FILE_CHECKSUM = struct.Struct("<I")
FILE_HEADER_SIZE: Final = _FILE_HEADER.size + _FILE_CHECKSUM.size
_HEADER = struct.Struct("<4sIQQQIIQ")
_CHECKSUM = struct.Struct("<I")
_OFFSET = struct.Struct("<Q")
HEADER_SIZE: Final = _HEADER.size + _CHECKSUM.size

RECEIVED, SENT, EVENT, NOTE = range(4)  # kinds of entries; payload, payload, JSON of an event, JSON of something else
_KIND_SHIFT = 29
MOST_ENTRY_BYTES: Final = (1 << _KIND_SHIFT) - 1
MOST_BLOCK_BYTES: Final = 1 << 27  # of a block's body, which a reader holds in memory
MOST_ENTRIES: Final = 1 << 20  # of a block, each of which takes some 100 bytes of memory
MOST_TIME: Final = (1 << 63) - 1  # ns since 1970: the year 2262
MOST_CONN: Final = (1 << 53) - 1  # what JSON's readers hold exactly
MOST_BYTES: Final = 1 << 60  # of a connection
MOST_SEGMENT: Final = (1 << 32) - 1  # the number of one
ENTRY_BYTES: Final = 12  # of a block, for each entry beside its payload
_SWAPPED = sys.byteorder == "big"


class FileHeader(NamedTuple):
    """The beginning of a segment: ``number`` counts from 1; ``created`` is ns since 1970."""

    version: int
    number: int
    created: int
    recording: bytes


class BlockPosition(NamedTuple):
    """The position of a block in the recording: flush (32 bits), connection, and bytes of that before it."""

    flush: int
    conn: int
    received: int
    sent: int


class BlockHeader(NamedTuple):
    """The header of a block; ``size`` (bytes) and ``checksum`` (XXH3) are those of the body that follows."""

    flush: int
    conn: int
    received: int
    sent: int
    entries: int
    size: int
    checksum: int


class Entry(NamedTuple):
    """An entry of a block: ``at`` is ns since 1970, ``kind`` one of RECEIVED, SENT, EVENT, NOTE."""

    at: int
    kind: int
    data: bytes


class Damaged(ValueError):
    """Bytes that fail a checksum or are cut short."""


def encode_file_header(number: int, created: int, recording: bytes) -> bytes:
    """The first bytes of a segment; ``created`` is ns since 1970, ``recording`` the 16-byte name of the recording."""
    header = _FILE_HEADER.pack(MAGIC, VERSION, 0, number, created, recording)
    return header + _FILE_CHECKSUM.pack(crc32(header))


def decode_file_header(data: bytes) -> FileHeader:
    """Read the first FILE_HEADER_SIZE bytes of a segment. Raises Damaged."""
    if len(data) < FILE_HEADER_SIZE:
        raise Damaged("its header is cut short")
    magic, version, _, number, created, recording = _FILE_HEADER.unpack_from(data)
    if magic != MAGIC:
        raise Damaged("it is no segment of a recording")
    if _FILE_CHECKSUM.unpack_from(data, _FILE_HEADER.size)[0] != crc32(data[: _FILE_HEADER.size]):
        raise Damaged("its header is damaged")
    return FileHeader(version, number, created, recording)


def checksum_seed(recording: bytes) -> int:
    """The seed of all checksums in a recording, from its 16-byte name."""
    return crc32(recording)


def pack_meta(kind: int, size: int) -> int:
    """A kind and a size of at most MOST_ENTRY_BYTES in one number."""
    return kind << _KIND_SHIFT | size


def meta_kind(packed: int) -> int:
    """The kind in a number made by ``pack_meta``."""
    return packed >> _KIND_SHIFT


def encode_block(
    seed: int, offset: int, place: BlockPosition, *, times: Sequence[int], metas: Sequence[int], bodies: list[bytes]
) -> list[bytes]:
    """A block as buffers to be written one after the other at ``offset`` of a segment.

    ``seed`` is made by ``checksum_seed``, ``metas`` by ``pack_meta``; ``bodies`` hold as many bytes as these say, at
    most MOST_BLOCK_BYTES with 12 for each entry.
    """
    columns = _column("Q", times) + _column("I", metas)
    if len(bodies) > 1 and len(bodies[0]) < 16384:
        bodies = [b"".join(bodies)]  # many small ones cost more as buffers than as a copy
    checksum, size = xxh3_64(columns, seed), len(columns)
    for body in bodies:
        checksum.update(body)
        size += len(body)
    header = _HEADER.pack(MARKER, *place, len(times), size, checksum.intdigest())
    return [header + _CHECKSUM.pack(crc32(header, _seed_at(seed, offset))) + columns, *bodies]


def _seed_at(seed: int, offset: int) -> int:
    return crc32(_OFFSET.pack(offset), seed)


def decode_header(seed: int, offset: int, data: bytes | memoryview) -> BlockHeader:
    """Read the first HEADER_SIZE bytes of the block at ``offset`` of a segment. Raises Damaged."""
    if len(data) < HEADER_SIZE:
        raise Damaged("a block's header is cut short")
    marker, *fields = _HEADER.unpack_from(data)
    checksum = _CHECKSUM.unpack_from(data, _HEADER.size)[0]
    if marker != MARKER or checksum != crc32(data[: _HEADER.size], _seed_at(seed, offset)):
        raise Damaged("a block's header is damaged")
    header = BlockHeader(*fields)
    if header.size > MOST_BLOCK_BYTES or header.entries * ENTRY_BYTES > header.size:
        raise Damaged("a block's header contradicts itself")
    if (
        header.entries > MOST_ENTRIES
        or header.conn > MOST_CONN
        or header.received > MOST_BYTES
        or header.sent > MOST_BYTES
    ):
        raise Damaged("a block's header has a number that cannot be")
    return header


def decode_body(seed: int, header: BlockHeader, body: bytes | memoryview) -> list[Entry]:
    """The entries of a block whose body this is. Raises Damaged."""
    if len(body) != header.size:
        raise Damaged("a block is cut short")
    if xxh3_64_intdigest(body, seed) != header.checksum:
        raise Damaged("a block is damaged")
    at = header.entries * ENTRY_BYTES
    columns = bytes(body[:at])
    payloads = []
    for size in entry_sizes(header, columns):
        payloads.append(bytes(body[at : at + size]))
        at += size
    return _entries(header, columns, payloads)


def decode_pieces(seed: int, header: BlockHeader, columns: bytes, payloads: Sequence[bytes]) -> list[Entry]:
    """The entries of a block whose body was read in pieces, as ``entry_sizes`` says. Raises Damaged."""
    checksum = xxh3_64(columns, seed)
    for payload in payloads:
        checksum.update(payload)
    if checksum.intdigest() != header.checksum:
        raise Damaged("a block is damaged")
    return _entries(header, columns, payloads)


def entry_sizes(header: BlockHeader, columns: bytes) -> list[int]:
    """The payload sizes of the entries, by the first bytes of a block's body (ENTRY_BYTES for each entry).

    These bytes need not be verified yet. Raises Damaged where they contradict the header.
    """
    if len(columns) != header.entries * ENTRY_BYTES:
        raise Damaged("a block is cut short")
    sizes = [packed & MOST_ENTRY_BYTES for packed in _numbers("I", columns[header.entries * 8 :])]
    if len(columns) + sum(sizes) != header.size:
        raise Damaged("the sizes of a block's entries contradict its own")
    return sizes


def _entries(header: BlockHeader, columns: bytes, payloads: Sequence[bytes]) -> list[Entry]:
    times, metas = _numbers("Q", columns[: header.entries * 8]), _numbers("I", columns[header.entries * 8 :])
    if max(times, default=0) > MOST_TIME:
        raise Damaged("a block has a time that cannot be")
    return [Entry(at, packed >> _KIND_SHIFT, data) for at, packed, data in zip(times, metas, payloads, strict=True)]


def _column(code: str, numbers: Sequence[int]) -> bytes:
    column = array(code, numbers)
    if _SWAPPED:
        column.byteswap()
    return column.tobytes()


def _numbers(code: str, data: bytes) -> "array[int]":
    column = array(code, data)
    if _SWAPPED:
        column.byteswap()
    return column
