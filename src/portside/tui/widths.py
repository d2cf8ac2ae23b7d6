"""How wide each column is, and text cut to a width. Widths are cells of the terminal: some characters take two."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

ELLIPSIS = "…"


EXTRA = 10
"""A column with this ``drop`` or a higher one is shown only where all others have their preferred widths."""


class WidthRequest(NamedTuple):
    """The width that a column requests: a minimum and a preferred one, in cells of the terminal.

    Where the terminal is too narrow, the column with the highest ``drop`` is left out first; spare cells go to the
    columns with the lowest ``grow`` first.
    """

    minimum: int
    preferred: int
    drop: int
    grow: int


def fit(needs: Sequence[WidthRequest], width: int) -> list[int]:
    """The width of each column, 0 for those that are left out; one space is between two columns."""

    def drop_until_there_is_room(droppable: Sequence[int], wanted: Sequence[int]) -> None:
        for index in sorted(droppable, key=lambda index: -needs[index].drop):
            if sum(wanted[each] + 1 for each in kept) - 1 <= width:
                return
            kept.remove(index)

    kept = list(range(len(needs)))
    drop_until_there_is_room(
        [index for index in kept if needs[index].drop >= EXTRA], [need.preferred for need in needs]
    )
    last = min(kept, key=lambda index: needs[index].drop)
    drop_until_there_is_room([index for index in kept if index != last], [need.minimum for need in needs])
    widths = [0] * len(needs)
    for index in kept:
        widths[index] = min(needs[index].minimum, width)
    spare = width - sum(widths) - len(kept) + 1
    for level in sorted({needs[index].grow for index in kept}):
        growing = [index for index in kept if needs[index].grow == level]
        while spare > 0 and (growing := [index for index in growing if widths[index] < needs[index].preferred]):
            for index in growing[:spare]:
                widths[index] += 1
            spare -= len(growing[:spare])
    return widths


def cut(text: str, width: int, *, right: bool = False) -> str:
    """Text of exactly so many cells: filled with spaces, or cut at its end."""
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, width - 1) + ELLIPSIS if width > 0 else ""
    return " " * (width - size) + text if right else text + " " * (width - size)


def cut_middle(text: str, width: int) -> str:
    """As ``cut``, but an address keeps its begin and its port."""
    size = cell_len(text)
    if size <= width or width < 4:
        return cut(text, width)
    port = len(text) - text.rfind(":")
    tail = min(port, width - 2)
    return set_cell_size(text, width - 1 - tail) + ELLIPSIS + set_cell_size(text[-tail:], tail)
