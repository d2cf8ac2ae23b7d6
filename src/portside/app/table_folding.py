"""The table on a terminal that is too narrow for it: rows that go on in indented lines, instead of lines that wrap.

1. Where all columns fit, the table is that of ``table_layout``; where they fit without the spaces that columns have
   beyond their longest text, it is that without those.
2. Else a row has several lines, and its header has as many: each column begins at one place, in one of the lines.
   Nothing of an address is cut.
3. What ``--wide`` adds follows below its row as ``NAME VALUE``, as ``ss -i`` writes it; what is not known is left out.
   The command line stands in a line of its own, cut at the terminal's width.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from portside.app.cell_text import UNKNOWN
from portside.app.table_layout import COMMAND, PROGRAMS, Columns, cell_format, cell_width, table_lines
from portside.wire.cells import cell_width as character_width

_BATCH = 1024  # rows
_BELOW = 20  # where the local address begins: what goes on below it are columns too
_INDENT = 4
_LEAST_COMMAND = 20


def terminal_lines(
    columns: Columns,
    programs: Sequence[str] | None,
    width: int,
    facts: Columns = (),
    commands: Sequence[str] | None = None,
) -> Iterator[bytes]:
    """The table with its header, in pieces of many rows, for a terminal of this width.

    ``columns`` are those of the table, and ``facts`` are the columns that ``--wide`` adds.
    """
    whole = [*columns, *facts]
    needed = sum(cell_width(*column) + 1 for column in whole)
    if programs is not None:
        needed += max((len(PROGRAMS), *map(text_width, programs)))
    if commands is not None and needed + 1 + _LEAST_COMMAND <= width:
        return table_lines(whole, programs, [cut_text(text, width - needed - 1) for text in commands])
    if commands is None and needed - (programs is None) <= width:
        return table_lines(whole, programs)
    return _folded(columns, programs, width, facts, commands)


class _Row:
    """The lines of one row: which column stands in which of them."""

    def __init__(self, columns: Columns, programs: Sequence[str] | None, width: int) -> None:
        self._width = width
        widths = [cell_width(*column, narrow=True) for column in columns]
        if programs is not None:
            widths.append(len(PROGRAMS))  # a longer one has a line of its own, and does not break the lines of others
        self._breaks: list[int] = []  # the columns that begin a line
        at = 0
        for index, needed in enumerate(widths):
            if index and at + 1 + needed > width:
                self._breaks.append(index)
                at = _BELOW + needed
            else:
                at += needed + bool(index)
        self._programs_at = at - widths[-1]
        self._formats = [cell_format(*column, narrow=True) for column in columns]
        self._has_programs = programs is not None

    def lines(self, cells: Sequence[str]) -> Iterator[str]:
        """The lines of a row with these texts, the programs last."""
        texts = [form % cell for form, cell in zip(self._formats, cells, strict=False)]
        more: list[str] = []
        more_at = self._programs_at
        if self._has_programs:
            owners = cells[-1].split(",")
            if more_at > _BELOW and max(map(text_width, owners)) > self._width - more_at:
                more_at = _BELOW
                more = fold(owners, self._width - more_at, separator=",")
            else:
                first, *more = fold(owners, self._width - more_at, separator=",")
                texts.append(first)
        start = 0
        for end in (*self._breaks, len(texts)):
            yield (" " * (_BELOW * bool(start)) + " ".join(texts[start:end])).rstrip()
            start = end
        for line in more:
            yield " " * more_at + line


def _folded(
    columns: Columns,
    programs: Sequence[str] | None,
    width: int,
    facts: Columns,
    commands: Sequence[str] | None,
) -> Iterator[bytes]:
    row = _Row(columns, programs, width)
    headings = [layout.heading for layout, _ in columns]
    yield _encoded(row.lines([*headings, PROGRAMS] if programs is not None else headings))
    shown = [texts for _, texts in columns] + ([programs] if programs is not None else [])
    names = [layout.heading for layout, _ in facts]
    rows = range(len(shown[0]))
    numbers = iter(rows)
    while batch := list(islice(numbers, _BATCH)):
        lines: list[str] = []
        for number in batch:
            lines += row.lines([texts[number] for texts in shown])
            known = zip(names, (texts[number] for _, texts in facts), strict=True)
            lines += indented((f"{name} {text}" for name, text in known if text != UNKNOWN), width)
            if commands is not None and commands[number] != UNKNOWN:
                lines.append(" " * _INDENT + cut_text(f"{COMMAND} {commands[number]}", width - _INDENT))
        yield _encoded(lines)


def indented(parts: Iterable[str], width: int) -> Iterator[str]:
    """Indented lines of a terminal's width with as many parts as fit into each, two spaces between them."""
    return (" " * _INDENT + line for line in fold(parts, width - _INDENT, separator="  "))


def fold(parts: Iterable[str], width: int, *, separator: str) -> list[str]:
    """Lines with as many parts as fit into each; a part that is too long has a line of its own."""
    lines: list[str] = []
    for part in parts:
        joined = f"{lines[-1]}{separator}{part}" if lines else part
        if lines and text_width(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(part)
    return [*(line + separator.rstrip() for line in lines[:-1]), *lines[-1:]]


def cut_text(text: str, width: int) -> str:
    """A text, or as much of it as fits into a width with ``…`` for the rest."""
    if text_width(text) <= width:
        return text
    used = 0
    for index, character in enumerate(text):
        used += character_width(character)
        if used > width - 1:
            return text[:index] + "…"
    return text


def text_width(text: str) -> int:
    """The cells that printable text takes on a terminal."""
    return len(text) if text.isascii() else sum(map(character_width, text))


def _encoded(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
