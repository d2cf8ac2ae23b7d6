"""How a stream is cut into messages, as a value: ``--frame lines``, ``delim:0d0a``, ``length:u16be`` and others."""

import re
from typing import Any, Final, Literal, NamedTuple

from portside.errors import InvalidValue
from portside.nearest import nearest
from portside.units import parse_positive_duration, parse_positive_size

ByteOrder = Literal["big", "little"]
INTEGERS: Final[dict[str, tuple[int, ByteOrder]]] = {
    "u8": (1, "big"),
    "u16be": (2, "big"),
    "u16le": (2, "little"),
    "u24be": (3, "big"),
    "u24le": (3, "little"),
    "u32be": (4, "big"),
    "u32le": (4, "little"),
}
"""Width in bytes and byte order of the integers that frames and rules know by these names."""

_LENGTH_FIELD: Final = re.compile("(?P<integer>[^@+-]*)(?:@(?P<offset>[0-9]+))?(?P<correction>[+-][0-9]+)?")
_MOST_BYTES: Final = 65535  # of an offset or a correction: headers are short, and a mistyped number is caught


class LengthField(NamedTuple):
    """The length field of a message: the message is ``offset`` + width + length + ``correction`` bytes.

    ``integer`` is a name of ``INTEGERS``. The field begins ``offset`` bytes after the beginning of the message.
    """

    integer: str
    offset: int = 0
    correction: int = 0


class Frame(NamedTuple):
    """How a stream is cut into messages.

    The ``value`` depends on ``kind``: for ``delim`` the delimiter (bytes), for ``fixed`` the size of a message (bytes),
    for ``length`` a ``LengthField``, for ``idle`` the time in seconds; ``none`` and ``lines`` have none.
    """

    kind: str
    value: Any = None


_SYNONYMS = {"raw": "none", "crlf": "lines", "newline": "lines", "pause": "idle", "timeout": "idle", "size": "fixed"}


def parse_frame(text: str) -> Frame:
    """Read ``none``, ``lines``, ``delim:HEX``, ``fixed:N``, ``length:u16be@2-4`` or ``idle:DURATION``.

    Raises InvalidValue.
    """
    kind, colon, value = text.partition(":")
    if kind in ("none", "lines") and not colon:
        return Frame(kind)
    if kind == "delim":
        try:
            delimiter = bytes.fromhex(value)
        except ValueError:
            delimiter = b""
        if not 0 < len(delimiter) <= 64:
            raise InvalidValue(f"{value!r} is no delimiter: write 1 to 64 bytes in hex, as in delim:0d0a")
        return Frame(kind, delimiter)
    if kind == "fixed":
        return Frame(kind, parse_positive_size(value))
    if kind == "length":
        return Frame(kind, _parse_length_field(value))
    if kind == "idle":
        return Frame(kind, parse_positive_duration(value))
    near = nearest(kind, ("none", "lines", "delim", "fixed", "length", "idle"), _SYNONYMS)
    like = f" (did you mean {near}?)" if near else ""
    raise InvalidValue(
        f"{text!r} is no way to frame{like}: write none, lines, delim:HEX, fixed:N, length:u16be or idle:DURATION"
    )


def _parse_length_field(text: str) -> LengthField:
    written = _LENGTH_FIELD.fullmatch(text)
    if written is None or written["integer"] not in INTEGERS:
        integers = ", ".join(INTEGERS)
        raise InvalidValue(
            f"{text!r} is no length: write one of {integers}, and @OFFSET, +N or -N after it, as in length:u16be@2-4"
        )
    field = LengthField(written["integer"], int(written["offset"] or 0), int(written["correction"] or 0))
    if max(field.offset, abs(field.correction)) > _MOST_BYTES:
        raise InvalidValue(f"{text!r} is no length: an offset or a correction is at most {_MOST_BYTES} bytes")
    return field
