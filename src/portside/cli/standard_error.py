"""Standard error of the program: whatever is written to it, by whichever part, a terminal may show.

Notices, errors, tracebacks, the log and the warnings of Python itself all pass here. Line feeds are the only control
characters that come through. What draws on a terminal itself, such as a progress bar, uses ``sys.__stderr__``.
"""

import io
import sys


class EscapedStandardError(io.TextIOWrapper):
    """A text stream to descriptor 2 in which every unprintable character but the line feed becomes an escape."""

    def __init__(self) -> None:
        binary = io.BufferedWriter(io.FileIO(2, "w", closefd=False))
        encoding = sys.stderr.encoding if sys.stderr is not None else "utf-8"
        super().__init__(binary, encoding=encoding, errors="backslashreplace", line_buffering=True)

    def write(self, text: str, /) -> int:
        if not text.replace("\n", "").isprintable():
            from portside.wire.escaping import escape_text

            text = "\n".join(map(escape_text, text.split("\n")))
        return super().write(text)
