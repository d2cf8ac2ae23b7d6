"""Answers of the API on standard output: JSON for programs, tables and sentences for people."""

from collections.abc import Iterable, Sequence
from typing import Any

from portside.app.stdout import write_lines, write_stdout

_MOST_CELL = 300  # characters
NONE = "-"  # stands for what is not known, or not there


def write_json(values: Iterable[Any]) -> bool:
    """Write each value as JSON on a line of its own; False if the reader has gone."""
    from portside.json_text import encode_json  # msgspec, which takes 10 ms to load: for --json alone

    return write_stdout(encode_json(value) + b"\n" for value in values)


def write_sentence(text: str) -> None:
    """Write what was done."""
    write_lines([text])


def table_lines(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table with its headings; columns whose heading begins with ``>`` are aligned right, the last one never is.

    A cell that is wider than any of ours is cut, so that one does not make every row as wide.
    """
    names = [heading.removeprefix(">") for heading in headings]
    cut = [[_cut(cell) for cell in row[:-1]] for row in rows]
    widths = [max(map(len, column)) for column in zip(names[:-1], *cut, strict=True)]
    cells = [
        f"{{:{'>' if heading.startswith('>') else '<'}{width}}}"
        for heading, width in zip(headings[:-1], widths, strict=True)
    ]
    line = "  ".join((*cells, "{}"))
    begins, ends = (names[:-1], *cut), (names[-1], *(row[-1] for row in rows))
    return [line.format(*begin, end).rstrip() for begin, end in zip(begins, ends, strict=True)]


def _cut(cell: str) -> str:
    return cell if len(cell) <= _MOST_CELL else cell[: _MOST_CELL - 1] + "…"


def seconds_text(seconds: float | None) -> str:
    """A time for a table: ``0.3s``, ``61s``, ``2h05m``."""
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 120:
        return f"{seconds:.0f}s"
    minutes = int(seconds // 60)
    return f"{minutes}m{int(seconds % 60):02d}s" if minutes < 120 else f"{minutes // 60}h{minutes % 60:02d}m"


def cell(value: object) -> str:
    """A value of an answer in a table."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
