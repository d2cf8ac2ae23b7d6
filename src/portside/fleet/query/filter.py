"""The filter language of ``watch`` over sockets as values, with the columns ``node`` and ``site``.

A condition is true, false, or None where it is not known, as in ``kernel.filter.evaluate``, which does the same for a
whole table; a property test holds both to the same answers.
"""

import fnmatch
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple

from portside.app.watch_filter import wrong_filter
from portside.fleet.query.names import FleetNames
from portside.fleet.query.state import NodeName
from portside.fleet.schema import TrafficSummary
from portside.kernel import states
from portside.kernel.column_names import INFO_COLUMNS, SKMEM_COLUMNS
from portside.kernel.filter.columns import ENDS, FILTER_COLUMNS, Vocabulary
from portside.kernel.filter.errors import FilterError
from portside.kernel.filter.grammar import parse
from portside.kernel.filter.tree import (
    EVERYTHING,
    And,
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
from portside.kernel.filter.wildcards import wildcard_matcher
from portside.kernel.host_text import MAPPED_PREFIX
from portside.kernel.inet_diag import TIMERS
from portside.kernel.models import Owner, Socket
from portside.procfs import short_name

TEXTS: Final = {"node": "node", "site": "site"}
VOCABULARY: Final = Vocabulary(FILTER_COLUMNS, TEXTS, ENDS)

_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TIMER_NUMBERS: Final = {name: number for number, name in enumerate(TIMERS)}
_OF_INFO: Final = frozenset((*INFO_COLUMNS, "cgroup", "mark", "shutdown", "v6only", "cookie"))
_LOOPBACK_6: Final = bytes(15) + b"\1"
_WHILE_RUNNING: Final = frozenset(("timer_ms", "retransmits"))


class FilteredSocket(NamedTuple):
    """A socket of a node; ``socket`` is None for what has none, and ``age_s`` where it is not known."""

    name: NodeName
    socket: Socket | None
    age_s: float | None = None


class SummaryRow(NamedTuple):
    """A group of connections of a node."""

    name: NodeName
    group: TrafficSummary


class SocketFilter:
    """A filter over sockets of nodes. Raises UsageError, as ``watch`` does, for ``command``."""

    def __init__(self, text: str, command: str) -> None:
        self._names = FleetNames()
        try:
            self._tree = parse(text, self._names, VOCABULARY)
        except FilterError as error:
            raise wrong_filter(error, command) from None

    @property
    def is_empty(self) -> bool:
        """Whether it is true of everything."""
        return self._tree == EVERYTHING

    def matches(self, row: FilteredSocket) -> bool:
        """Whether a socket is known to match."""
        return evaluate_tree(self._tree, lambda condition: socket_truth(condition, row, self._names)) is True


class SummaryFilter:
    """A filter over groups of connections: program, sport, state, dst, node and site.

    A group with no local port has those that the kernel chose, and a group of a network may hold more addresses than
    are asked for: then a condition about them is neither true nor false.
    """

    def __init__(self, text: str, command: str) -> None:
        try:
            self._tree = parse(text, FleetNames(), VOCABULARY)
            _check_summary(self._tree, text)
        except FilterError as error:
            raise wrong_filter(error, command) from None

    def matches(self, row: SummaryRow) -> bool:
        """Whether a group is known to match."""
        return evaluate_tree(self._tree, lambda condition: summary_truth(condition, row)) is True


def evaluate_tree(node: Filter, condition: Callable[[Condition], bool | None]) -> bool | None:
    """Join the truths of the conditions of a filter (Kleene's logic)."""
    match node:
        case And(terms) | Or(terms):
            decides = isinstance(node, Or)
            truth: bool | None = not decides
            for term in terms:
                found = evaluate_tree(term, condition)
                if found is decides:
                    return decides
                if found is None:
                    truth = None
            return truth
        case Not(term):
            found = evaluate_tree(term, condition)
            return None if found is None else not found
    return condition(node)


def socket_truth(node: Condition, row: FilteredSocket, names: FleetNames) -> bool | None:
    """Whether a condition is true of a socket."""
    socket = row.socket
    if isinstance(node, TextIs):
        return _matches_name(node, row.name)
    if socket is None:
        return None
    match node:
        case PortIn(side, low, high):
            end = _end_of(socket, side)
            return None if end is None else low <= end[1] <= high
        case HostIn(side, network, bits):
            end = _end_of(socket, side)
            return None if end is None else _is_within(end[0], network, bits)
        case StateIn(chosen):
            number = state_number(socket.state)
            return None if number is None else bool(chosen >> number & 1)
        case ProgramIs(name):
            pattern = name.replace("[", "[[]")  # fnmatch has sets of characters, the filter has * and ? alone
            return _any_owner(socket, lambda owner: program_matches(owner.program, pattern))
        case Mark(mark, mask):
            found = _info_number(socket, "mark")
            return None if found is None else int(found) & mask == mark
        case Number("pid", comparison, value):
            return _any_owner(socket, lambda owner: _COMPARE[comparison](owner.pid, value))
        case Number(column, comparison, value):
            number_found = _number(row, column, value, names)
            return None if number_found is None else _COMPARE[comparison](number_found, value)
    raise AssertionError(node)


def summary_truth(node: Condition, row: SummaryRow) -> bool | None:
    """Whether a condition is true of a group of connections."""
    group = row.group
    match node:
        case TextIs():
            return _matches_name(node, row.name)
        case PortIn("local", low, high):
            return None if group.local_port is None else low <= group.local_port <= high
        case HostIn("remote", network, bits):
            return _network_within(group.remote, network, bits)
        case StateIn(chosen):
            number = state_number(group.state)
            return None if number is None else bool(chosen >> number & 1)
        case ProgramIs(name):
            if group.program is None:
                return None
            return program_matches(group.program, name.replace("[", "[[]"))
    raise AssertionError(node)


def _check_summary(node: Filter, text: str) -> None:
    """Raise FilterError for a condition that is about no column of a summary."""
    match node:
        case And(terms) | Or(terms):
            for term in terms:
                _check_summary(term, text)
        case Not(term):
            _check_summary(term, text)
        case TextIs() | StateIn() | ProgramIs() | PortIn("local") | HostIn("remote"):
            return
        case _:
            there = "program, sport, state, dst, node and site"
            raise FilterError(f"a summary has no such column: there are {there}", text, 0, len(text))


def _matches_name(node: TextIs, name: NodeName) -> bool:
    return wildcard_of(node.pattern)(name.node if node.column == "node" else name.site)


@lru_cache(maxsize=64)
def wildcard_of(pattern: str) -> Callable[[str], bool]:
    """The test of a pattern, made once."""
    return wildcard_matcher(pattern)


def state_number(name: str) -> int | None:
    """The kernel's number of a state; None for a word that is none."""
    number = states.NUMBERS.get(name)
    if number is None and name.startswith("STATE_") and name[6:].isdecimal() and len(name) < 10:
        return int(name[6:])
    return number


def program_matches(program: str | None, pattern: str) -> bool:
    """Whether a pattern of fnmatch matches a program's name in full, or the 15 bytes by which ss and ps know it."""
    if program is None:
        return False
    return fnmatch.fnmatchcase(program, pattern) or fnmatch.fnmatchcase(short_name(program), pattern)


def _any_owner(socket: Socket, matches: Callable[[Owner], bool]) -> bool | None:
    return None if socket.owners is None else any(map(matches, socket.owners))


def _number(row: FilteredSocket, column: str, asked: float, names: FleetNames) -> float | None:
    """A column of numbers of a socket, None where it is not known."""
    socket = row.socket
    if socket is None:
        return None
    match column:
        case "age_s":
            return row.age_s
        case "recv_q":
            return socket.recv_q
        case "send_q":
            return socket.send_q
        case "uid":
            return socket.uid
        case "inode":
            return socket.inode
        case "local_port" | "remote_port":
            end = _end_of(socket, column.removesuffix("_port"))
            return None if end is None else end[1]
    info = socket.info
    if info is None:
        return None
    if column in SKMEM_COLUMNS:
        memory = info.get("skmem")
        return _as_number(memory.get(column)) if isinstance(memory, dict) else None
    if column == "interface":
        return names.interface_of(str(info["interface"]), asked) if "interface" in info else 0
    if column == "timer":
        return _TIMER_NUMBERS.get(str(info.get("timer", TIMERS[0])))
    if column in _WHILE_RUNNING and "timer" not in info:
        return 0
    return _info_number(socket, column) if column in _OF_INFO or column in _WHILE_RUNNING else None


def _info_number(socket: Socket, name: str) -> float | None:
    return None if socket.info is None else _as_number(socket.info.get(name))


def _as_number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None  # true is 1


def _end_of(socket: Socket, side: str) -> tuple[bytes, int] | None:
    """The address and port of an end; a listener has the remote end 0.0.0.0:0 or [::]:0."""
    text = socket.local if side == "local" else socket.remote
    if text is None:
        return (bytes(4 if socket.family == 4 else 16), 0) if socket.listening else None
    end = parse_end(text)
    if end is not None and socket.family == 6 and len(end[0]) == 4:
        return MAPPED_PREFIX + end[0], end[1]
    return end


@lru_cache(maxsize=65536)
def parse_end(text: str) -> tuple[bytes, int] | None:
    """The address and port of ``127.0.0.1:5000`` or ``[fe80::1%eth0]:5000``; None for what is none."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5):
        return None
    host = host.removeprefix("[").removesuffix("]").partition("%")[0]
    try:
        return inet_pton(AF_INET6 if ":" in host else AF_INET, host), int(port)
    except (OSError, ValueError):
        return None


def _is_within(address: bytes, network: bytes, bits: int) -> bool:
    """Whether an address is in a network; of IPv4 networks are addresses mapped into IPv6 too."""
    if len(address) == 16 and len(network) == 4 and address.startswith(MAPPED_PREFIX):
        address = address[12:]
    if len(address) != len(network):
        return False
    shift = 8 * len(network) - bits
    return int.from_bytes(address, "big") >> shift == int.from_bytes(network, "big") >> shift


def _network_within(remote: str | None, network: bytes, bits: int) -> bool | None:
    """Whether all addresses of a group's network are in another one; None where some are, or it is not known."""
    own = parse_network(remote)
    if own is None:
        return None
    if remote == "loopback" and len(network) == 16:
        return None if _is_within(_LOOPBACK_6, network, bits) else False
    address, own_bits = own
    if len(address) != len(network):
        return False
    if own_bits >= bits:
        return _is_within(address, network, bits)
    return None if _is_within(network, address, own_bits) else False


@lru_cache(maxsize=4096)
def parse_network(text: str | None) -> tuple[bytes, int] | None:
    """The address and bits of ``10.0.0.0/24``; ``loopback`` is 127.0.0.0/8. None for what is no network."""
    if text == "loopback":
        return bytes((127, 0, 0, 0)), 8
    address, _, bits = (text or "").partition("/")
    if not (bits.isascii() and bits.isdecimal() and len(bits) <= 3):
        return None
    try:
        found = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    except (OSError, ValueError):
        return None
    return (found, int(bits)) if int(bits) <= 8 * len(found) else None
