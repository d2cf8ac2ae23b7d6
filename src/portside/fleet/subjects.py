"""The names that the fleet uses in NATS: its stream, and the subject of each message.

A subject is ``portside.SITE.NODE.KIND``, so that a consumer takes what it wants and no more: ``portside.*.*.closed``,
``portside.paris.>``. Site and node are words of a subject: what NATS has a meaning for (dots, ``*``, ``>``, spaces)
and what is no ASCII becomes ``_`` in it; a message has both in full.
"""

import re
from collections.abc import Iterable
from typing import Final

from portside.fleet.schema import Kind

STREAM: Final = "PORTSIDE"
ALL: Final = "portside.>"
DEFAULT_SITE: Final = "default"

_NO_WORD: Final = re.compile(r"[^A-Za-z0-9_-]")


def word(name: str) -> str:
    """A name as a word of a subject."""
    return _NO_WORD.sub("_", name) or "_"


def subject(site: str, node: str, kind: Kind) -> str:
    """The subject of the messages of a node of one kind."""
    return f"portside.{word(site)}.{word(node)}.{kind}"


def of_kinds(kinds: Iterable[Kind], site: str | None = None, node: str | None = None) -> list[str]:
    """The subjects of some kinds, of a site and a node or of all, as a consumer asks for them."""
    where = f"portside.{'*' if site is None else word(site)}.{'*' if node is None else word(node)}"
    return [f"{where}.{kind}" for kind in kinds]


def kind_of(subject: str) -> str:
    """The kind of the message with this subject."""
    return subject.rpartition(".")[2]
