"""Conditions on a message as regular expressions of RE2 over bytes.

RE2 (https://github.com/google/re2/wiki/Syntax) takes time in proportion to the message, whatever the expression, so no
expression hangs the server. The size of an expression and of the program that RE2 makes of it is limited, too.
"""

import re
from typing import Any, NamedTuple

import re2

from portside.errors import InvalidValue

LONGEST = 1000  # bytes of an expression
LARGEST_PROGRAM = 2000  # instructions; with n of them RE2 takes at worst n steps a byte
_MEMORY_BYTES = 1 << 20  # for what RE2 makes of one expression
SET_MEMORY_BYTES = 16 << 20

_GROUP_NAME = r"[A-Za-z_]\w*"
_HEX_TOKEN = re.compile(rf"\s*(?:([0-9A-Fa-f?]{{2}})|(\*)|(\((?:{_GROUP_NAME}:)?)|(\)))\s*", re.ASCII)


class Pattern(NamedTuple):
    """An expression: its text, what RE2 made of it, and its groups: their number, and those with names."""

    source: bytes
    compiled: Any  # re2 has no types
    groups: int
    names: dict[str, int]


def options(memory: int = _MEMORY_BYTES) -> Any:
    """RE2's options: bytes in, nothing printed by RE2 itself."""
    chosen = re2.Options()
    chosen.encoding = re2.Options.Encoding.LATIN1
    chosen.log_errors = False
    chosen.max_mem = memory
    return chosen


def regex(text: str, *, ignore_case: bool = False) -> Pattern:
    """An expression as it is written, found anywhere in a message. Raises InvalidValue."""
    source = text.encode("utf-8", "surrogateescape")
    if len(source) > LONGEST:
        raise InvalidValue(f"an expression of {len(source)} B: at most {LONGEST} are taken")
    return _compile(source, ignore_case=ignore_case)


def containing(text: bytes, *, ignore_case: bool = False) -> Pattern:
    """A text anywhere in a message. Raises InvalidValue."""
    return _compile(_quoted(text), ignore_case=ignore_case)


def wildcards(parts: list[bytes]) -> Pattern:
    """A whole message: the parts with anything between them, each thing between a group. Raises InvalidValue."""
    return _compile(rb"(?s)\A" + b"(.*?)".join(map(_quoted, parts)) + rb"\z")


def hexadecimal(text: str) -> Pattern:
    """A whole message in hex: ``de ?? be*``. Raises InvalidValue.

    ``??`` is any byte, ``d?`` one with that half, ``*`` any bytes or none. Each run of ``??`` and each ``*`` is a
    group, and so is what is in parentheses: ``02 (length:??) (* 03)``.
    """
    made: list[bytes] = []
    at, open_at, after_wildcard = 0, -1, False
    while at < len(text):
        token = _HEX_TOKEN.match(text, at)
        if token is None:
            raise InvalidValue(f"no hex at {text[at : at + 10]!r}: write de ?? be * (name: ?? ??)")
        byte, star, opening, closing = token.groups()
        is_wildcard = byte == "??" and open_at < 0
        if after_wildcard and not is_wildcard:
            made.append(b")")
        if is_wildcard and not after_wildcard:
            made.append(b"(")
        after_wildcard = is_wildcard
        if byte:
            made.append(_byte(byte))
        elif star:
            made.append(b".*?" if open_at >= 0 else b"(.*?)")
        elif opening:
            if open_at >= 0:
                raise InvalidValue("parentheses in parentheses")
            open_at = at
            made.append(b"(?P<%s>" % opening[1:-1].encode() if len(opening) > 1 else b"(")
        else:
            if open_at < 0:
                raise InvalidValue("a ) without its (")
            open_at = -1
            made.append(closing.encode())
        at = token.end()
    if open_at >= 0:
        raise InvalidValue("a ( without its )")
    if after_wildcard:
        made.append(b")")
    if not made:
        raise InvalidValue("there is no hex: write de ?? be *")
    return _compile(rb"(?s)\A" + b"".join(made) + rb"\z")


def _byte(written: str) -> bytes:
    high, low = written[0], written[1]
    if written == "??":
        return b"."
    if high == "?":
        return b"[" + b"".join(rb"\x%x%c" % (each, ord(low)) for each in range(16)) + b"]"
    if low == "?":
        return rb"[\x%c0-\x%cf]" % (ord(high), ord(high))
    return rb"\x" + written.encode()


def _quoted(text: bytes) -> bytes:
    return b"".join(rb"\x%02x" % byte for byte in text)


def _compile(source: bytes, *, ignore_case: bool = False) -> Pattern:
    if ignore_case:
        source = b"(?i)" + source
    try:
        compiled = re2.compile(source, options())
    except re2.error as error:
        words = error.args[0].decode("utf-8", "replace") if error.args else "it cannot be read"
        raise InvalidValue(f"RE2 does not take it: {words}") from None
    if compiled.programsize > LARGEST_PROGRAM:
        raise InvalidValue(
            f"too large an expression: {compiled.programsize} instructions, at most {LARGEST_PROGRAM} are taken"
        )
    names = {name.decode(): index for name, index in compiled.groupindex.items()}
    return Pattern(source, compiled, compiled.groups, names)
