"""A block read in pieces and a block read as a whole are the same, and so is the damage that is found in them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.record import scan
from portside.record.segment import (
    ENTRY_BYTES,
    EVENT,
    NOTE,
    RECEIVED,
    SENT,
    BlockPosition,
    Damaged,
    Entry,
    encode_block,
    pack_meta,
)

SEED = 7
entries = st.builds(
    Entry, st.integers(0, 2**63 - 1), st.sampled_from([RECEIVED, SENT, EVENT, NOTE]), st.binary(max_size=99)
)


@contextmanager
def block_file(data: bytes) -> Iterator[int]:
    """The descriptor of a file with these bytes."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.fileno()


def encoded(whole: list[Entry]) -> bytes:
    buffers = encode_block(
        SEED,
        0,
        BlockPosition(1, 2, 3, 4),
        times=[entry.at for entry in whole],
        metas=[pack_meta(entry.kind, len(entry.data)) for entry in whole],
        bodies=[entry.data for entry in whole],
    )
    return b"".join(buffers)


def read(fd: int, large_entry_bytes: int) -> list[Entry] | None:
    """The entries of the block, read in pieces where they are at least so large on average; None if it is damaged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_LARGE_ENTRY_BYTES", large_entry_bytes)
        try:
            return scan.read_block(fd, SEED, 0).entries
        except Damaged:
            return None


IN_PIECES, AS_A_WHOLE = ENTRY_BYTES, 1 << 40


@given(st.lists(entries, min_size=1, max_size=9))
def test_entries(whole: list[Entry]) -> None:
    with block_file(encoded(whole) + b"what follows") as fd:
        assert read(fd, IN_PIECES) == read(fd, AS_A_WHOLE) == whole


@given(st.lists(entries, min_size=1, max_size=9), st.data())
def test_damage(whole: list[Entry], data: st.DataObject) -> None:
    block = bytearray(encoded(whole))
    at = data.draw(st.integers(0, len(block) - 1))
    if data.draw(st.booleans()):
        block[at] ^= data.draw(st.integers(1, 255))
    else:
        del block[at:]
    with block_file(bytes(block)) as fd:
        assert read(fd, IN_PIECES) is None
        assert read(fd, AS_A_WHOLE) is None
