"""The escapes of ``wire.escaping`` for large binary data, with numpy: several times as fast as ``escape_binary``.

A byte has a cell of four bytes, which holds what is shown for it: ``A``, ``\\0`` or ``\\x1b``; unused bytes of a cell
are NUL, and are deleted at the end. The bytes of a character of UTF-8 have a cell each too: enough for the character or
for its escape (``\\u0085``, ``\\U000e0001``), which is never longer than four times the character.

A run of NUL is shortened within its cells: the first holds ``\\0`` and the multiplication sign, the next two hold the
number.

numpy takes 60 ms to import, so whoever uses this module imports it when there is something to gain.
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from portside.wire import escaping
from portside.wire.escaping import escape_byte
from portside.wire.zero_runs import FEWEST, TIMES, escaped_digit

_Octets: TypeAlias = npt.NDArray[np.uint8]
_Words: TypeAlias = npt.NDArray[np.uint32]
_Places: TypeAlias = npt.NDArray[np.intp]

CHUNK_BYTES: Final = 128 * 1024  # its cells fit a cache
_REST_BYTES: Final = CHUNK_BYTES // 8  # more in the last chunk: a small one of its own costs too much
_LONGEST: Final = 4  # bytes of a character
_MOST_BYTES: Final = 10**8  # of a chunk: the number of a longer run has more digits than two cells hold

_CELLS: Final[_Words] = np.frombuffer(b"".join(escape_byte(byte).ljust(4, b"\0") for byte in range(256)), "<u4")
_HEX: Final[_Words] = np.frombuffer(b"".join(b"%02x\0\0" % byte for byte in range(256)), "<u4")
_RUN_CELL: Final = np.frombuffer(b"\\0" + TIMES, "<u4")[0]
_NUMBERS: Final[_Words] = np.frombuffer(b"".join((b"%d" % number).ljust(4, b"\0") for number in range(10_000)), "<u4")
_FOUR_DIGITS: Final[_Words] = np.frombuffer(b"".join(b"%04d" % number for number in range(10_000)), "<u4")
_DIGITS_BEHIND: Final[_Words] = np.frombuffer(b"".join(map(escaped_digit, b"0123456789")), "<u4")
_TIMES_CODE: Final = ord(TIMES.decode())
_SMALL_ESCAPE, _LARGE_ESCAPE = np.frombuffer(b"\\u\0\0\\U00", "<u4")
_PRINTABLE: Final = np.fromiter((chr(code).isprintable() for code in range(0x10000)), bool)

# RFC 3629, section 4: the length of a character by its first byte, and the range of its second one.
_LENGTHS: Final = np.zeros(256, np.uint8)
_LENGTHS[0xC2:0xE0], _LENGTHS[0xE0:0xF0], _LENGTHS[0xF0:0xF5] = 2, 3, 4
_SECOND_LOW: Final = np.full(256, 0x80, np.uint8)
_SECOND_LOW[0xE0], _SECOND_LOW[0xF0] = 0xA0, 0x90
_SECOND_HIGH: Final = np.full(256, 0xBF, np.uint8)
_SECOND_HIGH[0xED], _SECOND_HIGH[0xF4] = 0x9F, 0x8F


def escape_binary(data: bytes) -> bytes:
    """The data with its escapes and short forms, line feeds apart."""
    chunks = []
    at = 0
    while at < len(data):
        end = at + CHUNK_BYTES
        if end + _REST_BYTES >= len(data):
            end = len(data)
        else:  # at a line feed, which is part of no character and of no run
            end = data.rfind(b"\n", at, end) + 1 or data.find(b"\n", end) + 1 or len(data)
        chunk = data[at:end]
        chunks.append(_escape_chunk(chunk) if len(chunk) < _MOST_BYTES else escaping.escape_binary(chunk))
        at = end
    return b"".join(chunks)


def _escape_chunk(data: bytes) -> bytes:
    octets = np.frombuffer(data + bytes(_LONGEST), np.uint8)  # so that the bytes after a first one can be looked at
    cells = _CELLS.take(octets[:-_LONGEST])
    starts = np.flatnonzero((octets[:-1] >= 0xC2) & _continues(octets[1:]))
    if starts.size:
        _put_characters(cells, octets, starts)
    pairs = octets[: len(data) & ~1].view(np.uint16) == 0  # of a run, two neighbours are: a search for it costs more
    if np.any(pairs[:-1] & pairs[1:]):
        _put_runs(cells, octets)
    shown = cells.view(np.uint8)
    return shown.compress(shown != 0).tobytes()


def _continues(octets: _Octets) -> npt.NDArray[np.bool]:
    """Which bytes are inside a character."""
    inside: npt.NDArray[np.bool] = (octets & 0xC0) == 0x80
    return inside


def _put_characters(cells: _Words, octets: _Octets, starts: _Places) -> None:
    """Write the characters into the cells of their bytes; ``starts``: where one may begin."""
    first, second = octets[starts], octets[starts + 1]
    lengths = _LENGTHS[first]
    valid = (lengths > 0) & (second >= _SECOND_LOW[first]) & (second <= _SECOND_HIGH[first])
    for index in range(2, _LONGEST):
        valid &= (lengths <= index) | _continues(octets[starts + index])
    starts, lengths = starts[valid], lengths[valid]
    for length in range(2, _LONGEST + 1):
        places = starts[lengths == length]
        if not places.size:
            continue
        codes = (octets[places] & (0x7F >> length)).astype(np.uint32)
        for index in range(1, length):
            codes = codes << 6 | octets[places + index] & 0x3F
        printable = _are_printable(codes)
        if length == 2:
            printable &= ~_follow_zero(octets, places, codes)
        for index in range(length):
            shown = places[printable] + index
            cells[shown] = octets[shown]
        if not printable.all():
            _put_escapes(cells, places[~printable], codes[~printable], length)


def _follow_zero(octets: _Octets, places: _Places, codes: _Words) -> npt.NDArray[np.bool]:
    """Which characters are multiplication signs behind a NUL, or behind the text ``\\0``."""
    follow: npt.NDArray[np.bool] = codes == _TIMES_CODE
    for index in np.flatnonzero(follow).tolist():
        before = octets[max(0, places[index] - 2) : places[index]].tobytes()
        follow[index] = before.endswith(b"\0") or before == b"\\0"
    return follow


def _put_runs(cells: _Words, octets: _Octets) -> None:
    """Shorten the runs of NUL."""
    inside = np.zeros(cells.size + 2, np.int8)
    inside[1:-1] = octets[: cells.size] == 0
    edges = np.flatnonzero(np.diff(inside))
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= FEWEST
    starts, ends = starts[long], ends[long]
    inside[:] = 0
    inside[starts], inside[ends] = 1, -1
    cells[np.cumsum(inside[:-2], dtype=np.int8).view(np.bool)] = 0
    high, low = np.divmod(ends - starts, 10_000)
    is_large = high > 0
    cells[starts] = _RUN_CELL
    cells[starts + 1] = np.where(is_large, _NUMBERS[high], _NUMBERS[low])
    cells[starts + 2] = np.where(is_large, _FOUR_DIGITS[low], 0)
    behind = octets[ends]
    is_digit = (behind >= ord("0")) & (behind <= ord("9"))
    cells[ends[is_digit]] = _DIGITS_BEHIND[behind[is_digit] - ord("0")]


def _are_printable(codes: _Words) -> npt.NDArray[np.bool]:
    if codes[0] < len(_PRINTABLE):
        return _PRINTABLE[codes]
    return np.fromiter((chr(code).isprintable() for code in codes.tolist()), bool, codes.size)


def _put_escapes(cells: _Words, places: _Places, codes: _Words, length: int) -> None:
    """Write the escapes of characters that are ``length`` bytes long each."""
    high, middle, low = _HEX[codes >> 16], _HEX[codes >> 8 & 0xFF] << 16, _HEX[codes & 0xFF]
    words = (_SMALL_ESCAPE | middle, low, 0) if length < _LONGEST else (_LARGE_ESCAPE, high | middle, low, 0)
    for index, word in enumerate(words[:length]):
        cells[places + index] = word
