"""Mutations that several harnesses share: of bytes, and of text made of words."""

import random
import sys
from collections.abc import Sequence

_INTERESTING = (0, 1, 2, 3, 4, 5, 15, 16, 20, 72, 88, 127, 128, 255)
_WIDTHS = (1, 2, 4, 8)
_CHARACTERS = "\0\n\r\t\x1b\x7f\x85\u202e\u2028\u0660\u00b2\udcff\U0001f600é\\\"'%:/[](){}<>=!&|*?~#$;,.-_ 09az"


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Bytes with one to eight things wrong."""
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        if not mutant:
            break
        at = chance.randrange(len(mutant))
        what = chance.randrange(10)
        if what in (0, 7, 8):
            mutant[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            mutant[at] = chance.choice(_INTERESTING)
        elif what == 2:
            width = chance.choice(_WIDTHS)
            start = at - at % width
            number = chance.choice((*_INTERESTING, (1 << 8 * width) - 1, 1 << 8 * width - 1)) % (1 << 8 * width)
            order = sys.byteorder if chance.random() < 0.7 else "big"
            mutant[start : start + width] = number.to_bytes(width, order)
        elif what == 3:
            del mutant[at : at + chance.randint(1, 64)]
        elif what == 4:
            mutant[at:at] = chance.randbytes(chance.randint(1, 64))
        elif what == 5:
            del mutant[at:]
        else:
            mutant[at:at] = mutant[chance.randrange(len(mutant)) :][: chance.randint(1, 512)]
    return bytes(mutant)


def mutate_text(text: str, chance: random.Random) -> str:
    """Text with no to six characters wrong: other ones put in, taken out, doubled or changed places."""
    mutant = list(text)
    for _ in range(chance.choice((0, 0, 1, 1, 2, 6))):
        at = chance.randrange(len(mutant) + 1)
        what = chance.randrange(5)
        if what == 0:
            mutant[at:at] = chance.choice(_CHARACTERS)
        elif what == 1:
            del mutant[at : at + chance.randint(1, 4)]
        elif what == 2:
            mutant[at : at + 1] = chance.choice(_CHARACTERS)
        elif what == 3:
            mutant[at:at] = mutant[at : at + 8] * chance.choice((1, 2, 50))
        else:
            mutant[at:at] = str(chance.choice((0, -1, 65535, 65536, 1 << 63, 1 << 64, 10**30)))
    return "".join(mutant)


def words(chance: random.Random, known: Sequence[str], most: int, separator: str = " ") -> str:
    """Up to ``most`` known words in a row."""
    return separator.join(chance.choice(known) for _ in range(chance.randint(0, most)))
