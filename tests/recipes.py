"""The recipes of the documentation as data: what somebody did with another program, and what does the same here."""

import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parents[1] / "docs/recipes"
_CELLS = re.compile(r"(?<!\\)\|")
_SPAN = re.compile(r"`([^`]+)`")


class Recipe(NamedTuple):
    """A line of a table: the command of the other program, and Portside's."""

    page: str
    did: str
    now: str


def recipes(path: Path) -> list[Recipe]:
    """The lines of a page's tables, from top to bottom."""
    found = []
    inside = False
    for line in path.read_text().splitlines():
        inside = line.startswith("| you did | now do |") or (inside and line.startswith("|"))
        if inside and "`" in line:
            did, now = (_SPAN.findall(cell.replace(r"\|", "|")) for cell in _CELLS.split(line)[1:3])
            found.append(Recipe(path.name, *did, *now))
    return found
