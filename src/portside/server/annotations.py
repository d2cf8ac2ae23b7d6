"""What operators write down about connections: a note and tags, kept after the connection has closed, within bounds."""

from collections.abc import Container
from typing import Final

import msgspec

from portside.errors import InvalidValue

MOST_NOTE_CHARACTERS: Final = 1000
MOST_TAGS: Final = 16
MOST_TAG_CHARACTERS: Final = 64
MOST_ANNOTATIONS: Final = 10_000  # with all that they may hold some 20 MB


class Annotation(msgspec.Struct, frozen=True, gc=False):
    """The note and the tags of one connection."""

    note: str | None = None
    tags: tuple[str, ...] = ()


class Annotations:
    """The annotations of connections by number. Those of closed connections give way, the oldest first."""

    def __init__(self) -> None:
        self._by_conn: dict[int, Annotation] = {}

    def get(self, conn: int) -> Annotation:
        """The annotation of a connection; an empty one where nothing was written down."""
        return self._by_conn.get(conn, _EMPTY)

    def set(self, conn: int, annotation: Annotation, is_open: Container[int]) -> None:
        """Keep an annotation, in place of the one before; an empty one is forgotten. Raises InvalidValue.

        ``is_open`` has the connections whose annotations have to stay.
        """
        if annotation == _EMPTY:
            self._by_conn.pop(conn, None)
            return
        check(annotation)
        if conn not in self._by_conn and len(self._by_conn) >= MOST_ANNOTATIONS:
            oldest = next((each for each in self._by_conn if each not in is_open), None)
            if oldest is None:
                raise InvalidValue(f"{MOST_ANNOTATIONS} open connections have a note or tags already")
            del self._by_conn[oldest]
        self._by_conn[conn] = annotation


def check(annotation: Annotation) -> None:
    """Raise InvalidValue for an annotation that is too long."""
    if annotation.note is not None and not 0 < len(annotation.note) <= MOST_NOTE_CHARACTERS:
        raise InvalidValue(f"a note has 1 to {MOST_NOTE_CHARACTERS} characters")
    if len(annotation.tags) > MOST_TAGS:
        raise InvalidValue(f"a connection has {MOST_TAGS} tags at most")
    for tag in annotation.tags:
        if not 0 < len(tag) <= MOST_TAG_CHARACTERS or not tag.isprintable() or " " in tag:
            raise InvalidValue(f"a tag has 1 to {MOST_TAG_CHARACTERS} printable characters, and no space")


_EMPTY: Final = Annotation()
