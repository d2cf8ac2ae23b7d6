"""The measurements: each module makes one row of the table, or a few related ones."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TypeVar

from bench import machine
from bench.peers import C_LOG, TEXT, Peer
from bench.server import Server, Work

T = TypeVar("T")
DISTURBED, TRIES = 0.1, 2  # parts of a core; at most


@dataclass(frozen=True)
class Plan:
    """How many runs, and how much load in each."""

    runs: int
    quick: bool = False
    others: list[float] = field(default_factory=list)
    """The share of a core that other programs used during each counted run."""
    absent: set[str] = field(default_factory=set)
    """Programs that are not installed here."""

    def some(self, count: int) -> int:
        """`count`, or a tenth of it for a quick run."""
        return count // 10 if self.quick else count

    def has(self, command: Sequence[str]) -> bool:
        """Whether a peer's program is installed; if not, its rows are skipped and the report says so."""
        if shutil.which(command[0]) is None:
            self.absent.add(command[0])
            return False
        return True

    def by_turns(self, turns: Mapping[str, Callable[[], T]], runs: int = 0) -> dict[str, list[T]]:
        """The turns A B C A B C …, so that a change on the machine affects all alike."""
        values: dict[str, list[T]] = {name: [] for name in turns}
        for _ in range(runs or self.runs):
            for name, turn in turns.items():
                values[name].append(self._undisturbed(turn))
        return values

    def _undisturbed(self, turn: Callable[[], T]) -> T:
        """The value of a turn; a turn disturbed by other programs is repeated, and the least disturbed counts."""
        tries: list[tuple[float, T]] = []
        while len(tries) < (1 if self.quick else TRIES):
            before, start = machine.others_cpu_s(), time.monotonic()
            value = turn()
            share = (machine.others_cpu_s() - before) / (time.monotonic() - start)
            tries.append((max(0.0, share), value))
            if share < DISTURBED:
                break
        share, value = min(tries, key=itemgetter(0))
        self.others.append(share)
        return value


def send_lines(peer: Peer, mode: str, clients: int, count: int, pack: int = 1) -> Work:
    """One run of the load against a new server that writes to a file; that must hold every line."""
    with Server(peer) as server:
        work = server.work(mode, clients, count, pack)
        server.stop()
        if work.failed and peer in (TEXT, C_LOG):
            raise RuntimeError(f"{peer.name}: {work.failed} of {count} connections failed")
        return replace(work, missing=server.missing(count if mode == "short" else clients * count, work.failed))
