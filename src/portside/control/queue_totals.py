"""The kernel's queues of all connections together, by the listener that accepted them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from portside.control.connection_ends import Ends
from portside.control.kernel_facts import SocketFacts
from portside.server.connection import Connection


class QueueTotals(NamedTuple):
    """Bytes that were received and not read, and that were written and not acknowledged."""

    received: int
    sent: int


def queue_totals(
    listeners: Sequence[str], connections: Sequence[Connection], ends: Ends, facts: SocketFacts
) -> dict[str, QueueTotals]:
    """The totals of some listeners, by their names; empty where the kernel's table could not be read."""
    if facts.table is None:
        return {}
    number_of = {name: number for number, name in enumerate(listeners)}
    listener = np.fromiter((number_of.get(each.info.listener, -1) for each in connections), "i8", len(connections))
    places = facts.places(ends.inodes)
    known = (places >= 0) & (listener >= 0)
    received, sent = (
        np.bincount(listener[known], facts.table.base[column][places[known]], len(listeners))
        for column in ("recv_q", "send_q")
    )
    return {name: QueueTotals(int(received[at]), int(sent[at])) for name, at in number_of.items()}
