"""Bytes and expressions as a test would write them: printable ASCII, in one line, of bounded length."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import re

_ESCAPES: Final = {code: chr(code) if 32 <= code < 127 else f"\\x{code:02x}" for code in range(256)} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    ord("\\"): "\\\\",
    ord('"'): '\\"',
}


def escaped(data: bytes) -> str:
    """The characters that stand for some bytes in a literal, without its quotes."""
    return "".join(map(_ESCAPES.__getitem__, data))


def literal(data: bytes) -> str:
    """A bytes literal, always with double quotes, so that the columns of two of them agree."""
    return f'b"{escaped(data)}"'


def shorten(data: bytes, most: int = 72, size: int | None = None) -> str:
    """A bytes literal, at most so many characters long. One that is cut says how long it is: ``size`` bytes."""
    size = len(data) if size is None else size
    shown = literal(data[:most])
    if size <= most and len(shown) <= most:
        return shown
    end = f'…" ({size} B)'
    return f"{shown[: most - len(end)]}{end}"


def describe(pattern: "bytes | re.Pattern[bytes] | None", most: int = 72) -> str:
    """A pattern as a test would write it, at most so many characters long; None is the client's FIN."""
    if pattern is None:
        return "FIN"
    if isinstance(pattern, bytes):
        return shorten(pattern, most)
    text = pattern.pattern.decode("latin-1")
    is_plain = text.isascii() and text.isprintable() and '"' not in text
    shown = f're.compile(rb"{text}")' if is_plain else f"re.compile({literal(pattern.pattern)})"
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
