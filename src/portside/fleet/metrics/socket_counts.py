"""The sockets of a table by local port, for metrics: their number is bounded, and none of them comes and goes.

A port has a place of its own where a socket listens on it, and else where it is none of those that the kernel chooses
for outgoing connections: each of those would be a time series that lives for one connection. The busiest come first;
all others are counted together.
"""

import numpy as np

from portside.fleet.metrics.facts import PortCount, SocketCounts
from portside.kernel import states
from portside.kernel.network_counters import read_settings
from portside.kernel.table import SocketTable

MOST_PORTS = 64
_RANGE = "net.ipv4.ip_local_port_range"
_DEFAULT_RANGE = range(32768, 61000)  # of the kernel, where it does not tell
_STATES = 16  # places for a port's states: the kernel has 12


def kernel_ports() -> range:
    """The ports that the kernel chooses for outgoing connections (ip(7), ip_local_port_range)."""
    match read_settings((_RANGE,)).get(_RANGE):
        case (first, last):
            return range(first, last + 1)
    return _DEFAULT_RANGE


def count_sockets(table: SocketTable, chosen_by_kernel: range, most: int = MOST_PORTS) -> SocketCounts:
    """Count the sockets of a table; ``most`` ports get a place of their own."""
    state = np.minimum(table.base["state"], _STATES - 1).astype("i8")
    listening = state == states.LISTEN
    ports, port_of = np.unique(table.base["local_port"].astype("i8"), return_inverse=True)
    sockets = np.bincount(port_of, minlength=len(ports))
    listeners = np.bincount(port_of, listening, len(ports)) > 0
    is_chosen = (ports >= chosen_by_kernel.start) & (ports < chosen_by_kernel.stop)
    order = np.lexsort((ports, -sockets, ~listeners))
    own = order[((ports > 0) & (listeners | ~is_chosen))[order]][:most]
    place = np.full(len(ports), len(own))
    place[own] = np.arange(len(own))
    place_of = place[port_of]
    by_state = np.bincount(place_of * _STATES + state, minlength=(len(own) + 1) * _STATES).reshape(-1, _STATES)
    recv_q, send_q = (_sums(table, name, place_of, ~listening, len(own) + 1) for name in ("recv_q", "send_q"))
    counts = [
        PortCount(port, _names(row), received, sent)
        for port, row, received, sent in zip(
            [*ports[own].tolist(), None], by_state.tolist(), recv_q, send_q, strict=True
        )
        if port is not None or any(row)
    ]
    return SocketCounts(_names(by_state.sum(axis=0).tolist()), tuple(counts))


def _sums(
    table: SocketTable, name: str, place_of: np.ndarray, which: np.ndarray, places: int
) -> list[int] | list[None]:
    """The bytes of a queue by place; of no place where the table does not tell them."""
    column = table.column(name)
    if not column.known.all():
        return [None] * places
    sums: list[int] = np.bincount(place_of[which], column.values[which], places).astype("i8").tolist()
    return sums


def _names(row: list[int]) -> dict[str, int]:
    """Counts by the names of states, without those that are 0."""
    named: dict[str, int] = {}
    for state, count in enumerate(row):
        if count:
            name = states.name_of(state)
            named[name] = named.get(name, 0) + count
    return named
