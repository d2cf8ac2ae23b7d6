"""The sign of life of an agent: its machine, its load, its outbox."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from portside.fleet.agent.ending import StopSignal
from portside.fleet.agent.event_records import now
from portside.fleet.agent.tally import Outlet
from portside.fleet.schema import NodeStatus
from portside.kernel import states
from portside.kernel.table import SocketTable
from portside.version import __version__

EVERY_S: Final = 10.0
_MOST_NOTES: Final = 8
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class NodeStatusSource:
    """Makes a record at the start, every ten seconds, and with ``last`` at an orderly end."""

    def __init__(self, outlet: Outlet, machine: str) -> None:
        self._add, self._tally, self._notices = outlet
        self._machine = machine
        self._started = now()
        system = os.uname()
        self._system = f"{system.sysname} {system.release}"

    def run(self, ending: StopSignal) -> None:
        """Make records until the end, on a thread of its own."""
        self.report()
        while not ending.wait(EVERY_S):
            self.report()

    def report(self, *, last: bool = False) -> None:
        """Make a record now."""
        tally = self._tally
        self._add(
            "node",
            [
                NodeStatus(
                    at=now(),
                    every_s=EVERY_S,
                    version=__version__,
                    machine=self._machine,
                    started=self._started,
                    system=self._system,
                    cpus=os.cpu_count() or 1,
                    load=_load(),
                    sockets=sockets_by_state(tally.table, tally.time_wait),
                    cpu_s=round(time.process_time(), 3),
                    rss_bytes=resident_bytes(),
                    records=sum(tally.records.values()),
                    outbox=tally.outbox(),
                    sampled=tally.sampled,
                    lost=tally.lost,
                    notes=self._notices.current(_MOST_NOTES),
                    last=last,
                )
            ],
        )


def sockets_by_state(table: SocketTable | None, time_wait: int | None) -> Mapping[str, int]:
    """How many sockets there are in each state; empty before the first look."""
    if table is None:
        return {}
    counts = np.bincount(table.base["state"], minlength=states.CLOSING + 1).tolist()
    by_state = {states.name_of(state): count for state, count in enumerate(counts) if count}
    if time_wait:
        by_state[states.name_of(states.TIME_WAIT)] = time_wait
    return by_state


def count_time_wait(read: Callable[[], str] | None = None) -> int | None:
    """How many connections the kernel keeps in TIME_WAIT; None where it does not tell."""
    try:
        words = (read or _sockstat)().split("TCP:", 1)[1].split("\n", 1)[0].split()
        return int(words[words.index("tw") + 1])
    except (OSError, ValueError, IndexError):
        return None


def _sockstat() -> str:
    with open("/proc/net/sockstat", encoding="ascii") as file:
        return file.read()


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def resident_bytes() -> int | None:
    """The memory that this process has in use; None where that is not told."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None
