"""Acts of an operator in words, for the formats that people read."""

from typing import Final

from portside.events import Act, ActName

_WORDS: Final[dict[ActName, str]] = {"send": "sent", "pause": "paused", "resume": "resumed", "close": "closed"}


def describe_act(event: Act) -> str:
    """Describe an act in one phrase: ``paused (unix uid 0)``."""
    detail = f": {event.detail}" if event.detail is not None else ""
    return f"{_WORDS.get(event.act, event.act)}{detail} ({event.by})"
