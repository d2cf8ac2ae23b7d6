"""The decoder of the kernel's dumps of its socket table: stored dumps with mistakes in them."""

import random
import zlib
from pathlib import Path

import numpy as np

from fuzz._mutations import mutate
from portside.kernel.column_names import COLUMNS
from portside.kernel.decoder import DecodeError, decode
from portside.kernel.few_sockets import decode_few
from portside.kernel.materialize import to_sockets
from portside.kernel.models import to_json

_DUMPS = [
    path.read_bytes() for path in sorted((Path(__file__).parent.parent / "tests/unit/kernel/dumps").glob("*.bin"))
]
_COLUMN_NAMES = tuple(sorted(COLUMNS))
_ALL_OF = 20  # one dump in so many has every column and every row read


def make_input(chance: random.Random) -> bytes:
    """A stored dump with one to eight things wrong."""
    return mutate(chance.choice(_DUMPS), chance)


def accepts(value: bytes) -> bool:
    """Decode a dump, and read a column of it or everything; as few sockets too, which reads no attributes."""
    few = decode_few(memoryview(value))
    try:
        table = decode(value).table
    except DecodeError:
        return False
    choice = zlib.crc32(value)
    if choice % _ALL_OF == 0:
        for name in _COLUMN_NAMES:
            table.column(name)
        for row in to_sockets(table):
            to_json(row)
    else:
        table.column(_COLUMN_NAMES[choice % len(_COLUMN_NAMES)])
    if few is not None:
        assert {socket.cookie for socket in few} == set(table.column("cookie").values.tolist())
    table.select(np.arange(len(table))[::2])
    return True
