"""A stream of bytes as text that a terminal may show as it comes: no message, no time, no name in front of it."""

import re
from typing import Final

from portside.wire.escaping import escape, unfinished_utf8
from portside.wire.zero_runs import CONTEXT_BYTES, separate

_BREAKS: Final = re.compile(rb"(\r?\n|\t)")  # which stay: line ends, CR LF among them, and tabs


class TerminalText:
    """Escapes one stream: every unprintable character but line ends and tabs.

    What may continue in the next read is held back: the beginning of a UTF-8 character, and a CR that LF may follow.
    """

    def __init__(self) -> None:
        self._held = b""
        self._before = b""  # the last bytes that were shown

    def feed(self, data: bytes) -> bytes:
        """The text of these bytes, as far as they are complete."""
        data = self._held + data
        size = 1 if data.endswith(b"\r") else unfinished_utf8(data)
        self._held = data[len(data) - size :]
        return self._escape(data[: len(data) - size])

    def finish(self) -> bytes:
        """The text of what is held back, at the end of the stream."""
        data, self._held = self._held, b""
        return self._escape(data)

    def _escape(self, data: bytes) -> bytes:
        parts = _BREAKS.split(data)
        before, self._before = self._before, (self._before + data)[-CONTEXT_BYTES:]
        parts[0] = separate(before, parts[0])
        parts[::2] = [escape(part).encode() for part in parts[::2]]
        parts[1::2] = [b"\t" if part == b"\t" else b"\n" for part in parts[1::2]]
        return b"".join(parts)
