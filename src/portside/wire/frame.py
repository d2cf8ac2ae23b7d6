"""How a stream is cut into messages, as a value: ``--frame lines``, ``delim:0d0a``, ``length:u16be`` and others."""

from typing import Any, Final, Literal, NamedTuple

from portside.errors import InvalidValue
from portside.units import parse_positive_duration, parse_positive_size

ByteOrder = Literal["big", "little"]
INTEGERS: Final[dict[str, tuple[int, ByteOrder]]] = {
    "u8": (1, "big"),
    "u16be": (2, "big"),
    "u16le": (2, "little"),
    "u32be": (4, "big"),
    "u32le": (4, "little"),
}
"""Width in bytes and byte order of the integers that frames and rules know by these names."""


class Frame(NamedTuple):
    """How a stream is cut into messages.

    The ``value`` depends on ``kind``: for ``delim`` the delimiter (bytes), for ``fixed`` the size of a message (bytes),
    for ``length`` a name of ``INTEGERS``, for ``idle`` the time in seconds; ``none`` and ``lines`` have none.
    """

    kind: str
    value: Any = None


def parse_frame(text: str) -> Frame:
    """Read ``none``, ``lines``, ``delim:HEX``, ``fixed:N``, ``length:u16be`` or ``idle:DURATION``.

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
        if value not in INTEGERS:
            raise InvalidValue(f"{value!r} is no length: write one of {', '.join(INTEGERS)}")
        return Frame(kind, value)
    if kind == "idle":
        return Frame(kind, parse_positive_duration(value))
    raise InvalidValue(
        f"{text!r} is no way to frame: write none, lines, delim:HEX, fixed:N, length:u16be or idle:DURATION"
    )
