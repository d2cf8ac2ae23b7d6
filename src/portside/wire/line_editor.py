"""One line of text being edited. Pure: keys in, text and cursor out."""

from portside.wire.cells import cell_width


class LineEditor:
    """A text and the position of the cursor in it; the keys are those of a shell.

    The cursor never stands between a character and the combining marks on it: they are moved over and deleted as one.
    """

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.cursor = len(text)

    def insert(self, text: str) -> None:
        """Put text in at the cursor, as it is."""
        self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
        self.cursor += len(text)

    def press(self, key: str) -> None:
        """Do what a key means, by Textual's name of it; nothing where it means nothing."""
        match key:
            case "left" | "ctrl+b":
                self.cursor = self._before()
            case "right" | "ctrl+f":
                self.cursor = self._after()
            case "home" | "ctrl+a":
                self.cursor = 0
            case "end" | "ctrl+e":
                self.cursor = len(self.text)
            case "ctrl+left" | "alt+b":
                self.cursor = self._word_start()
            case "ctrl+right" | "alt+f":
                self.cursor = self._word_end()
            case "backspace" | "ctrl+h":
                self._delete(self._before(), self.cursor)
            case "delete" | "ctrl+d":
                self._delete(self.cursor, self._after())
            case "ctrl+u":
                self._delete(0, self.cursor)
            case "ctrl+k":
                self._delete(self.cursor, len(self.text))
            case "ctrl+w":
                self._delete(self._word_start(), self.cursor)

    def _before(self) -> int:
        """The position before the character to the left of the cursor."""
        at = max(0, self.cursor - 1)
        while at and cell_width(self.text[at]) == 0:
            at -= 1
        return at

    def _after(self) -> int:
        """The position behind the character to the right of the cursor."""
        at = min(len(self.text), self.cursor + 1)
        while at < len(self.text) and cell_width(self.text[at]) == 0:
            at += 1
        return at

    def _word_start(self) -> int:
        return self.text[: self.cursor].rstrip().rfind(" ") + 1

    def _word_end(self) -> int:
        rest = self.text[self.cursor :]
        end = rest.find(" ", len(rest) - len(rest.lstrip()))
        return self.cursor + (len(rest) if end < 0 else end)

    def _delete(self, start: int, end: int) -> None:
        self.text = self.text[:start] + self.text[end:]
        self.cursor = start
