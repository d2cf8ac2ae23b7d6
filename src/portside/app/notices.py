"""Notices to the user about the run: one line each, on standard error."""

import os
import select
import sys
from collections.abc import Callable

from portside.errors import Hint

Notify = Callable[[str, Hint], object]
"""Takes a notice and what to do about it: ``write_notice``, or the log of a program that embeds a server."""


def write_notice(words: str, hint: Hint = None) -> None:
    """Write a notice, and what to do about it, to standard error."""
    write_stderr(notice_text(words, hint))


def notice_text(words: str, hint: Hint = None) -> str:
    """A notice as it is written: a line, and its hint, which may be several. Each is escaped, line feeds too."""
    lines = [f"portside: {words}"]
    if hint:
        first, *more = (hint,) if isinstance(hint, str) else hint
        lines += [f"hint: {first}", *more]
    if not all(map(str.isprintable, lines)):
        from portside.wire.escaping import escape_text  # most runs need it for nothing, and the start counts

        lines = [escape_text(line) for line in lines]
    return "".join(f"{line}\n" for line in lines)


def write_stderr(text: str) -> None:
    """Write lines to standard error, unless its reader is stuck or gone, which is no reason to fail."""
    try:
        # A standard error whose reader has stopped must not block any thread, least of all the loop.
        diverted = getattr(sys.stderr, "is_diverted", False)  # to what takes everything at once
        if not diverted and not select.select([], [sys.stderr], [], 0)[1]:
            return
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return


def wants_colour(fd: int) -> bool:
    """Whether a descriptor is a terminal that may get colours (https://no-color.org)."""
    return os.isatty(fd) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
