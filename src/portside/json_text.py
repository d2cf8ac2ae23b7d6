"""JSON as every command writes it: a terminal may show it, and no string makes the encoder fail.

msgspec escapes the control characters below U+0020 and nothing else. Here every character that is not printable
(``str.isprintable``) becomes ``\\uXXXX``: DEL, the C1 controls (U+009B begins a terminal's commands), overrides of the
text's direction, line separators, characters without a width. So no string of a peer, of a file or of a recording
reaches a terminal as a command to it. A byte of a file name that is not UTF-8 (in Python a lone surrogate) is written
as the four characters ``\\xff``, as in text.
"""

import re
from typing import Final

import msgspec

_encode = msgspec.json.Encoder().encode
_DELETE: Final = b"\x7f"  # the one ASCII character that msgspec leaves as it is and a terminal does not show
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def encode_json(value: object) -> bytes:
    """A value as JSON in UTF-8, on one line."""
    try:
        encoded = _encode(value)
    except UnicodeEncodeError:
        encoded = _encode(_without_surrogates(msgspec.to_builtins(value)))
    if encoded.isascii() and _DELETE not in encoded:
        return encoded
    text = encoded.decode()
    return encoded if text.isprintable() else _escape_unprintable(text).encode()


def _escape_unprintable(text: str) -> str:
    """JSON with an escape for each unprintable character: outside strings it has none."""
    return text.translate({ord(each): each if each.isprintable() else _escape(each) for each in set(text)})


def _escape(character: str) -> str:
    """``\\uXXXX``, twice for a character beyond U+FFFF (RFC 8259, section 7)."""
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _without_surrogates(value: object) -> object:
    """A value of JSON's own types, with ``\\xff`` for each byte that is no UTF-8."""
    match value:
        case str():
            return _SURROGATE.sub(_escape_surrogate, value)
        case dict():
            return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
        case list() | tuple():
            return [_without_surrogates(each) for each in value]
    return value


def _escape_surrogate(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
