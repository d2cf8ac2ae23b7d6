"""Which events a subscriber wants, in the filter language.

The columns are fields of the events. What an event has not is neither true nor false: it matches neither a condition
nor its ``not``.
"""

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple

from portside.events import Event, Payload, Received, Sent
from portside.kernel.filter.columns import FilterColumn, Vocabulary, parse_integer
from portside.kernel.filter.errors import FilterError
from portside.kernel.filter.grammar import parse
from portside.kernel.filter.tree import And, Filter, HostIn, Not, Number, Or, PortIn, Side, TextIs
from portside.kernel.filter.wildcards import wildcard_matcher
from portside.units import parse_duration, parse_size

Matches = Callable[[Event], bool]

NUMBERS: Final = {
    "conn": FilterColumn("conn", parse_integer),
    "size": FilterColumn("size", parse_size),
    "received": FilterColumn("received", parse_size),
    "sent": FilterColumn("sent", parse_size),
    "duration": FilterColumn("duration", parse_duration),
}
TEXTS: Final = {name: name for name in ("event", "reason", "by", "act", "fault", "direction")}
ENDS: Final[Mapping[str, Side]] = {"peer": "remote", "local": "local", "dst": "remote", "src": "local"}
VOCABULARY: Final = Vocabulary(NUMBERS, TEXTS, ENDS)

_FIELD_OF: Final[Mapping[Side, str]] = {"remote": "peer", "local": "local"}
_MAPPED: Final = bytes(10) + b"\xff\xff"  # before an IPv4 address mapped into IPv6
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class EventFilter(NamedTuple):
    """The test that a filter stands for.

    ``conditions`` is how many it has, which is what a test costs at most. ``takes_payload`` is False where no event
    with payload can match, so that none has to be looked at.
    """

    matches: Matches
    conditions: int
    takes_payload: bool


def make_event_filter(text: str) -> EventFilter | None:
    """Read a filter; None where it is empty, which is true of every event. Raises FilterError."""
    tree = parse(text, columns=VOCABULARY)
    if tree == And(()):
        return None
    takes_payload = any(_may_match(tree, kind, wanted=True) for kind in (Received, Sent))
    return EventFilter(_compile(tree, text, wanted=True), _count(tree), takes_payload)


def _count(node: Filter) -> int:
    match node:
        case Not(term):
            return _count(term)
        case And(terms) | Or(terms):
            return sum(map(_count, terms))
    return 1


def _may_match(node: Filter, kind: type[Event], *, wanted: bool) -> bool:
    """Whether any event of a kind can be one for which a condition is true (or false, where ``wanted`` is False)."""
    match node:
        case Not(term):
            return _may_match(term, kind, wanted=not wanted)
        case And(terms) | Or(terms):
            found = (_may_match(term, kind, wanted=wanted) for term in terms)
            return all(found) if isinstance(node, And) is wanted else any(found)
        case TextIs("event", pattern):
            return wildcard_matcher(pattern)(kind.event) is wanted
    return True


def _compile(node: Filter, text: str, *, wanted: bool) -> Matches:
    """The test whether a condition is known to be true or, where ``wanted`` is False, known to be false."""
    match node:
        case Not(term):
            return _compile(term, text, wanted=not wanted)
        case And(terms) | Or(terms):
            tests = [_compile(term, text, wanted=wanted) for term in terms]
            return _all(tests) if isinstance(node, And) is wanted else _any(tests)
        case Number(column, comparison, value) if column in NUMBERS:
            return _number(column, _COMPARE[comparison], value, wanted=wanted)
        case TextIs(column, pattern):
            return _text(column, pattern, wanted=wanted)
        case PortIn(side, low, high):
            return _end(_FIELD_OF[side], lambda _address, port: low <= port <= high, wanted=wanted)
        case HostIn(side, address, bits):
            return _end(_FIELD_OF[side], lambda found, _port: _is_within(found, address, bits), wanted=wanted)
    columns = ", ".join((*TEXTS, *NUMBERS, *ENDS))
    raise FilterError(f"an event has no such column: there are {columns}, sport and dport", text, 0, len(text))


def _all(tests: list[Matches]) -> Matches:
    if len(tests) == 2:
        first, second = tests
        return lambda event: first(event) and second(event)
    return lambda event: all(test(event) for test in tests)


def _any(tests: list[Matches]) -> Matches:
    if len(tests) == 2:
        first, second = tests
        return lambda event: first(event) or second(event)
    return lambda event: any(test(event) for test in tests)


def _number(column: str, compare: Callable[[float, float], bool], value: float, *, wanted: bool) -> Matches:
    if column == "size":

        def test_size(event: Event) -> bool:
            size = len(event.data) if isinstance(event, Payload) else getattr(event, "size", None)
            return size is not None and compare(size, value) is wanted

        return test_size

    def test(event: Event) -> bool:
        found = getattr(event, column, None)
        return found is not None and compare(found, value) is wanted

    return test


def _text(column: str, pattern: str, *, wanted: bool) -> Matches:
    matches = wildcard_matcher(pattern)

    def test(event: Event) -> bool:
        found = getattr(event, column, None)
        return found is not None and matches(found) is wanted

    return test


def _end(field: str, matches: Callable[[bytes, int], bool], *, wanted: bool) -> Matches:
    def test(event: Event) -> bool:
        end = _parse_end(getattr(event, field, None))
        return end is not None and matches(*end) is wanted

    return test


@lru_cache(maxsize=4096)
def _parse_end(text: str | None) -> tuple[bytes, int] | None:
    """The address and port of ``127.0.0.1:5000`` or ``[::1]:5000``; None for a unix socket."""
    host, _, port = (text or "").rpartition(":")
    if not port.isdecimal():
        return None
    host = host.removeprefix("[").removesuffix("]").partition("%")[0]
    try:
        return inet_pton(AF_INET6 if ":" in host else AF_INET, host), int(port)
    except OSError:
        return None


def _is_within(found: bytes, network: bytes, bits: int) -> bool:
    if len(found) == 16 and len(network) == 4 and found.startswith(_MAPPED):
        found = found[12:]
    if len(found) != len(network):
        return False
    shift = 8 * len(network) - bits
    return int.from_bytes(found, "big") >> shift == int.from_bytes(network, "big") >> shift
