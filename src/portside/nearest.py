"""The word that a misspelt one most likely stands for."""

from collections.abc import Iterable, Mapping


def nearest(word: str, words: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str | None:
    """The nearest of some words, one that begins with ``word`` before others; None where none is near.

    ``synonyms`` are words that mean one of them and do not look like it.
    """
    from difflib import get_close_matches  # needed where something is wrong, and loaded only then

    words = list(words)
    if synonyms and (same := synonyms.get(word)) in words:
        return same
    longer = [each for each in words if len(word.strip("-")) > 2 and each.startswith(word)]
    return next(iter(longer or get_close_matches(word, words, 1, 0.7)), None)
