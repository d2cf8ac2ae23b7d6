"""What a table tells of the line with its headings."""

from textual.message import Message


class HeadingClicked(Message):
    """The heading of a column was clicked, to sort by it."""

    def __init__(self, column: str) -> None:
        super().__init__()
        self.column = column
