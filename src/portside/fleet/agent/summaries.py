"""What the connections of a machine did in a minute, by program, local port, remote network and state.

1. Counts of bytes and segments grow with a connection. What one has added is its count at the end of the minute less
   its count at the end of the minute before (found by its cookie), or where it has closed, its last count less that.
2. A connection that closed is counted in the state CLOSE, whatever state it was in, with what it added meanwhile.
3. The groups are bounded: those with the most bytes, connections and closings have a summary of their own, all others
   together one, so that sums over all summaries are those of the machine.
4. A connection of which no owner is known, because it lived for less than the time between two looks or is not
   accepted yet, is counted with the program that listens on its local port, where one does.
5. Sockets stay columns: a group is made by sorting, and no value is made of a socket.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from portside.fleet.agent.remote_networks import network_text, remote_networks
from portside.fleet.schema import TrafficSummary
from portside.kernel import states
from portside.kernel.connection_tracker import EventBatch, forgotten
from portside.kernel.models import Owner
from portside.kernel.network_counters import read_settings
from portside.kernel.table import Mask, SocketTable
from portside.kernel.tracked_sockets import TrackedSockets

PERIOD_S: Final = 60.0
MOST_GROUPS: Final = 300
_MOST_KEPT: Final = 1024  # groups, within a minute
_MOST_TIMES: Final = 500  # of a batch of closed connections, for the median of their round-trip times
_EPHEMERAL: Final = "net.ipv4.ip_local_port_range"
_UNREAD_FIN: Final = 1  # recv_q counts the peer's FIN as a byte that is not read

_Ints = npt.NDArray[np.int64]
_Key = tuple[int, int, int, int]  # program, local port, remote network, state
_OTHERS: Final[_Key] = (-2, 0, 0, 0)
_UNKNOWN_PROGRAM: Final = -1
_NO_PORT: Final = -1

_COUNTS: Final = (
    "sockets", "opened", "closed", "reset", "bytes_sent", "bytes_received", "segs_out", "retrans", "recv_q", "send_q",
)  # fmt: skip
_GROWING: Final = ("bytes_sent", "bytes_received", "segs_out", "retrans")


class _Base(NamedTuple):
    """The counts of connections at the end of the last minute: cookies in ascending order, and a row for each."""

    keys: npt.NDArray[np.uint64]
    counts: _Ints  # a column for each of _GROWING


class Minutes:
    """The minutes of the wall clock: all machines end theirs together, so that their sums are of the same time.

    The last summaries of a fleet are then near each other in the stream, where a reader finds them at once.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._minute = self._clock() // PERIOD_S

    def has_ended(self) -> bool:
        """Whether a minute has ended since this was last said, or since the beginning."""
        minute = self._clock() // PERIOD_S
        has_ended = minute != self._minute
        self._minute = minute
        return has_ended


