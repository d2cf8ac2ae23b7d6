"""Finding the blocks of a segment without an index; damaged blocks are skipped."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from portside.record.clock import ClockStep
from portside.record.event_entry import decode_event
from portside.record.index import Extent, IndexEntry
from portside.record.notes import decode_note
from portside.record.segment import (
    ENTRY_BYTES,
    EVENT,
    HEADER_SIZE,
    MARKER,
    NOTE,
    RECEIVED,
    SENT,
    BlockHeader,
    Damaged,
    Entry,
    decode_body,
    decode_header,
    decode_pieces,
    entry_sizes,
)

if TYPE_CHECKING:
    from portside.events import Event

_LOOK_BYTES = 1 << 20
_PLAUSIBLE = re.compile(  # the marker, then a header whose large numbers are not too large
    re.escape(MARKER) + rb".{10}[\x00-\x1f]\x00.{7}[\x00-\x10].{7}[\x00-\x10]", re.DOTALL
)
_LARGE_ENTRY_BYTES = 16 << 10  # of payload: entries that are larger on average are read one by one, and not copied


class Block(NamedTuple):
    """A whole block at ``offset`` of its segment."""

    offset: int
    header: BlockHeader
    entries: list[Entry]

    @property
    def length(self) -> int:
        """Bytes of the block with its header."""
        return HEADER_SIZE + self.header.size


class Damage(NamedTuple):
    """Bytes of a segment that are not a block; ``torn`` for an incomplete block at the end."""

    offset: int
    length: int
    why: str
    torn: bool


def read_block(fd: int, seed: int, offset: int) -> Block:
    """The block at an offset. Raises Damaged, and OSError."""
    return _read_body(fd, seed, offset, _read_header(fd, seed, offset))


def _read_header(fd: int, seed: int, offset: int) -> BlockHeader:
    return decode_header(seed, offset, os.pread(fd, HEADER_SIZE, offset))


def _read_body(fd: int, seed: int, offset: int, header: BlockHeader) -> Block:
    at = offset + HEADER_SIZE
    if at + header.size > os.fstat(fd).st_size:
        raise Damaged("a block is cut short")
    if header.size < header.entries * _LARGE_ENTRY_BYTES:
        return Block(offset, header, decode_body(seed, header, _pread(fd, header.size, at)))
    columns = _pread(fd, header.entries * ENTRY_BYTES, at)
    at += len(columns)
    payloads = []
    for size in entry_sizes(header, columns):
        payloads.append(_pread(fd, size, at))
        at += size
    return Block(offset, header, decode_pieces(seed, header, columns, payloads))


def scan(fd: int, seed: int, start: int, end: int) -> Iterator[Block | Damage]:
    """All blocks between two offsets, and the damage between them, each piece once. Raises OSError."""
    offset = start
    damage: Damage | None = None
    while offset < end:
        header, torn = None, end - offset < HEADER_SIZE
        try:
            header = _read_header(fd, seed, offset)
            block = _read_body(fd, seed, offset, header)
        except Damaged as damaged:
            if header is not None:  # it is as long as it says
                following, empty = offset + HEADER_SIZE + header.size, False
                torn = following > end
                following = min(following, end)
            else:
                following, empty = _next_header(fd, seed, offset, end)
            if damage is not None:
                damage = damage._replace(length=following - damage.offset)
            elif not empty:
                damage = Damage(offset, following - offset, str(damaged), torn)
            offset = following
        else:
            if damage is not None:
                yield damage
                damage = None
            yield block
            offset += block.length
    if damage is not None:
        yield damage


def _next_header(fd: int, seed: int, offset: int, end: int) -> tuple[int, bool]:
    """Where the next block with a sound header begins behind an offset, and whether there are only zeros before it."""
    empty = os.pread(fd, 1, offset) == b"\0"
    offset += not empty
    while offset < end:
        offset = _skip_hole(fd, offset, end)
        piece = os.pread(fd, min(_LOOK_BYTES + HEADER_SIZE - 1, end - offset), offset)
        if not piece:
            break
        found = _find_header(piece, seed, offset)
        if found is not None:
            return offset + found, empty and not piece[:found].strip(b"\0")
        empty = empty and not piece[:_LOOK_BYTES].strip(b"\0")
        offset += _LOOK_BYTES
    return end, empty


def _find_header(piece: bytes, seed: int, offset: int) -> int | None:
    """Where in a piece, which was read at an offset, the first sound header of a block begins."""
    at = 0
    while (marker := _PLAUSIBLE.search(piece, at)) is not None:
        at = marker.start()
        with suppress(Damaged):
            decode_header(seed, offset + at, piece[at : at + HEADER_SIZE])
            return at
        at += 1
    return None


def _skip_hole(fd: int, offset: int, end: int) -> int:
    try:
        return min(os.lseek(fd, offset, os.SEEK_DATA), end)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return end  # a hole up to the end
        return offset  # a file system without holes


def _pread(fd: int, size: int, offset: int) -> bytes:
    data = os.pread(fd, size, offset)
    if len(data) == size or not data:
        return data
    pieces, have = [data], len(data)  # one read gives at most 2 GiB
    while have < size and (data := os.pread(fd, size - have, offset + have)):
        pieces.append(data)
        have += len(data)
    return b"".join(pieces)


def index_entry(segment: int, block: Block) -> IndexEntry:
    """The index's entry for a block; events that only a later version knows are left out."""
    header, entries = block.header, block.entries
    sizes = {RECEIVED: 0, SENT: 0, EVENT: 0, NOTE: 0}
    events: list[tuple[int, Event]] = []
    steps: list[ClockStep] = []
    run = None
    for entry in entries:
        sizes[entry.kind] = sizes.get(entry.kind, 0) + len(entry.data)
        if entry.kind == EVENT:
            with suppress(Damaged):
                events.append((entry.at, decode_event(entry, header.conn)))
        elif entry.kind == NOTE and not header.conn:
            note = decode_note(entry)
            if isinstance(note, ClockStep):
                steps.append(note)
            else:
                run = note
    first, last = (entries[0].at, entries[-1].at) if entries else (0, 0)
    before = header.received, header.sent
    place = Extent(segment, block.offset, block.length, header.conn, first, last, *before, sizes[RECEIVED], sizes[SENT])
    return IndexEntry(place, events, steps, run)
