"""The format ``hex``: the lines of ``text``, with each message as an offset/hex/ASCII dump."""

from typing import Final

from portside.feed.render.streams import Stream
from portside.feed.render.text import LineRenderer
from portside.wire.escaping import PRINTABLE_ASCII
from portside.wire.framing import Cut

_ASCII: Final = bytes(code if code in PRINTABLE_ASCII else ord(".") for code in range(256))
_WIDTH: Final = 16
_SHORT_BYTES: Final = 512  # up to this row by row is faster

# A block of rows is filled column by column: a column is every ``_ROW``-th byte of the block, so one slice assignment,
# in C, fills it for all rows. 256 rows have all values of the last three digits of an offset, and fit the cache.
_BLOCK_ROWS: Final = 256
_BLOCK: Final = "".join(
    f"    00000{row * _WIDTH:03x}  {'':23}  {'':23}  |{'':16}|\n" for row in range(_BLOCK_ROWS)
).encode()
_ROW: Final = len(_BLOCK) // _BLOCK_ROWS
_HIGH_DIGITS_AT: Final = 4
_HEX_AT: Final = tuple(14 + 3 * column + (column >= 8) for column in range(_WIDTH))
_ASCII_AT: Final = 65


def dump(data: bytes) -> bytes:
    """Sixteen bytes a line: offset, hex, ASCII."""
    whole = len(data) - len(data) % _WIDTH
    if whole <= _SHORT_BYTES:
        whole = 0
    size = _BLOCK_ROWS * _WIDTH
    blocks = [_dump_block(data[at : min(at + size, whole)], at) for at in range(0, whole, size)]
    return b"".join([*blocks, dump_rows(data, whole)])


def dump_rows(data: bytes, start: int = 0) -> bytes:
    """The rows of ``dump`` from an offset on, one by one."""
    rows = []
    for at in range(start, len(data), _WIDTH):
        row = data[at : at + _WIDTH]
        left, right = row[:8].hex(" "), row[8:].hex(" ")
        rows.append(f"    {at:08x}  {left:<23}  {right:<23}  |{row.translate(_ASCII).decode('ascii')}|\n")
    return "".join(rows).encode()


def _dump_block(data: bytes, start: int) -> bytearray:
    """The rows of a block, of which only the last of a message may be shorter than the others."""
    rows = len(data) // _WIDTH
    block = bytearray(_BLOCK[: rows * _ROW])
    if start:
        for digit_at, digit in enumerate(b"%05x" % (start >> 12), _HIGH_DIGITS_AT):
            block[digit_at::_ROW] = bytes((digit,)) * rows
    digits, ascii_ = data.hex().encode(), data.translate(_ASCII)
    for column, hex_at in enumerate(_HEX_AT):
        block[hex_at::_ROW] = digits[2 * column :: 2 * _WIDTH]
        block[hex_at + 1 :: _ROW] = digits[2 * column + 1 :: 2 * _WIDTH]
        block[_ASCII_AT + column :: _ROW] = ascii_[column::_WIDTH]
    return block


class HexRenderer(LineRenderer):
    """Renders ``12:00:04.001  #1 127.0.0.1:33406  > 6 B``, and the dump below it."""

    def messages(self, out: list[bytes], stream: Stream, at: int, messages: list[bytes]) -> None:
        head = self.stamp(at) + stream.prefix
        for message in messages:
            out.append(b"%s%d B\n%s" % (head, len(message), dump(message)))
            if type(message) is Cut:
                out.append(self.cut_note(stream, at))

    def fast_path(self, out: list[bytes], stream: Stream, at: int, data: bytes) -> int:
        if self._frame.kind != "none":
            return 0
        self.messages(out, stream, at, [data])
        return len(data)
