"""Groups of connections over many nodes, added up from summaries: pure, bounded."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final, Literal

import msgspec

from portside.fleet.query.state import NodeName
from portside.fleet.schema import TrafficSummary

MOST_GROUPS: Final = 100_000
OTHERS: Final = "(others)"
OUTGOING: Final = "(outgoing)"
_LIMIT: Final = 1 << 62  # no sum of a fleet comes near; a message may say anything
_LISTEN = "LISTEN"

Group = Literal["program", "node", "port", "remote"]
Key = tuple[str | None, ...]


class TopRow(msgspec.Struct, kw_only=True):
    """A group of connections as ``fleet top --json`` has it.

    ``connections``, ``recv_q`` and ``send_q`` are as of each node's last summary; ``opened`` to ``retransmits`` were
    added up over the time that is asked for. ``rtt_us`` is the median, None where no connection had one. ``nodes`` is
    on how many nodes there are such connections.
    """

    connections: int = 0
    opened: int = 0
    closed: int = 0
    resets: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    segments_out: int = 0
    retransmits: int = 0
    recv_q: int = 0
    send_q: int = 0
    rtt_us: int | None = None
    nodes: int = 0


class _Counts:
    __slots__ = ("nodes", "row", "rtts")

    def __init__(self) -> None:
        self.row = TopRow()
        self.nodes: set[NodeName] = set()
        self.rtts: dict[int, int] = {}


class TopCounts:
    """The sums of groups, by program, node, port or remote network."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._groups: dict[Key, _Counts] = {}

    def add(self, name: NodeName, groups: Iterable[TrafficSummary], *, is_last: bool) -> None:
        """Add a summary of a node; ``is_last``: how many connections there are counts."""
        for each in groups:
            counts = self._counts(key_of(name, each, self._group))
            row = counts.row
            row.opened = _sum(row.opened, each.opened)
            row.closed = _sum(row.closed, each.closed)
            row.resets = _sum(row.resets, each.reset)
            row.bytes_sent = _sum(row.bytes_sent, each.bytes_sent)
            row.bytes_received = _sum(row.bytes_received, each.bytes_received)
            row.segments_out = _sum(row.segments_out, each.segs_out)
            row.retransmits = _sum(row.retransmits, each.retrans)
            if each.rtt_us is not None:
                rtt = _rounded(each.rtt_us)
                weight = max(1, _sum(max(0, each.sockets), each.closed))  # a group has one or the other
                counts.rtts[rtt] = _sum(counts.rtts.get(rtt, 0), weight)
            if is_last and each.state != _LISTEN:
                row.connections = _sum(row.connections, each.sockets)
                row.recv_q = _sum(row.recv_q, each.recv_q)
                row.send_q = _sum(row.send_q, each.send_q)
                if each.sockets > 0:
                    counts.nodes.add(name)

    def _counts(self, key: Key) -> _Counts:
        counts = self._groups.get(key)
        if counts is None:
            if len(self._groups) >= MOST_GROUPS:
                key = (OTHERS,) * len(key)
            counts = self._groups.setdefault(key, _Counts())
        return counts

    def rows(self, by: str, limit: int) -> list[tuple[Key, TopRow]]:
        """The groups with the most of what is asked for, those first; groups without any connection or traffic not."""
        for counts in self._groups.values():
            counts.row.nodes = len(counts.nodes)
            counts.row.rtt_us = _median(counts.rtts)
        found = [(key, counts.row) for key, counts in self._groups.items() if _is_any(counts.row)]
        found.sort(key=lambda each: (-measure(each[1], by), -each[1].connections, tuple(map(str, each[0]))))
        return found[:limit]

    def __len__(self) -> int:
        return len(self._groups)


def key_of(name: NodeName, group: TrafficSummary, by: Group) -> Key:
    """The row that a group is counted under."""
    if by == "node":
        return name.site, name.node
    if group.others:
        return (OTHERS,)
    if by == "program":
        return (group.program,)
    if by == "port":
        return (OUTGOING if group.local_port is None else str(group.local_port),)
    return (group.remote,)


def named(key: Key, by: Group) -> Mapping[str, str | int | None]:
    """The row that a group is counted under, as JSON has it."""
    if by == "node":
        return {"site": key[0], "node": key[1]}
    if by == "port":
        return {"port": int(key[0]) if key[0] and key[0].isdecimal() else key[0]}
    return {by: key[0]}


def measure(row: TopRow, by: str) -> int:
    """The number that a group is sorted by."""
    match by:
        case "bytes":
            return row.bytes_sent + row.bytes_received
        case "retransmits":
            return row.retransmits
        case "resets":
            return row.resets
        case "rtt":
            return -1 if row.rtt_us is None else row.rtt_us
    return row.connections


def _is_any(row: TopRow) -> bool:
    return any((row.connections, row.opened, row.closed, row.resets, row.bytes_sent, row.bytes_received))


def _sum(left: int, right: int) -> int:
    return min(left + max(0, right), _LIMIT)


def _rounded(microseconds: int) -> int:
    """A time to three digits, so that there are not too many of them."""
    value = min(max(0, microseconds), _LIMIT)
    unit: int = 10 ** max(0, len(str(value)) - 3)
    return value // unit * unit


def _median(weights: Mapping[int, int]) -> int | None:
    """The median of values with their weights."""
    if not weights:
        return None
    values = sorted(weights)
    sums = list(accumulate(weights[value] for value in values))
    return values[bisect_left(sums, (sums[-1] + 1) // 2)]
