"""Standard error of the program: whatever is written to it, by whichever part, a terminal may show.

Notices, errors, tracebacks, the log and the warnings of Python itself all pass here. Line feeds are the only control
characters that come through. What draws on a terminal itself, such as a progress bar, uses ``sys.__stderr__``.
"""

import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Descriptor(io.FileIO):
    """Descriptor 2, or what takes its bytes in its place."""

    take: Callable[[bytes], None] | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        if self.take is None:
            return super().write(data)
        taken = bytes(data)
        self.take(taken)
        return len(taken)


class EscapedStandardError(io.TextIOWrapper):
    """A text stream to descriptor 2 in which every unprintable character but the line feed becomes an escape."""

    def __init__(self) -> None:
        self._descriptor = _Descriptor(2, "w", closefd=False)
        binary = io.BufferedWriter(self._descriptor)
        encoding = sys.stderr.encoding if sys.stderr is not None else "utf-8"
        super().__init__(binary, encoding=encoding, errors="backslashreplace", line_buffering=True)

    @property
    def is_diverted(self) -> bool:
        """Whether something takes all bytes at once, so that no write blocks."""
        return self._descriptor.take is not None

    def divert(self, take: Callable[[bytes], None] | None) -> None:
        """Have a function take the bytes, on whichever thread writes them; None: descriptor 2 again."""
        self._descriptor.take = take

    def write(self, text: str, /) -> int:
        if not text.replace("\n", "").isprintable():
            from portside.wire.escaping import escape_text

            text = "\n".join(map(escape_text, text.split("\n")))
        return super().write(text)
