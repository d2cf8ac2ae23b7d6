"""A filter as a tree. However a condition is written, it becomes one of these few leaves."""

from typing import Literal

import msgspec

Side = Literal["local", "remote"]
Comparison = Literal["=", "<", "<=", ">", ">="]


class PortIn(msgspec.Struct, frozen=True):
    """The port of a side is from ``low`` to ``high``, both included; nothing where ``low`` is above ``high``."""

    side: Side
    low: int
    high: int


class HostIn(msgspec.Struct, frozen=True):
    """The address of a side begins with the first ``bits`` of ``address``: 4 bytes for IPv4, 16 for IPv6.

    IPv4 means IPv4 addresses mapped into IPv6 too; IPv6 means sockets of that family only.
    """

    side: Side
    address: bytes
    bits: int


class StateIn(msgspec.Struct, frozen=True):
    """The state is in a set, as states.py writes sets."""

    states: int


class Number(msgspec.Struct, frozen=True):
    """A column compared with a number, in the column's unit. ``pid`` is true where any owner is so."""

    column: str
    comparison: Comparison
    value: float


class Mark(msgspec.Struct, frozen=True):
    """The firewall mark, where ``mask`` has bits, is ``mark``."""

    mark: int
    mask: int


class ProgramIs(msgspec.Struct, frozen=True):
    """Any owner's program has this name; ``*`` and ``?`` stand for any text and any character."""

    name: str


class TextIs(msgspec.Struct, frozen=True):
    """A column of text matches a pattern, upper and lower case alike; ``*`` and ``?`` as in ``ProgramIs``.

    The table of sockets has no such column; that of a server's connections has. A row without the text does not match.
    """

    column: str
    pattern: str


class And(msgspec.Struct, frozen=True):
    """All terms are true; without terms, true."""

    terms: tuple["Filter", ...]


class Or(msgspec.Struct, frozen=True):
    """Any term is true; without terms, false."""

    terms: tuple["Filter", ...]


class Not(msgspec.Struct, frozen=True):
    """The term is false."""

    term: "Filter"


Condition = PortIn | HostIn | StateIn | Number | Mark | ProgramIs | TextIs
"""A leaf of the tree."""

Filter = Condition | And | Or | Not

EVERYTHING = And(())

OWNER_COLUMNS = frozenset(("pid", "program"))
"""What a filter can ask of the processes that hold a socket."""


def mentions_state(node: Filter) -> bool:
    """Whether a filter names states, so that no default for them applies."""
    match node:
        case StateIn():
            return True
        case And(terms) | Or(terms):
            return any(map(mentions_state, terms))
        case Not(term):
            return mentions_state(term)
    return False


def columns_of(node: Filter) -> frozenset[str]:
    """The columns that a filter looks at beyond states, ports and addresses; ``program`` is one of them."""
    match node:
        case Number(column) | TextIs(column):
            return frozenset((column,))
        case ProgramIs():
            return frozenset(("program",))
        case Mark():
            return frozenset(("mark",))
        case And(terms) | Or(terms):
            return frozenset().union(*map(columns_of, terms))
        case Not(term):
            return columns_of(term)
    return frozenset()
