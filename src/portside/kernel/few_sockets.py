"""A few sockets as plain values, for a look that needs no more than netstat's columns.

numpy's import takes longer than all the rest of such a look. What is here does for a small dump, without numpy, what
``decoder``, ``filter.evaluate`` and ``netlink`` do for a large one; a property test holds both to the same. Whatever is
not as usual is left to them: another source than netlink, a dump that was interrupted or is malformed, and conditions
on columns that may be unknown.
"""

import operator
import struct
from collections.abc import Callable
from typing import NamedTuple

from portside.kernel import states
from portside.kernel.filter.tree import And, Comparison, Filter, HostIn, Not, Number, Or, PortIn, Side, StateIn
from portside.kernel.host_text import LINK_LOCAL, MAPPED_PREFIX
from portside.kernel.inet_diag import BASE_BYTES, IPV4, IPV6, NLM_F_DUMP_INTR, SOCK_DIAG_BY_FAMILY

MOST_BYTES = 1 << 16
"""The size of a dump that is a small one: some 500 sockets, which here take as long as numpy takes to import."""

_HEADER = struct.Struct("=IHH8x")  # struct nlmsghdr: length, type, flags
_SOCKET = struct.Struct("=BBxx2s2s16s16sIQ4xII4xI")  # struct inet_diag_msg
_KNOWN_NUMBERS = ("recv_q", "send_q", "interface")  # of every socket that netlink dumps
_COMPARE: dict[Comparison, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class PlainSocket(NamedTuple):
    """One socket of a dump; ``local`` and ``remote`` have 4 bytes for IPv4 and 16 for IPv6."""

    family: int
    state: int
    local: bytes
    local_port: int
    remote: bytes
    remote_port: int
    interface: int
    cookie: int
    recv_q: int
    send_q: int
    inode: int

    def zone(self, address: bytes) -> int:
        """The number of the interface that belongs to a link-local address of this socket; 0 to others."""
        return self.interface if self.family == IPV6 and address.startswith(LINK_LOCAL) else 0


def can_answer(node: Filter) -> bool:
    """Whether ``matches`` knows all that a filter asks for."""
    match node:
        case And(terms) | Or(terms):
            return all(map(can_answer, terms))
        case Not(term):
            return can_answer(term)
        case Number(column):
            return column in _KNOWN_NUMBERS
    return isinstance(node, PortIn | HostIn | StateIn)


def matches(node: Filter, socket: PlainSocket) -> bool:
    """Whether a socket matches a filter that ``can_answer`` accepts."""
    match node:
        case And(terms):
            return all(matches(term, socket) for term in terms)
        case Or(terms):
            return any(matches(term, socket) for term in terms)
        case Not(term):
            return not matches(term, socket)
        case PortIn(side, low, high):
            return low <= (socket.local_port if side == "local" else socket.remote_port) <= high
        case HostIn(side, network, bits):
            return _is_in(_address(socket, side, mapped=len(network) == 4), network, bits)
        case StateIn(chosen):
            state = states.SYN_RECV if socket.state == states.NEW_SYN_RECV else socket.state
            return bool(chosen >> state & 1)
        case Number(column, comparison, value):
            return _COMPARE[comparison](getattr(socket, column), value)
    raise AssertionError(node)


def _address(socket: PlainSocket, side: Side, *, mapped: bool) -> bytes:
    """The address of a side; ``mapped``: one that is mapped into IPv6 is the IPv4 address that it stands for."""
    address = socket.local if side == "local" else socket.remote
    return address[12:] if mapped and len(address) == 16 and address.startswith(MAPPED_PREFIX) else address


def _is_in(address: bytes, network: bytes, bits: int) -> bool:
    if len(address) != len(network):
        return False
    rest = 8 * len(network) - bits
    return int.from_bytes(address, "big") >> rest == int.from_bytes(network, "big") >> rest


def decode_few(data: memoryview) -> list[PlainSocket] | None:
    """The sockets of a dump, each once, as it was dumped last; None where the table has to look at it."""
    if len(data) > MOST_BYTES:
        return None
    found: dict[int, PlainSocket] = {}
    at = 0
    while at < len(data):
        if len(data) - at < _HEADER.size:
            return None
        length, kind, flags = _HEADER.unpack_from(data, at)
        if flags & NLM_F_DUMP_INTR or not _HEADER.size <= length <= len(data) - at:
            return None
        if kind == SOCK_DIAG_BY_FAMILY:
            if length < _HEADER.size + BASE_BYTES:
                return None
            socket = _socket(data, at + _HEADER.size)
            if socket is None:
                return None
            found.pop(socket.cookie, None)  # a socket that moves in the kernel's table meanwhile may be dumped twice
            found[socket.cookie] = socket
        at += (length + 3) & ~3
    return list(found.values())


def _socket(data: memoryview, at: int) -> PlainSocket | None:
    family, state, local_port, remote_port, local, remote, *numbers = _SOCKET.unpack_from(data, at)
    if family not in (IPV4, IPV6):
        return None
    size = 4 if family == IPV4 else 16
    return PlainSocket(
        family,
        state,
        local[:size],
        int.from_bytes(local_port, "big"),
        remote[:size],
        int.from_bytes(remote_port, "big"),
        *numbers,
    )
