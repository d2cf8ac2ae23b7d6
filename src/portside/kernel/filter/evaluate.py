"""A filter over a whole table at once.

Each part of the tree becomes two masks: where it is true, and where it is false. A socket of which a column is not
known is in neither, and so ``not`` swaps the two and cannot make something known out of it (Kleene's logic).
"""

import fnmatch
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from portside.kernel import states
from portside.kernel.address_text import is_mapped
from portside.kernel.filter.tree import (
    And,
    Comparison,
    Condition,
    Filter,
    HostIn,
    Mark,
    Not,
    Number,
    Or,
    PortIn,
    ProgramIs,
    StateIn,
    TextIs,
)
from portside.kernel.inet_diag import IPV4, IPV6
from portside.kernel.inet_diag_types import Rows
from portside.kernel.membership import are_in
from portside.kernel.models import Owner
from portside.kernel.table import Mask, SocketTable
from portside.procfs import short_name

_COMPARE: dict[Comparison, Callable[[npt.NDArray[np.generic], float], Mask]] = {
    "=": np.equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_COMPARE_ONE: dict[Comparison, Callable[[float, float], bool]] = {
    "=": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


class Truth(NamedTuple):
    """Where a condition is true and where it is false."""

    true: Mask
    false: Mask


def evaluate(node: Filter, table: SocketTable, age_s: npt.NDArray[np.float64] | None = None) -> Mask:
    """Which sockets of a table match a filter.

    ``age_s`` says for each socket how long it has been seen, in seconds, NaN where that is not known; without it no
    age is. OwnerFinder are those that the table has.
    """
    return _evaluate(node, table, age_s).true


def possible(node: Filter, table: SocketTable, age_s: npt.NDArray[np.float64] | None = None) -> Mask:
    """Which sockets match, or may match once more is known of them, such as the owners, which are slow to find."""
    return ~_evaluate(node, table, age_s).false


def evaluate_tree(node: Filter, size: int, condition: Callable[[Condition], Truth]) -> Truth:
    """Join the truths of the conditions of a filter over a table of ``size`` rows."""
    match node:
        case And(terms):
            true, false = np.ones(size, bool), np.zeros(size, bool)
            for term in terms:
                truth = evaluate_tree(term, size, condition)
                true &= truth.true
                false |= truth.false
            return Truth(true, false)
        case Or(terms):
            return _not(evaluate_tree(And(tuple(Not(term) for term in terms)), size, condition))
        case Not(term):
            return _not(evaluate_tree(term, size, condition))
        case _:
            return condition(node)


def _evaluate(node: Filter, table: SocketTable, age_s: npt.NDArray[np.float64] | None) -> Truth:
    return evaluate_tree(node, len(table), lambda condition: evaluate_condition(condition, table, age_s))


def evaluate_condition(node: Condition, table: SocketTable, age_s: npt.NDArray[np.float64] | None = None) -> Truth:
    """Where one condition is true of a table, and where false; ``age_s`` as for ``evaluate``."""
    match node:
        case PortIn() | HostIn():
            return known(has_end(node, table.base))
        case StateIn(chosen):
            wanted = np.array([bool(chosen >> number & 1) for number in range(256)])
            wanted[states.NEW_SYN_RECV] = wanted[states.SYN_RECV]
            return known(wanted[table.base["state"]])
        case ProgramIs(name):
            pattern = name.replace("[", "[[]")  # fnmatch has sets of characters, the filter has * and ? alone
            return _by_owner(table, lambda owner: _program_matches(owner, pattern))
        case Mark(mark, mask):
            column = table.column("mark")
            return known_where((column.values & np.uint32(mask)) == mark, column.known)
        case Number("pid", comparison, value):
            holds = _COMPARE_ONE[comparison]
            return _by_owner(table, lambda owner: holds(owner.pid, value))
        case Number("age_s", comparison, value):
            ages = np.full(len(table), np.nan) if age_s is None else age_s
            return compare(ages, comparison, value, ~np.isnan(ages))
        case TextIs():  # no column of this table
            return unknown(len(table))
    column = table.column(node.column)
    return compare(column.values, node.comparison, node.value, column.known)


def has_end(node: PortIn | HostIn, base: Rows) -> Mask:
    """Which rows have an end with such a port or address."""
    if isinstance(node, HostIn):
        return _in_network(node, base)
    ports = base[f"{node.side}_port"]
    within: Mask = (ports >= node.low) & (ports <= node.high)
    return within


def compare(values: npt.NDArray[np.generic], comparison: Comparison, value: float, known: Mask) -> Truth:
    """Where the values of a column compare so with a number."""
    return known_where(_COMPARE[comparison](values, value), known)


def known(true: Mask) -> Truth:
    """The truth of a condition of which everything is known."""
    return Truth(true, ~true)


def known_where(true: Mask, known: Mask) -> Truth:
    """The truth of a condition that is neither true nor false where something is not known."""
    return Truth(true & known, ~true & known)


def unknown(size: int) -> Truth:
    """The truth of a condition of which nothing is known."""
    return Truth(np.zeros(size, bool), np.zeros(size, bool))


def _not(truth: Truth) -> Truth:
    return Truth(truth.false, truth.true)


def _in_network(node: HostIn, base: Rows) -> Mask:
    addresses, family = base[node.side], base["family"]
    network = np.frombuffer(node.address, "u1")
    inside: Mask
    if len(network) == 16:
        inside = (family == IPV6) & _begins(addresses, network, node.bits)
        return inside
    inside = (family == IPV4) & _begins(addresses[:, :4], network, node.bits)
    if (mapped := is_mapped(base, node.side)).any():
        inside |= mapped & _begins(addresses[:, 12:], network, node.bits)
    return inside


def _begins(addresses: npt.NDArray[np.uint8], network: npt.NDArray[np.uint8], bits: int) -> Mask:
    whole, rest = divmod(bits, 8)
    same: Mask = (addresses[:, :whole] == network[:whole]).all(axis=1)
    if rest:
        mask = np.uint8(0xFF00 >> rest & 0xFF)
        same &= (addresses[:, whole] & mask) == (network[whole] & mask)
    return same


def _by_owner(table: SocketTable, matches: Callable[[Owner], bool]) -> Truth:
    """Which sockets have an owner that matches; neither true nor false where an owner may be hidden."""
    if table.owners is None:
        return unknown(len(table))
    owner_keys = table.owner_keys
    true = are_in(owner_keys, _matching_keys(table, matches))
    if not table.hidden_owners:
        return known(true)
    is_known = (owner_keys == 0) | are_in(owner_keys, np.fromiter(table.owners, "i8", len(table.owners)))
    return known_where(true, is_known)


def _matching_keys(table: SocketTable, matches: Callable[[Owner], bool]) -> npt.NDArray[np.int64]:
    owners = table.owners or {}
    found = [holder for holder, each in owners.items() if any(map(matches, each))]
    return np.array(found, "i8")


def _program_matches(owner: Owner, pattern: str) -> bool:
    """Whether a pattern matches the name of a program in full, or the 15 bytes by which ss and ps know it."""
    name = owner.program
    if name is None:
        return False
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(short_name(name), pattern)