class Summaries:
    """The summaries of a machine, a minute after the other.

    ``port_range`` are the ports that the kernel chooses for outgoing connections, both ends included. The first minute
    begins with ``start``.
    """

    def __init__(self, most_groups: int = MOST_GROUPS, port_range: Callable[[], tuple[int, int]] | None = None) -> None:
        self._most_groups = most_groups
        self._read_port_range = port_range or ephemeral_ports
        self._ports = self._read_port_range()
        self._programs: dict[str, int] = {}
        self._listening: npt.NDArray[np.uint16] = np.zeros(0, "u2")
        self._listeners: dict[int, str] = {}  # programs, by the port that they listen on
        self._base = _Base(np.zeros(0, "u8"), np.zeros((0, len(_GROWING)), "i8"))
        self._groups: dict[_Key, Sequence[int]] = {}
        self._numbers: dict[_Key, int] = {}
        self._times: list[tuple[_Ints, _Ints]] = []  # the numbers of groups, and a round-trip time for each

    def start(self, tracked: TrackedSockets) -> None:
        """Begin with the connections that are there."""
        self.look(tracked)
        self._keep(tracked)

    def look(self, tracked: TrackedSockets) -> None:
        """See by a new table who listens where, before what it has opened and closed is added."""
        listeners = tracked.table.select(tracked.table.base["state"] == states.LISTEN)
        self._listening = listeners.base["local_port"]
        ports, owners = self._listening.tolist(), listeners.owners or {}
        found = (owners.get(key, ()) for key in listeners.owner_keys.tolist())
        self._listeners = {
            port: name for port, each in zip(ports, found, strict=True) if (name := _first_program(each))
        }

    def add(self, batches: Sequence[EventBatch]) -> None:
        """Count what was opened and what has closed."""
        for batch in batches:
            if batch.kind in ("opened", "short", "closed"):
                self._add(batch)

    def end(self, tracked: TrackedSockets, at: str, period_s: float) -> list[TrafficSummary]:
        """The summaries of the minute that ends with this table; the next one begins."""
        self._ports = self._read_port_range()
        shown = tracked.select(tracked.reported & (tracked.table.base["state"] != states.LISTEN))
        table = shown.table
        counts = np.zeros((len(table), len(_COUNTS)), "i8")
        counts[:, 0] = 1
        counts[:, 4:8] = _added(_counts(table), shown.keys, self._base)
        counts[:, 8], counts[:, 9] = _queues(table)
        self._count(table, table.base["state"], counts)
        summaries = self._summaries(at, period_s)
        self._groups, self._numbers, self._times = {}, {}, []
        self._keep(tracked)
        if len(self._programs) > 2 * _MOST_KEPT:
            self._programs = {}
        return summaries

    def _keep(self, tracked: TrackedSockets) -> None:
        self._base = _Base(tracked.keys, _counts(tracked.table))

    def _add(self, batch: EventBatch) -> None:
        table = batch.table
        state = table.base["state"]
        counts = np.zeros((len(table), len(_COUNTS)), "i8")
        if batch.kind in ("opened", "short"):
            counts[:, 1] = 1
        if batch.kind in ("short", "closed"):
            connections = batch.was != states.LISTEN
            if not connections.all():
                table, counts = table.select(connections), counts[connections]
            counts[:, 2] = 1
            if batch.detected_by == "destroy":
                counts[:, 3] = _ended_by_reset(table)
            counts[:, 4:8] = _added(_counts(table), table.column("cookie").values, self._base)
            state = np.full(len(table), states.CLOSE, "u1")
        self._count(table, state, counts)

    def _count(self, table: SocketTable, state: npt.NDArray[np.uint8], counts: _Ints) -> None:
        """Add the counts of sockets to those of their groups."""
        if not len(table):
            return
        programs, ports = self._programs_of(table), self._ports_of(table)
        networks = remote_networks(table.base)
        order = np.lexsort((state, networks, ports, programs))
        columns = [each[order] for each in (programs, ports, networks, state)]
        first = np.ones(len(order), bool)
        first[1:] = False
        for each in columns:
            first[1:] |= each[1:] != each[:-1]
        starts = np.flatnonzero(first)
        sums = np.add.reduceat(counts[order], starts, axis=0)
        keys = list(zip(*(each[starts].tolist() for each in columns), strict=True))
        for at, added in enumerate(sums.tolist()):
            if keys[at] not in self._groups and len(self._groups) >= _MOST_KEPT:
                keys[at] = _OTHERS
            before = self._groups.get(keys[at])
            self._groups[keys[at]] = added if before is None else _sum(before, added)
        self._keep_times(table, keys, np.cumsum(first) - 1, order)

    def _keep_times(self, table: SocketTable, keys: list[_Key], group: _Ints, order: _Ints) -> None:
        """Keep the round-trip times, of many closed connections some, for the medians."""
        rtt = table.column("rtt_us")
        rows = np.flatnonzero(rtt.known[order])
        if table.base["state"][0] == states.CLOSE and len(rows) > _MOST_TIMES:
            rows = rows[:: len(rows) // _MOST_TIMES]
        if len(rows):
            numbers = np.array([self._numbers.setdefault(key, len(self._numbers)) for key in keys], "i4")
            self._times.append((numbers[group[rows]], rtt.values[order[rows]].astype("u4")))

    def _programs_of(self, table: SocketTable) -> _Ints:
        """The number of the program that holds each socket, of several the first, else of the one that listens."""
        owners = table.owners or {}
        seen: dict[int, int] = {0: _UNKNOWN_PROGRAM}
        numbers = []
        for key, port in zip(table.owner_keys.tolist(), table.base["local_port"].tolist(), strict=True):
            number = seen.get(key)
            if number is None:
                number = seen[key] = self._number(_first_program(owners.get(key, ())))
            numbers.append(self._number(self._listeners.get(port)) if number == _UNKNOWN_PROGRAM else number)
        return np.array(numbers, "i8")

    def _number(self, program: str | None) -> int:
        return _UNKNOWN_PROGRAM if program is None else self._programs.setdefault(program, len(self._programs))

    def _ports_of(self, table: SocketTable) -> _Ints:
        """The local port of each socket; _NO_PORT where the kernel chose it for an outgoing connection."""
        ports = table.base["local_port"]
        chosen = (ports >= self._ports[0]) & (ports <= self._ports[1]) & ~np.isin(ports, self._listening)
        return np.where(chosen, _NO_PORT, ports.astype("i8"))

    def _summaries(self, at: str, period_s: float) -> list[TrafficSummary]:
        names = {number: name for name, number in self._programs.items()}
        others = self._groups.pop(_OTHERS, None)
        ranked = sorted(self._groups.items(), key=lambda each: _weight(each[1]), reverse=True)
        for _, counts in ranked[self._most_groups :]:
            others = counts if others is None else _sum(others, counts)
        medians = self._medians()
        summaries = [
            TrafficSummary(
                at=at,
                period_s=period_s,
                program=names.get(key[0]),
                local_port=None if key[1] == _NO_PORT else key[1],
                remote=network_text(key[2]),
                state=states.name_of(key[3]),
                rtt_us=medians.get(key),
                **_named(counts),
            )
            for key, counts in ranked[: self._most_groups]
        ]
        if others is not None:
            summaries.append(
                TrafficSummary(
                    at=at, period_s=period_s, program=None, local_port=None, remote=None, state="", others=True,
                    **_named(others),
                )
            )  # fmt: skip
        return summaries

    def _medians(self) -> dict[_Key, int]:
        """The median of the round-trip times of each group, of an even number the lower one in the middle."""
        if not self._times:
            return {}
        group, rtt = (np.concatenate(each) for each in zip(*self._times, strict=True))
        order = np.lexsort((rtt, group))
        starts = np.searchsorted(group[order], np.arange(len(self._numbers)))
        sizes = np.diff(np.append(starts, len(order)))
        middle = rtt[order[np.minimum(starts + (np.maximum(sizes, 1) - 1) // 2, len(order) - 1)]].tolist()
        return {key: middle[number] for key, number in self._numbers.items() if sizes[number]}


def _first_program(owners: Sequence[Owner]) -> str | None:
    """The program of the first of a socket's owners whose program is known."""
    return next((owner.program for owner in owners if owner.program), None)


def ephemeral_ports() -> tuple[int, int]:
    """The ports that the kernel chooses for outgoing connections; none where that cannot be read."""
    ports = read_settings((_EPHEMERAL,), None).get(_EPHEMERAL, ())
    return (ports[0], ports[1]) if len(ports) == 2 else (1, 0)


def _weight(counts: Sequence[int]) -> tuple[int, int]:
    named: Mapping[str, int] = dict(zip(_COUNTS, counts, strict=True))
    waiting = named["recv_q"] + named["send_q"]
    return named["bytes_sent"] + named["bytes_received"] + waiting, named["sockets"] + named["closed"] + named["opened"]


def _sum(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return [a + b for a, b in zip(one, other, strict=True)]


def _named(counts: Sequence[int]) -> dict[str, Any]:
    return dict(zip(_COUNTS, counts, strict=True))


def _counts(table: SocketTable) -> _Ints:
    """The growing counts of each socket, 0 where one is not known. Bytes sent are counted once."""
    counts = np.zeros((len(table), len(_GROWING)), "i8")
    for at, name in enumerate(("bytes_sent", "bytes_received", "segs_out", "retrans_total")):
        column = table.column(name)
        counts[:, at] = np.where(column.known, column.values, 0)
    again = table.column("bytes_retrans")
    counts[:, 0] -= np.where(again.known, again.values, 0).astype("i8")
    return counts


def _added(counts: _Ints, keys: npt.NDArray[np.uint64], base: _Base) -> _Ints:
    """The counts that each connection has added since the base, where it was there, else its whole counts."""
    if not len(base.keys):
        return counts
    places = np.minimum(np.searchsorted(base.keys, keys), len(base.keys) - 1)
    before = np.where((base.keys[places] == keys)[:, None], base.counts[places], 0)
    added: _Ints = np.maximum(counts - before, 0)
    return added


def _queues(table: SocketTable) -> tuple[_Ints, _Ints]:
    received, unsent = table.column("recv_q"), table.column("send_q")
    return np.where(received.known, received.values, 0), np.where(unsent.known, unsent.values, 0)


def _ended_by_reset(table: SocketTable) -> Mask:
    """The closed connections that ended by a reset: refused, aborted, with data not read or not acknowledged."""
    unread, unacknowledged = _queues(table)
    ended: Mask = forgotten(table) | (unread > _UNREAD_FIN) | (unacknowledged > 0)
    return ended
