"""The two ends of connections, joined where both are in the fleet: pure.

The local end of one socket is the remote end of the other, and the reverse. That alone is no proof where an address is
used more than once (private networks, several sites, NAT):

1. Addresses of the loopback, and two ends of one machine, are joined within that machine alone.
2. Else there has to be one socket of each kind in the whole fleet; where there are more, none is joined, and each says
   so (``ambiguous``).
3. Two sockets are not joined where their counts contradict each other: one cannot have received more than the other has
   sent, whichever was looked at first.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from portside.fleet.query.state import NodeName, OpenOfNode
from portside.kernel.models import Socket

_FIN: Final = 1  # the kernel counts the FIN as a byte


class End(NamedTuple):
    """One end of a connection, on a machine."""

    name: NodeName
    at: str
    socket: Socket

    @property
    def waiting(self) -> int:
        """The bytes in its queues."""
        return max(0, self.socket.recv_q or 0) + max(0, self.socket.send_q or 0)


class Joined(NamedTuple):
    """A connection: the end that connected first, as far as one can tell from its port, and the other if it is known.

    ``ambiguous``: there are several ends that could be the other one.
    """

    one: End
    other: End | None
    ambiguous: bool = False

    @property
    def waiting(self) -> int:
        """The bytes in the queues of both ends."""
        return self.one.waiting + (0 if self.other is None else self.other.waiting)


Ends = tuple[str, str]


def join(nodes: Iterable[OpenOfNode]) -> list[Joined]:
    """The connections of some nodes; those with the most bytes waiting first, then in the order of the nodes."""
    by_ends: dict[Ends, list[End]] = {}
    for node in nodes:
        for socket in node.sockets:
            if socket.remote is not None:
                ends = without_zone(socket.local), without_zone(socket.remote)
                by_ends.setdefault(ends, []).append(End(node.name, node.at, socket))
    joined = [each for ends, these in by_ends.items() for each in _join_ends(ends, these, by_ends)]
    joined.sort(key=lambda each: -each.waiting)
    return joined


def _join_ends(ends: Ends, these: list[End], by_ends: dict[Ends, list[End]]) -> Iterator[Joined]:
    """The connections of the sockets with these two ends; one that is joined comes from one of its sides alone."""
    local, remote = ends
    those = by_ends.get((remote, local), [])
    if local == remote:  # connected to itself
        yield from (Joined(each, None) for each in these)
        return
    is_first = _port(local) > _port(remote) or (_port(local) == _port(remote) and local > remote)
    pairs = _pairs(these, those, is_loopback=is_loopback(local) or is_loopback(remote))
    joined = {id(one) for one, _ in pairs}
    if is_first:
        yield from (Joined(one, other) for one, other in pairs)
    rest_of_those = len(those) - len(pairs)
    may_be_elsewhere = not (is_loopback(local) or is_loopback(remote))
    for each in these:
        if id(each) not in joined:
            yield Joined(each, None, ambiguous=bool(rest_of_those) and may_be_elsewhere and _is_any(each, those))


def _pairs(these: list[End], those: list[End], *, is_loopback: bool) -> list[tuple[End, End]]:
    """The pairs of sockets that are the two ends of one connection."""
    if not those:
        return []
    left, right = _by_name(these), _by_name(those)
    pairs = [
        (left.pop(name)[0], right.pop(name)[0])
        for name in left.keys() & right.keys()  # both ends of one machine
        if len(left[name]) == len(right[name]) == 1 and _agree(left[name][0], right[name][0])
    ]
    if is_loopback:
        return pairs
    ones, others = [end for ends in left.values() for end in ends], [end for ends in right.values() for end in ends]
    if len(ones) == len(others) == 1 and _agree(ones[0], others[0]):
        pairs.append((ones[0], others[0]))
    return pairs


def _by_name(ends: list[End]) -> dict[NodeName, list[End]]:
    found: dict[NodeName, list[End]] = {}
    for end in ends:
        found.setdefault(end.name, []).append(end)
    return found


def _is_any(end: End, those: list[End]) -> bool:
    """Whether any of those sockets could be the other end."""
    return any(_agree(end, other) for other in those)


def _agree(one: End, other: End) -> bool:
    """Whether two sockets may be the ends of one connection, by what they have sent and received."""
    received, sent = _count(one, "bytes_received"), _count(one, "bytes_sent")
    other_received, other_sent = _count(other, "bytes_received"), _count(other, "bytes_sent")
    if received is None or sent is None or other_received is None or other_sent is None:
        return True
    # Whichever was looked at first, what it had received by then the other has sent.
    return received <= other_sent + _FIN or other_received <= sent + _FIN


def _count(end: End, name: str) -> int | None:
    value = None if end.socket.info is None else end.socket.info.get(name)
    return value if isinstance(value, int) else None


def without_zone(end: str) -> str:
    """``[fe80::1]:22`` of ``[fe80::1%eth0]:22``: what a machine calls its interface is its own."""
    host, percent, rest = end.partition("%")
    if not percent:
        return end
    _, colon, port = rest.rpartition(":")
    return f"{host}{']' if host.startswith('[') else ''}{colon}{port}"


def is_loopback(end: str) -> bool:
    """Whether an end is of the loopback."""
    return end.startswith(("127.", "[::1]:", "[::1%"))


def _port(end: str) -> int:
    port = end.rpartition(":")[2]
    return int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else 0
