"""A filter cut into words. A word ends at a space, a parenthesis or a sign; quotes keep one together."""

import re
from typing import NamedTuple

from portside.kernel.filter.errors import FilterError

_TOKEN = re.compile(
    r"""
    \s+
    | (?P<sign> [()] | == | != | <= | >= | && | \|\| | [=<>!&|] )
    | "(?P<double> [^"]* )"
    | '(?P<single> [^']* )'
    | (?P<word> [^\s()=<>!&|"']+ )
    """,
    re.VERBOSE,
)

# Signs that have several spellings, and the one that the grammar uses.
_SPELLINGS = {
    "==": "=", "eq": "=", "ne": "!=", "neq": "!=", "lt": "<", "le": "<=", "leq": "<=", "gt": ">", "ge": ">=",
    "geq": ">=", "&&": "&", "and": "&", "||": "|", "or": "|", "not": "!",
}  # fmt: skip
_SIGNS = frozenset(("(", ")", "=", "!=", "<", "<=", ">", ">=", "&", "|", "!"))


class Token(NamedTuple):
    """A word or a sign, and where it is. ``sign`` is empty for a word, and for the end with ``text`` empty too."""

    text: str
    sign: str
    at: int
    width: int


def tokens(text: str) -> list[Token]:
    """Cut a filter into words and signs; the last is the end. Raises FilterError."""
    found = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise FilterError("this quote has no end", text, at)
        kind = match.lastgroup
        if kind is not None:
            word = match[kind]
            quoted = kind in ("double", "single")
            sign = "" if quoted else _SPELLINGS.get(word, word if word in _SIGNS else "")
            found.append(Token(word, sign, at, match.end() - at))
        at = match.end()
    found.append(Token("", "", len(text), 1))
    return found
