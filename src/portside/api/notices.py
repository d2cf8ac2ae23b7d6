"""Notices of a server or a connection in somebody else's program: they go to its log, never to standard error."""

import logging

from portside.errors import Hint

_log = logging.getLogger("portside")
_log.addHandler(logging.NullHandler())  # as a library does: silent unless the program asks for its log


def log_notice(words: str, hint: Hint = None) -> None:
    """Log a notice, and what to do about it, under ``portside`` as info."""
    hints = (hint,) if isinstance(hint, str) else hint or ()
    _log.info("%s", "; ".join((words, *hints)))
