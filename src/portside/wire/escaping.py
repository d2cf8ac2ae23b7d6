"""Bytes from the network as text that is safe to show anywhere.

What is printable stays as it is; everything else is written as an escape: ``\\n``, ``\\r``, ``\\t``, ``\\0``,
``\\x1b``, a byte that is no UTF-8 as ``\\xff``, an invisible character (a text direction override, for example) as
``\\u202e``. So no byte from the network reaches a terminal as a command to it.
"""

import codecs

_NAMED = {0: "\\0", 9: "\\t", 10: "\\n", 13: "\\r"}
_ASCII_CONTROLS = {code: _NAMED.get(code, f"\\x{code:02x}") for code in (*range(32), 127)}

PRINTABLE_ASCII = bytes(range(32, 127))


def escape(data: bytes) -> str:
    """Show bytes as one line of text, whatever they are."""
    text = data.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    text = text.translate(_ASCII_CONTROLS)
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(ord(character)) for character in text)


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unfinished_utf8(data: bytes) -> int:
    """How many bytes at the end begin a UTF-8 character that is not whole yet: 0 to 3 (RFC 3629, section 4)."""
    tail = data[-3:]
    return len(tail) - codecs.utf_8_decode(tail, "replace", False)[1]
