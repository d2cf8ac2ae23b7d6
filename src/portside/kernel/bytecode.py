"""A filter as the program that the kernel runs for each socket of a dump: ``INET_DIAG_REQ_BYTECODE``.

See inet_diag_bc_run and inet_diag_bc_audit in net/ipv4/inet_diag.c. A program is a row of operations, each a condition
(struct inet_diag_bc_op: code, ``yes``, ``no``): true continues with the next operation, false jumps forward by ``no``
bytes. A socket for which the program ends exactly at its end is dumped, one that jumps 4 bytes further is not.

1. The kernel compares ports and networks. Every other condition counts as true, so that the program lets through at
   least what the filter does: the caller filters the answer again.
2. Therefore ``not`` is first pushed down to the conditions; otherwise "at least" would turn into "at most".
"""

import struct
from itertools import accumulate
from typing import NamedTuple

from portside.kernel import states
from portside.kernel.filter.tree import And, Filter, HostIn, Not, Or, PortIn, Side, StateIn
from portside.kernel.inet_diag import IPV4, IPV6

_JUMP = 1
_PORT_AT_LEAST = {"local": 2, "remote": 4}
_PORT_AT_MOST = {"local": 3, "remote": 5}
_HOST = {"local": 7, "remote": 8}
_OPERATION = struct.Struct("=BBH")
_HOST_CONDITION = struct.Struct("=BBxxi")  # struct inet_diag_hostcond: family, bits, port (-1: any)
_LAST_PORT = 65535

# An attribute has 16 bits for its length, and a jump for its way.
_MOST_BYTES = 60_000


class _Condition(NamedTuple):
    """One operation, with the bytes of its ``argument`` after it; ``negated``: the condition has to be false."""

    code: int
    argument: bytes
    negated: bool


class _All(NamedTuple):
    parts: "tuple[_Code, ...]"


class _Any(NamedTuple):
    parts: "tuple[_Code, ...]"


_Code = _Condition | _All | _Any
_NOTHING = _Any(())


def states_of(node: Filter) -> int:
    """The set of states that a filter can match."""
    return _states(node, negated=False)


def compile_filter(node: Filter) -> bytes | None:
    """The program that lets through what a filter does, or more; None where that is everything or it is too long."""
    code = _code(node, negated=False)
    if code is None:
        return None
    return _Assembler().assembled(code) or None


def _states(node: Filter, *, negated: bool) -> int:
    match node:
        case StateIn(chosen):
            return states.ALL & (~chosen if negated else chosen)
        case Not(term):
            return _states(term, negated=not negated)
        case And(terms) | Or(terms):
            sets = [_states(term, negated=negated) for term in terms]
            every = isinstance(node, And) != negated
            found = states.ALL if every else 0
            for each in sets:
                found = found & each if every else found | each
            return found
    return states.ALL


def _code(node: Filter, *, negated: bool) -> _Code | None:
    """The code of a filter or its opposite; None where the kernel cannot be asked anything."""
    match node:
        case PortIn(side, low, high):
            return _ports(side, low, high, negated=negated)
        case HostIn(side, address, bits):
            family = IPV4 if len(address) == 4 else IPV6
            return _Condition(_HOST[side], _HOST_CONDITION.pack(family, bits, -1) + address, negated)
        case Not(term):
            return _code(term, negated=not negated)
        case And(terms) | Or(terms):
            parts = [_code(term, negated=negated) for term in terms]
            if isinstance(node, And) != negated:
                asked = tuple(part for part in parts if part is not None)
                return _All(asked) if asked else None
            asked = tuple(part for part in parts if part is not None)
            return _Any(asked) if len(asked) == len(parts) else None
    return None


def _ports(side: Side, low: int, high: int, *, negated: bool) -> _Code | None:
    """The code of ``PortIn``: only those bounds that say something, for a port has 16 bits."""
    low, high = max(low, 0), min(high, _LAST_PORT)
    if low > high:
        return None if negated else _NOTHING
    bounds = []
    if low > 0:
        bounds.append(_Condition(_PORT_AT_LEAST[side], _OPERATION.pack(0, 0, low), negated))
    if high < _LAST_PORT:
        bounds.append(_Condition(_PORT_AT_MOST[side], _OPERATION.pack(0, 0, high), negated))
    if negated:
        return _Any(tuple(bounds))
    return _All(tuple(bounds)) if bounds else None


class _Label:
    """A jump target in the program; its offset becomes known while the program is laid out."""

    def __init__(self) -> None:
        self.at = -1


class _Assembler:
    """Operations laid out one after the other; jumps lead to labels, always forward."""

    def __init__(self) -> None:
        self._operations: list[tuple[int, bytes, _Label]] = []
        self._labels: list[tuple[int, _Label]] = []

    def assembled(self, code: _Code) -> bytes:
        dumped, skipped = _Label(), _Label()
        self._put(code, dumped, skipped, dumped)
        sizes = [_OPERATION.size + len(argument) for _, argument, _ in self._operations]
        *starts, end = accumulate(sizes, initial=0)
        for index, label in self._labels:
            label.at = starts[index]
        dumped.at, skipped.at = end, end + _OPERATION.size
        if skipped.at > _MOST_BYTES:
            return b""
        return b"".join(
            _OPERATION.pack(operation, size, label.at - start) + argument
            for (operation, argument, label), start, size in zip(self._operations, starts, sizes, strict=True)
        )

    def _put(self, code: _Code, true: _Label, false: _Label, after: _Label) -> None:
        """Append code that continues at the label ``true`` or ``false``; ``after`` is the label right behind it."""
        if isinstance(code, _Condition):
            if code.negated:
                true, false = false, true
            self._operations.append((code.code, code.argument, false))
            if true is not after:
                self._operations.append((_JUMP, b"", true))
            return
        *first, last = code.parts or (None,)
        if last is None:  # none of nothing is true
            self._operations.append((_JUMP, b"", false))
            return
        for part in first:
            following = _Label()
            if isinstance(code, _All):
                self._put(part, following, false, following)
            else:
                self._put(part, true, following, following)
            self._labels.append((len(self._operations), following))
        self._put(last, true, false, after)
