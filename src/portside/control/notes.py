"""Notes and tags that people put on connections, by connection number; bounded, and gone with the run."""

from typing import NamedTuple

MOST_NOTED = 10_000
MOST_CHARACTERS = 2_000_000  # in all notes and tags
MOST_NOTE_CHARACTERS = 1000
MOST_TAGS = 16
MOST_TAG_CHARACTERS = 64


class Note(NamedTuple):
    """The text and tags that are noted on a connection; an empty text is no note."""

    text: str = ""
    tags: tuple[str, ...] = ()


NOTHING_NOTED = Note()


class Notes:
    """The notes of a run: the connections that were noted first are forgotten when there are too many."""

    def __init__(self) -> None:
        self._notes: dict[int, Note] = {}
        self._characters = 0

    def __bool__(self) -> bool:
        return bool(self._notes)

    def of(self, conn: int) -> Note:
        """The note on a connection."""
        return self._notes.get(conn, NOTHING_NOTED)

    def put(self, conn: int, *, text: str | None = None, tags: tuple[str, ...] | None = None) -> Note:
        """Set the text, the tags or both; what is None stays as it is. The note as it is then.

        Raises ValueError for what is too long.
        """
        before = self.of(conn)
        note = Note(before.text if text is None else text, before.tags if tags is None else tuple(dict.fromkeys(tags)))
        if len(note.text) > MOST_NOTE_CHARACTERS:
            raise ValueError(f"a note has at most {MOST_NOTE_CHARACTERS} characters")
        if len(note.tags) > MOST_TAGS or not all(0 < len(tag) <= MOST_TAG_CHARACTERS for tag in note.tags):
            raise ValueError(f"there are at most {MOST_TAGS} tags of 1 to {MOST_TAG_CHARACTERS} characters")
        self._remove(conn)
        if note != NOTHING_NOTED:
            self._notes[conn] = note
            self._characters += _characters(note)
        while len(self._notes) > MOST_NOTED or self._characters > MOST_CHARACTERS:
            self._remove(next(iter(self._notes)))
        return note

    def _remove(self, conn: int) -> None:
        self._characters -= _characters(self._notes.pop(conn, NOTHING_NOTED))


def _characters(note: Note) -> int:
    return len(note.text) + sum(map(len, note.tags))
