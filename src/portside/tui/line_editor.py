"""One line of text being edited. Pure: keys in, text and cursor out."""


class LineEditor:
    """A text and the position of the cursor in it; the keys are those of a shell."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.cursor = len(text)

    def insert(self, text: str) -> None:
        """Put text in at the cursor; what cannot be shown becomes a space."""
        clean = "".join(character if character.isprintable() else " " for character in text)
        self.text = self.text[: self.cursor] + clean + self.text[self.cursor :]
        self.cursor += len(clean)

    def press(self, key: str) -> None:
        """Do what a key means, by Textual's name of it; nothing where it means nothing."""
        match key:
            case "left" | "ctrl+b":
                self.cursor = max(0, self.cursor - 1)
            case "right" | "ctrl+f":
                self.cursor = min(len(self.text), self.cursor + 1)
            case "home" | "ctrl+a":
                self.cursor = 0
            case "end" | "ctrl+e":
                self.cursor = len(self.text)
            case "backspace" | "ctrl+h":
                self._delete(max(0, self.cursor - 1), self.cursor)
            case "delete" | "ctrl+d":
                self._delete(self.cursor, self.cursor + 1)
            case "ctrl+u":
                self._delete(0, self.cursor)
            case "ctrl+k":
                self._delete(self.cursor, len(self.text))
            case "ctrl+w":
                before = self.text[: self.cursor].rstrip()
                self._delete(before.rfind(" ") + 1, self.cursor)

    def _delete(self, start: int, end: int) -> None:
        self.text = self.text[:start] + self.text[end:]
        self.cursor = start
