"""What was expected beside what came, as a reader sees it: the first difference, in text and in hex."""

from typing import TYPE_CHECKING, Final

from portside.feed.render.hexdump import dump_rows
from portside.testing.literals import describe, escaped, shorten

if TYPE_CHECKING:
    import re

_TEXT_BYTES: Final = 40  # of each side, around the difference
_BEFORE_BYTES: Final = 16
_ROW_BYTES: Final = 16
_ROWS: Final = 3
_EXPECTED: Final = "expected  "
_GOT: Final = "got       "


def difference(expected: "bytes | re.Pattern[bytes] | None", got: bytes, size: int) -> list[str]:
    """Lines that show what was expected and what came, and where they differ first.

    ``got`` is the beginning of ``size`` bytes that came.
    """
    if not isinstance(expected, bytes):
        return [_EXPECTED + describe(expected), *unexpected(got, size)]
    at = first_difference(expected, got)
    row = at - at % _ROW_BYTES
    return [
        *_texts(expected, got, size, at),
        "",
        *_hex(_EXPECTED, expected, row),
        *_hex(_GOT, got, row),
    ]


def unexpected(got: bytes, size: int) -> list[str]:
    """Lines that show what came, where there is nothing to compare it with."""
    return [_GOT + shorten(got, size=size), "", *_hex(_GOT, got, 0)]


def first_difference(expected: bytes, got: bytes) -> int:
    """The offset of the first byte that differs; the shorter one's end, where it is the beginning of the longer."""
    most = min(len(expected), len(got))
    if expected[:most] == got[:most]:
        return most
    return next(at for at in range(most) if expected[at] != got[at])


def _texts(expected: bytes, got: bytes, size: int, at: int) -> list[str]:
    """Both as literals, cut alike, with a mark below the first difference."""
    start = 0 if at < _TEXT_BYTES - _BEFORE_BYTES else at - _BEFORE_BYTES
    cut = "…" if start else ""
    lines = []
    for label, data, whole in ((_EXPECTED, expected, len(expected)), (_GOT, got, size)):
        part = data[start : start + _TEXT_BYTES]
        end = '"' if whole <= start + len(part) else f'…" ({whole} B)'
        lines.append(f'{label}b"{cut}{escaped(part)}{end}')
    mark = len(_EXPECTED) + len('b"') + len(cut) + len(escaped(expected[start:at]))
    return [*lines, f"{' ' * mark}^ {_words(expected, got, size, at)}"]


def _words(expected: bytes, got: bytes, size: int, at: int) -> str:
    if at == len(expected):
        return f"{size - at} B more than expected, from byte {at} on"
    if at == len(got):
        return f"ends at byte {at}, {len(expected) - at} B short"
    return f"first difference, at byte {at}: 0x{expected[at]:02x} expected, 0x{got[at]:02x} came"


def _hex(label: str, data: bytes, start: int) -> list[str]:
    """Some rows of a hex dump, from an offset on."""
    rows = dump_rows(data[: start + _ROW_BYTES * _ROWS], start).decode().splitlines() or [f"{start:08x}  (nothing)"]
    return [(" " * len(label) if number else label) + row.strip() for number, row in enumerate(rows)]
