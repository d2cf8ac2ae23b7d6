"""The error of a filter that cannot be read."""

from portside.errors import InvalidValue


class FilterError(InvalidValue):
    """A filter that cannot be read: ``problem`` says why in one line.

    ``str`` adds the filter with a mark under the error. ``at`` and ``width`` are characters of ``text``.

    >>> try:
    ...     portside.sockets("spotr = :12345")
    ... except portside.FilterError as error:
    ...     print(error)
    nothing is called 'spotr': did you mean sport?
      spotr = :12345
      ^^^^^
    """

    def __init__(self, problem: str, text: str, at: int, width: int = 1) -> None:
        super().__init__(problem)
        self.problem = problem
        self.text = text
        self.at = at
        self.width = max(1, width)

    def __str__(self) -> str:
        shown = "".join(character if character.isprintable() else " " for character in self.text)
        return f"{self.problem}\n  {shown}\n  {' ' * self.at}{'^' * self.width}"
