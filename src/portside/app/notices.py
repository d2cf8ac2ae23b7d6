"""Notices to the user about the run: one line each, on standard error."""

import os
import select
import sys
from typing import TextIO


def write_notice(words: str, hint: str | None = None) -> None:
    """Write a notice, and what to do about it, to standard error."""
    write_stderr(f"portside: {words}\n" + (f"hint: {hint}\n" if hint else ""))


def write_stderr(text: str) -> None:
    """Write lines to standard error, unless its reader is stuck or gone, which is no reason to fail."""
    try:
        # A standard error whose reader has stopped must not block any thread, least of all the loop.
        if not select.select([], [sys.stderr], [], 0)[1]:
            return
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal that may get colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
