"""The line and column of each key and value of a TOML document, which tomllib does not report.

``find_positions`` walks a document that tomllib has accepted, so it checks nothing: it only has to know where strings,
arrays, inline tables and comments end (https://toml.io/en/v1.0.0).
"""

import re
from typing import NamedTuple

Path = tuple[str | int, ...]


class Position(NamedTuple):
    """Line and column, both from 1; the column counts characters."""

    line: int
    column: int


_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = r"""(?s:\"{3}(?:\\.|(?!\"{3}).)*\"{3,5}|'{3}(?:(?!'{3}).)*'{3,5}|"(?:\\.|[^"\\])*"|'[^']*')"""
_KEY = re.compile(rf"{_STRING}|[A-Za-z0-9_-]+")
_SCALAR = re.compile(rf"{_STRING}|[^,\]}}#\n]+")  # or a number, a date, true
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


def find_positions(document: str) -> dict[Path, tuple[Position, Position]]:
    """The positions of each key and of its value, by the path to it; elements of an array count from 0.

    A table has the position of its first header or key; an element of an array has that of its value, twice.
    """
    return _Walk(document).positions


class _Walk:
    def __init__(self, document: str) -> None:
        self.positions: dict[Path, tuple[Position, Position]] = {}
        self._text = document
        self._at = 0
        self._line, self._line_at = 1, 0  # of the last position asked for
        self._elements: dict[Path, int] = {}  # how many tables each array of tables has so far
        table: Path = ()
        while self._skip_blank() < len(document):
            if document[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _take(self, pattern: re.Pattern[str]) -> str:
        """Consume a token, which is there: tomllib has accepted the document."""
        found: str = pattern.match(self._text, self._at)[0]  # type: ignore[index]
        self._at += len(found)
        return found

    def _skip_blank(self) -> int:
        self._take(_BLANK)
        return self._at

    def _position(self, at: int) -> Position:
        newlines = self._text.count("\n", self._line_at, at)
        if newlines:
            self._line += newlines
            self._line_at = self._text.rindex("\n", self._line_at, at) + 1
        return Position(self._line, at - self._line_at + 1)

    def _header(self) -> Path:
        position = self._position(self._at)
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        keys = self._keys()
        self._at += 2 if is_array else 1
        path: Path = ()
        for key in keys[:-1]:
            path = self._into((*path, key), position)
        path = (*path, keys[-1])
        self.positions.setdefault(path, (position, position))
        if is_array:
            self._elements[path] = self._elements.get(path, -1) + 1
            path = (*path, self._elements[path])
            self.positions[path] = position, position
        return path

    def _into(self, path: Path, position: Position) -> Path:
        """The path of a table on the way to another; of an array of tables, the last element."""
        self.positions.setdefault(path, (position, position))
        return (*path, self._elements[path]) if path in self._elements else path

    def _keys(self) -> list[str]:
        """Consume a dotted key: its parts."""
        keys = []
        while True:
            self._skip_blank()
            keys.append(_unquoted(self._take(_KEY)))
            self._skip_blank()
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _pair(self, table: Path) -> None:
        position = self._position(self._at)
        *before, key = self._keys()
        path = table
        for each in before:
            path = (*path, each)
            self.positions.setdefault(path, (position, position))
        self._at += 1  # the equals sign
        self._skip_blank()
        path = (*path, key)
        self.positions[path] = position, self._position(self._at)
        self._value(path)

    def _value(self, path: Path) -> None:
        first = self._text[self._at]
        if first == "[":
            self._at += 1
            index = 0
            while self._text[self._skip_blank()] != "]":
                position = self._position(self._at)
                self.positions[(*path, index)] = position, position
                self._value((*path, index))
                index += 1
                self._comma()
            self._at += 1
        elif first == "{":
            self._at += 1
            while self._text[self._skip_blank()] != "}":
                self._pair(path)
                self._comma()
            self._at += 1
        else:
            self._take(_SCALAR)

    def _comma(self) -> None:
        if self._text[self._skip_blank()] == ",":
            self._at += 1


def _unquoted(text: str) -> str:
    if text[0] == "'":
        return text[1:-1]
    if text[0] != '"':
        return text
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1]) or chr(int(found[1][1:], 16)), text[1:-1])
