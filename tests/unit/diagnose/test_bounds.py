"""How much is kept of many sockets."""

import tracemalloc

import numpy as np
from unit.kernel.stored import table

from portside.app.kernel_columns import KernelColumns
from portside.diagnosis import tcp_states
from portside.diagnosis.diagnosis import Diagnosis
from portside.diagnosis.observation import Holder, Holders, Observation, RowNumbers
from portside.kernel.table import SocketTable

HOLDER = (Holder(7, "httpd"),)


def many(count: int, state: int) -> SocketTable:
    """As many sockets as are asked for, each with the numbers of one established connection of a stored dump."""
    stored = table("full4")
    (row, *_) = np.flatnonzero(stored.base["state"] == tcp_states.ESTABLISHED)
    sockets = stored.select(np.full(count, row))
    base = sockets.base.copy()
    base["state"] = state
    base["cookie_low"] = base["inode"] = np.arange(1, count + 1)
    base["local_port"] = np.arange(count) % 20_000 + 20_000
    base["remote"][:, 2] = np.arange(count) // 20_000
    return SocketTable(base, sockets.message, sockets.layout, sockets.messages)


def held_by_one(rows: RowNumbers) -> Holders:
    return Holders([HOLDER] * len(rows))


def observe(diagnosis: Diagnosis, second: int, sockets: SocketTable) -> None:
    """One round of all rules."""
    seen = Observation(at_ns=second * 10**9, wall="", sockets=KernelColumns(sockets), holders=held_by_one)
    diagnosis.observe(seen)


def test_what_is_kept_of_100_000_sockets_is_bounded() -> None:
    diagnosis, sockets = Diagnosis(), many(100_000, tcp_states.ESTABLISHED)
    tracemalloc.start()
    try:
        for second in range(12):
            observe(diagnosis, second, sockets)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 80 << 20
