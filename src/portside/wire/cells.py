"""Where text stands on a terminal: the cells that its characters take, and the rows on which they come to stand.

The widths are those of Unicode (UAX #11, East Asian Width), from Python's own tables. A terminal that knows a newer
Unicode may disagree about a new character. Text is printable: no tab, no escape sequence.
"""

import unicodedata
from functools import lru_cache
from typing import Final

_JAMO: Final = (("\u1160", "\u11ff"), ("\ud7b0", "\ud7ff"))  # vowels and finals, drawn into the syllable before them


@lru_cache(maxsize=1024)
def cell_width(character: str) -> int:
    """The cells of one character: 0 where it is drawn over the one before it (a combining mark), otherwise 1 or 2."""
    if character.isascii():
        return 1
    if unicodedata.category(character) in ("Mn", "Me") or any(low <= character <= high for low, high in _JAMO):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def split_rows(text: str, columns: int) -> list[str]:
    """The rows of a text that begins in the first column of a terminal with this many columns, 2 at least.

    A wide character that does not fit goes to the next row. Text that ends with a full row is followed by an empty one,
    where the cursor is to stand.
    """
    if text.isascii():
        return [text[at : at + columns] for at in range(0, len(text) + 1, columns)]
    rows, start, used = [], 0, 0
    for at, character in enumerate(text):
        width = cell_width(character)
        if used + width > columns:
            rows.append(text[start:at])
            start, used = at, 0
        used += width
    rows.append(text[start:])
    if used == columns:
        rows.append("")
    return rows


def position(text: str, columns: int) -> tuple[int, int]:
    """The row and the column, both from 0, of the cursor behind a text that begins in the first column."""
    if text.isascii():
        return divmod(len(text), columns)
    rows = split_rows(text, columns)
    return len(rows) - 1, sum(map(cell_width, rows[-1]))
