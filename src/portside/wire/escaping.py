"""Bytes from the network as text that is safe to show anywhere.

Printable text stays as it is; everything else is written as an escape: ``\\n``, ``\\r``, ``\\t``, ``\\0``, ``\\x1b``, a
byte that is not valid UTF-8 as ``\\xff``, an invisible character (a text direction override, say) as ``\\u202e``. So no
byte from the network reaches a terminal as a command to it. Runs of NUL are shortened (``zero_runs``).

Every step over the bytes is one call of Python's own C code. There are two ways, which say the same:

Text goes through ``repr``, which escapes exactly the characters that are not printable (``str.isprintable`` is defined
by it). Its result differs from what is wanted here in few places:

    wanted        repr of the decoded text     why
    ``\\``        ``\\\\``                       a backslash is printable; NUL stands for it for a while
    ``\\xff``     ``\\udcff``                  "surrogateescape" decodes a byte that is not UTF-8 as U+DC80 to U+DCFF
    ``\\u0085``   ``\\x85``                    U+0080 to U+00AD are characters, and ``\\x85`` is a byte
    ``\\0``       ``\\x00``
    ``'``         ``\\'``                      where the text has both kinds of quotes

Much binary data goes through a table with four columns, the four places that a byte may take: each column is one
``bytes.translate`` of all bytes, written into every fourth place, and unused places are deleted at the end. Where bytes
may be characters of UTF-8 they are taken out before, as text, and put back. For data of many kilobytes there is
``wire.bulk_escaping`` besides.
"""

import codecs
import re
from collections.abc import Callable
from typing import Final

from portside.wire.zero_runs import RUN, escape_mistakable, has_mistakable, join_runs, shorten_zeros, split_runs

PRINTABLE_ASCII: Final = bytes(range(32, 127))
_NAMED: Final = {0: b"\\0", 9: b"\\t", 13: b"\\r"}
_BACKSLASH: Final = "\0"  # stands for a backslash of the text: no text that repr has escaped holds a NUL
_LATIN_1: Final = re.compile(r"\\x(?=[89a])")  # of U+0080 to U+00AD: other escapes of repr begin with 0, 1 or 7
_MUCH_BYTES: Final = 256  # of binary data, for which the table pays
_UNUSED: Final = 0  # in a column
_TAKEN_OUT, _MARK = b"\xff", b"\x01"  # in the place of bytes that were taken out, before the table and after it
_RUN_TAKEN_OUT, _RUN_MARK = b"\xfe", b"\x02"  # the same for runs of NUL
_BEGINS_SURROGATE: Final = re.compile(rb"\xed[\xa0-\xbf]\Z")  # no character, but Python waits for its third byte
_MAYBE_CHARACTERS: Final = re.compile(rb"([\xc2-\xf4][\x80-\xbf]+|[\xfe\xff])")


def _escape(text: str) -> str:
    """The text with its escapes, and ``_BACKSLASH`` for each backslash that is none of an escape."""
    shown = repr(text)[1:-1]
    if "\\" in text:
        shown = shown.replace("\\\\", _BACKSLASH)
    if "'" in text:
        shown = shown.replace("\\'", "'")
    if not text.isascii():
        shown = _LATIN_1.sub(r"\\u00", shown).replace("\\udc", "\\x")
    return shown.replace("\\x00", "\\0")


def escape_binary(data: bytes) -> bytes:
    """The data with its escapes and short forms, line feeds apart."""
    pieces = _MAYBE_CHARACTERS.split(escape_mistakable(data))
    bytes_alone = _TAKEN_OUT.join(pieces[::2])
    if RUN in bytes_alone:
        between, forms = split_runs(bytes_alone)
        shown = join_runs(_escape_bytes(_RUN_TAKEN_OUT.join(between)).split(_RUN_MARK), forms)
    else:
        shown = _escape_bytes(bytes_alone)
    taken_out = b"\n".join(pieces[1::2]).decode("utf-8", "surrogateescape")
    pieces[::2] = shown.split(_MARK)
    if taken_out:
        pieces[1::2] = _escape(taken_out).encode().split(b"\\n")
    return b"".join(pieces)


def _escape_bytes(data: bytes) -> bytes:
    """The text for bytes that belong to no character of several bytes."""
    places = bytearray(4 * len(data))
    for place, column in enumerate(_COLUMNS):
        places[place::4] = data.translate(column)
    return bytes(places.translate(None, bytes((_UNUSED,))))


def escape_byte(byte: int) -> bytes:
    """A byte that belongs to no character of several bytes, with its escape; a line feed as it is."""
    is_shown = byte in PRINTABLE_ASCII or byte == ord("\n")
    return bytes((byte,)) if is_shown else _NAMED.get(byte, b"\\x%02x" % byte)


def _columns() -> tuple[bytes, ...]:
    shown = [escape_byte(byte) for byte in range(256)]
    shown[_TAKEN_OUT[0]], shown[_RUN_TAKEN_OUT[0]] = _MARK, _RUN_MARK
    return tuple(bytes(each.ljust(4, bytes((_UNUSED,)))[place] for each in shown) for place in range(4))


_COLUMNS: Final = _columns()


def escape(data: bytes, binary: Callable[[bytes], bytes] = escape_binary) -> str:
    """Bytes of any kind as one line of printable text; ``binary`` is ``escape_binary`` or a faster equivalent."""
    if len(data) > _MUCH_BYTES and _is_binary(data):
        return binary(data).replace(b"\n", b"\\n").decode()
    return escape_text(shorten_zeros(data).decode("utf-8", "surrogateescape"))


def _is_binary(data: bytes) -> bool:
    """Whether data is no UTF-8, or has a run of NUL."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return RUN in data


def escape_name(name: bytes) -> str:
    """A name, written as by ``escape`` with each backslash doubled: names that differ look different."""
    return escape(name.replace(b"\\", b"\\\\"))


def escape_text(text: str) -> str:
    """Text of any origin as one line of printable text; a byte of a file name that is no UTF-8 as ``\\xff``."""
    return text if text.isprintable() else _escape(text).replace(_BACKSLASH, "\\")


def escape_lines(data: bytes, separator: bytes, binary: Callable[[bytes], bytes] = escape_binary) -> bytes:
    """Lines, each as ``escape`` writes it, with ``separator`` in place of the line feeds between them.

    ``binary`` is ``escape_binary`` or a faster equivalent.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return binary(data).replace(b"\n", separator)
    if b"\0" in data and RUN in data:
        return binary(data).replace(b"\n", separator)
    if not text.isascii() and has_mistakable(data):
        data = shorten_zeros(data)
        text = data.decode()
    if text.replace("\n", "").isprintable():
        return data.replace(b"\n", separator)
    return _escape(text).replace("\\n", "\n").replace(_BACKSLASH, "\\").encode().replace(b"\n", separator)


def unfinished_utf8(data: bytes) -> int:
    """How many bytes at the end begin a UTF-8 character that is not whole yet: 0 to 3 (RFC 3629, section 4)."""
    tail = data[-3:]
    size = len(tail) - codecs.utf_8_decode(tail, "replace", False)[1]
    return 0 if _BEGINS_SURROGATE.search(tail) else size
