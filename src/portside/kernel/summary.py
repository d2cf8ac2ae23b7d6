"""The summary of a table: the number of sockets by state, by program and by peer."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from portside.kernel import states
from portside.kernel.address_text import hosts
from portside.kernel.table import SocketTable


class Summary(NamedTuple):
    """Counts of sockets, the most frequent first.

    ``programs`` counts a socket once for each program that holds it, under None those whose program is not known;
    it is None where owners were not looked up. ``peers`` are addresses without ports, listeners left out.
    ``recv_q`` and ``send_q`` are bytes over all sockets but listeners; None where the source has no queues.
    ``waiting`` are connections in accept queues, and ``full`` listeners whose accept queue is full.
    """

    total: int
    states: dict[str, int]
    programs: dict[str | None, int] | None
    peers: dict[str, int]
    recv_q: int | None
    send_q: int | None
    waiting: int | None
    full: int | None


def summarize(table: SocketTable) -> Summary:
    """Count the sockets of a table."""
    listening = table.base["state"] == states.LISTEN
    listeners, others = table.select(listening), table.select(~listening)
    counts = np.bincount(table.base["state"], minlength=1)
    by_state = Counter[str]()
    for state in np.flatnonzero(counts).tolist():
        by_state[states.name_of(state)] += int(counts[state])
    return Summary(
        total=len(table),
        states=dict(by_state.most_common()),
        programs=_programs(table),
        peers=dict(Counter(hosts(others.base, "remote", others.interfaces)).most_common()),
        recv_q=_sum(others, "recv_q"),
        send_q=_sum(others, "send_q"),
        waiting=_sum(listeners, "recv_q"),
        full=_full(listeners),
    )


def _programs(table: SocketTable) -> dict[str | None, int] | None:
    if table.owners is None:
        return None
    counts = Counter[str | None]()
    for holder in table.owner_keys.tolist():
        counts.update({owner.program for owner in table.owners.get(holder, ())} or {None})
    return dict(counts.most_common())


def _sum(table: SocketTable, name: str) -> int | None:
    column = table.column(name)
    return int(column.values.sum(dtype="u8")) if column.known.all() else None


def _full(listeners: SocketTable) -> int | None:
    """The kernel refuses when the queue is longer than its limit (sk_acceptq_is_full), so it holds one more."""
    queued, limit = listeners.column("recv_q"), listeners.column("send_q")
    if not (queued.known & limit.known).all():
        return None
    return int((queued.values > limit.values).sum())
