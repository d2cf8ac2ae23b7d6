"""Mutations of stored dumps, given to the decoder: python fuzz/sock_diag.py [COUNT [SEED]]

Each must decode, and its columns and rows be readable, or raise DecodeError; anything else ends the run with the
bytes that did it. Default: 1,000,000 mutations.
"""

import random
import sys
import time
from pathlib import Path

import numpy as np

from portside.kernel.decoder import DecodeError, decode
from portside.kernel.materialize import to_sockets
from portside.kernel.models import to_json
from portside.kernel.table import COLUMNS, SocketTable

DUMPS = Path(__file__).parent.parent / "tests/unit/kernel/dumps"
INTERESTING = (0, 1, 2, 3, 4, 5, 15, 16, 20, 72, 88, 127, 128, 255)
COLUMN_NAMES = tuple(sorted(COLUMNS))


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A dump with one to eight things wrong."""
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        if not mutant:
            break
        at = chance.randrange(len(mutant))
        what = chance.randrange(10)
        if what in (0, 7, 8, 9):
            mutant[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            mutant[at] = chance.choice(INTERESTING)
        elif what == 2:
            mutant[at & ~3 : (at & ~3) + 4] = chance.choice(INTERESTING).to_bytes(4, sys.byteorder)
        elif what == 3:
            del mutant[at : at + chance.randint(1, 64)]
        elif what == 4:
            mutant[at:at] = chance.randbytes(chance.randint(1, 64))
        elif what == 5:
            del mutant[at:]
        else:
            mutant[at:at] = mutant[chance.randrange(len(mutant)) :][: chance.randint(1, 512)]
    return bytes(mutant)


def read_everything(table: SocketTable, chance: random.Random) -> None:
    """Read a column, and sometimes every column and each row."""
    if chance.random() < 0.05:
        for name in COLUMN_NAMES:
            table.column(name)
        for row in to_sockets(table):
            to_json(row)
    else:
        table.column(chance.choice(COLUMN_NAMES))
    table.select(np.arange(len(table))[::2])


def fuzz(count: int, seed: int) -> int:
    """Try ``count`` mutations; how many decoded."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    dumps = [path.read_bytes() for path in sorted(DUMPS.glob("*.bin"))]
    decoded = 0
    for number in range(count):
        mutant = mutate(chance.choice(dumps), chance)
        try:
            read_everything(decode(mutant).table, chance)
            decoded += 1
        except DecodeError:
            continue
        except BaseException:
            sys.stderr.write(f"mutation {number} of seed {seed}: {mutant.hex()}\n")
            raise
    return decoded


def main() -> None:
    """Run as a program."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)  # noqa: S311
    started = time.monotonic()
    decoded = fuzz(count, seed)
    took = time.monotonic() - started
    sys.stdout.write(f"{count} mutations (seed {seed}) in {took:.0f} s: {decoded} decoded, no other error\n")


if __name__ == "__main__":
    main()
