"""The word that a misspelt one most likely stands for."""

from collections.abc import Iterable


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The nearest of some words, one that begins with ``word`` before others; None where none is near."""
    from difflib import get_close_matches  # needed where something is wrong, and loaded only then

    words = list(words)
    longer = [each for each in words if len(word.strip("-")) > 2 and each.startswith(word)]
    return next(iter(longer or get_close_matches(word, words, 1, 0.7)), None)
