"""What is typed on a terminal that hands over every key: lines, edited here in place of the kernel.

The keys are those of the terminal's line discipline (termios(3): VERASE, VKILL, VWERASE, VLNEXT, VEOF), whichever
characters it has for them, and those of a shell. Bytes that are no UTF-8 and characters after VLNEXT go into the line
as they are.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from portside.wire.escaping import escape_text
from portside.wire.line_editor import LineEditor

MOST_CHARACTERS: Final = 64 * 1024  # of a line: what has been typed of a longer one is sent, as Ctrl-D does
ESCAPE_S: Final = 0.1  # a key that begins with ESC comes at once; after this time ESC was a key by itself
_LONGEST_SEQUENCE: Final = 32  # characters

_TEXT: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]+")
_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])")  # ECMA-48, and the keypad's application mode
_UNFINISHED: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_INVISIBLE: Final = re.compile("[\ufe00-\ufe0f]")  # variation selectors: terminals disagree about the width they make

_CONTROL_KEYS: Final = {chr(ord(letter) & 0x1F): f"ctrl+{letter}" for letter in "abefhkuw"} | {"\x7f": "backspace"}
_CURSOR_KEYS: Final = {"C": "right", "D": "left", "H": "home", "F": "end"}
_SEQUENCE_KEYS: Final = {
    **{f"{start}{final}": key for start in "[O" for final, key in _CURSOR_KEYS.items()},
    **{f"[1;{modifier}{final}": f"ctrl+{_CURSOR_KEYS[final]}" for modifier in "35" for final in "CD"},
    "[1~": "home",
    "[7~": "home",
    "[4~": "end",
    "[8~": "end",
    "[3~": "delete",
}


class Typed(NamedTuple):
    """The bytes to be sent, ``b""`` at the end of the input, and how it is shown."""

    data: bytes
    shown: str


class TypedLine:
    """The line that is being typed. ``keys`` says which characters mean ``eof``, ``quote`` and keys of the editor."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self.at_end = False  # the end of the input was typed
        self.quotes_next = False  # the next character goes into the line, whatever it is
        self._keys = {**_CONTROL_KEYS, **keys}
        self._editor = LineEditor()
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._held = ""  # the beginning of an escape sequence
        self._held_since = 0.0

    @property
    def shown(self) -> tuple[str, int]:
        """The line as printable text, and the index of the cursor in it."""
        editor = self._editor
        text = _shown(editor.text)
        at_end = editor.cursor == len(editor.text)
        return text, len(text) if at_end else len(_shown(editor.text[: editor.cursor]))

    def feed(self, data: bytes, now: float) -> Iterator[Typed]:
        """Take what was typed at this time (in seconds, of any clock): what is complete and to be sent."""
        held, self._held = self._held, ""
        if now - self._held_since > ESCAPE_S:
            held = ""
        text = held + self._decoder.decode(data)
        at = 0
        while at < len(text) and not self.at_end:
            if self.quotes_next:
                self._editor.insert(text[at])
                self.quotes_next = False
                at += 1
            elif match := _TEXT.match(text, at):
                self._editor.insert(match[0])
                at = match.end()
            elif match := _SEQUENCE.match(text, at):
                self._editor.press(_SEQUENCE_KEYS.get(match[0][1:], ""))
                at = match.end()
            elif _UNFINISHED.match(text, at) and len(text) - at < _LONGEST_SEQUENCE:
                self._held, self._held_since = text[at:], now
                return
            else:
                yield from self._press(text[at])
                at += 1
            if len(self._editor.text) >= MOST_CHARACTERS:
                yield self._finish("")

    def _press(self, character: str) -> Iterator[Typed]:
        key = "enter" if character in "\r\n" else self._keys.get(character, "")
        match key:
            case "enter":
                yield self._finish("\n")
            case "eof":
                self.at_end = not self._editor.text
                yield self._finish("")
            case "quote":
                self.quotes_next = True
            case _:
                self._editor.press(key)

    def _finish(self, end: str) -> Typed:
        text = self._editor.text
        self._editor = LineEditor()
        return Typed((text + end).encode("utf-8", "surrogateescape"), _shown(text))


def _shown(text: str) -> str:
    """Typed text as a terminal may show it, in characters whose width is known."""
    if text.isascii() and text.isprintable():
        return text
    return _INVISIBLE.sub("", escape_text(text))
