"""A model of a terminal, as far as the line that is being typed needs one."""

import re

from portside.wire.cells import cell_width

_TOKEN = re.compile(r"\x1b\[(?P<number>\d*)(?P<command>[ACJ])|(?P<character>.)", re.DOTALL)


class Screen:
    """Rows of cells with all that has scrolled off; ``row`` and ``column`` are the cursor's.

    A wide character takes its cell and an empty one. A full row is left with the next character alone, as terminals
    with automatic margins do.
    """

    def __init__(self, columns: int, height: int) -> None:
        self.columns = columns
        self.height = height
        self.rows: list[list[str]] = [[]]
        self.row = 0
        self.column = 0

    @property
    def lines(self) -> list[str]:
        """The text of each row, without spaces at its end."""
        return ["".join(row).rstrip(" ") for row in self.rows]

    def write(self, data: bytes) -> None:
        """Do what a terminal does with these bytes, and fail at a sequence that this one does not know."""
        for token in _TOKEN.finditer(data.decode()):
            number = int(token["number"] or 1)
            match token["command"] or token["character"]:
                case "A" if token["command"]:
                    self.row = max(self.row - number, len(self.rows) - self.height, 0)
                case "C" if token["command"]:
                    self.column = min(self.column + number, self.columns - 1)
                case "J" if token["command"]:
                    del self.rows[self.row + 1 :]
                    del self.rows[self.row][self.column :]
                case "\r":
                    self.column = 0
                case "\n":  # with a carriage return: ONLCR
                    self._go_down()
                case str(character):
                    assert character.isprintable()
                    self._show(character)

    def _show(self, character: str) -> None:
        width = cell_width(character)
        if not width:
            before = self.rows[self.row]
            at = min(self.column, self.columns) - 1
            while at > 0 and not before[at]:
                at -= 1
            if at >= 0:
                before[at] += character
            return
        if self.column + width > self.columns:
            self._go_down()
        row = self.rows[self.row]
        row += [" "] * (self.column - len(row))
        row[self.column : self.column + width] = [character, *[""] * (width - 1)]
        self.column += width

    def _go_down(self) -> None:
        self.row += 1
        self.column = 0
        if self.row == len(self.rows):
            self.rows.append([])
