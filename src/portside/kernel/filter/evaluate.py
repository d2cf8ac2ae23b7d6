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
    Filter,
    HostIn,
    Mark,
    Not,
    Number,
    Or,
    PortIn,
    ProgramIs,
    StateIn,
)
from portside.kernel.inet_diag import IPV4, IPV6
from portside.kernel.models import Owner
from portside.kernel.table import Mask, SocketTable

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


class _Truth(NamedTuple):
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


def _evaluate(node: Filter, table: SocketTable, age_s: npt.NDArray[np.float64] | None) -> _Truth:
    match node:
        case And(terms):
            truths = [_evaluate(term, table, age_s) for term in terms]
            true, false = np.ones(len(table), bool), np.zeros(len(table), bool)
            for truth in truths:
                true &= truth.true
                false |= truth.false
            return _Truth(true, false)
        case Or(terms):
            return _not(_evaluate(And(tuple(Not(term) for term in terms)), table, age_s))
        case Not(term):
            return _not(_evaluate(term, table, age_s))
        case PortIn(side, low, high):
            ports = table.base[f"{side}_port"]
            return _known((ports >= low) & (ports <= high))
        case HostIn():
            return _known(_in_network(node, table))
        case StateIn(chosen):
            wanted = np.array([bool(chosen >> number & 1) for number in range(256)])
            wanted[states.NEW_SYN_RECV] = wanted[states.SYN_RECV]
            return _known(wanted[table.base["state"]])
        case ProgramIs(name):
            pattern = name.replace("[", "[[]")  # fnmatch has sets of characters, the filter has * and ? alone
            return _by_owner(table, lambda owner: _program_matches(owner, pattern))
        case Mark(mark, mask):
            column = table.column("mark")
            return _where((column.values & np.uint32(mask)) == mark, column.known)
        case Number("pid", comparison, value):
            compare = _COMPARE_ONE[comparison]
            return _by_owner(table, lambda owner: compare(owner.pid, value))
        case Number("age_s", comparison, value):
            ages = np.full(len(table), np.nan) if age_s is None else age_s
            return _where(_COMPARE[comparison](ages, value), ~np.isnan(ages))
    column = table.column(node.column)
    return _where(_COMPARE[node.comparison](column.values, node.value), column.known)


def _known(true: Mask) -> _Truth:
    return _Truth(true, ~true)


def _where(true: Mask, known: Mask) -> _Truth:
    return _Truth(true & known, ~true & known)


def _not(truth: _Truth) -> _Truth:
    return _Truth(truth.false, truth.true)


def _in_network(node: HostIn, table: SocketTable) -> Mask:
    addresses, family = table.base[node.side], table.base["family"]
    network = np.frombuffer(node.address, "u1")
    inside: Mask
    if len(network) == 16:
        inside = (family == IPV6) & _begins(addresses, network, node.bits)
        return inside
    inside = (family == IPV4) & _begins(addresses[:, :4], network, node.bits)
    if (mapped := is_mapped(table.base, node.side)).any():
        inside |= mapped & _begins(addresses[:, 12:], network, node.bits)
    return inside


def _begins(addresses: npt.NDArray[np.uint8], network: npt.NDArray[np.uint8], bits: int) -> Mask:
    whole, rest = divmod(bits, 8)
    same: Mask = (addresses[:, :whole] == network[:whole]).all(axis=1)
    if rest:
        mask = np.uint8(0xFF00 >> rest & 0xFF)
        same &= (addresses[:, whole] & mask) == (network[whole] & mask)
    return same


def _by_owner(table: SocketTable, matches: Callable[[Owner], bool]) -> _Truth:
    """Which sockets have an owner that matches; neither true nor false where an owner may be hidden."""
    if table.owners is None:
        nowhere = np.zeros(len(table), bool)
        return _Truth(nowhere, nowhere)
    owner_keys = table.owner_keys
    true = np.isin(owner_keys, _matching_keys(table, matches))
    if not table.hidden_owners:
        return _known(true)
    known = (owner_keys == 0) | np.isin(owner_keys, np.fromiter(table.owners, "i8", len(table.owners)))
    return _where(true, known)


def _matching_keys(table: SocketTable, matches: Callable[[Owner], bool]) -> npt.NDArray[np.int64]:
    owners = table.owners or {}
    found = [holder for holder, each in owners.items() if any(map(matches, each))]
    return np.array(found, "i8")


def _program_matches(owner: Owner, pattern: str) -> bool:
    return owner.program is not None and fnmatch.fnmatchcase(owner.program, pattern)
