"""Patterns of the filter language for text: ``*`` stands for any characters, ``?`` for one; nothing else is special."""

import fnmatch
import re
from collections.abc import Callable


def wildcard_matcher(pattern: str) -> Callable[[str], bool]:
    """The test whether a pattern matches a whole text, without regard to case.

    A pattern may come from a stranger. An expression with ``.*`` for each ``*`` takes minutes for ten of them; that of
    fnmatch never goes back over what a ``*`` has passed, so that each costs the length of the text at most.
    """
    translated = fnmatch.translate(pattern.replace("[", "[[]"))  # fnmatch has sets of characters, the filter none
    match = re.compile(translated, re.IGNORECASE).match
    return lambda text: match(text) is not None
