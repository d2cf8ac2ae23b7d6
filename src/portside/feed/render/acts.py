"""Acts of an operator in words, for the formats that people read."""

from typing import Final

from portside.events import Act, ActName

_WORDS: Final[dict[ActName, str]] = {"send": "sent", "pause": "paused", "resume": "resumed", "note": "note:"}


def describe_act(event: Act) -> str:
    """Describe an act in one phrase: ``paused (unix uid 0)``."""
    words = (_WORDS.get(event.act, event.act), event.detail or "", f"({event.by})")
    return " ".join(word for word in words if word)
