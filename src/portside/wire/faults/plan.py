"""The assignment of faults to connections, by counting and by random numbers.

With the same seed the same clients, in the same order, have the same faults at the same bytes: each fault, connection
and direction has a random generator of its own, seeded with ``SEED/FAULT/CONNECTION/DIRECTION``.
"""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from portside.networks import contains
from portside.wire.faults.model import Direction, FaultSpec


class AssignedFault(NamedTuple):
    """A fault that a connection has; ``seed`` is that of its random generators."""

    fault: FaultSpec
    seed: str

    def rng(self, direction: Direction) -> Random:
        """The random generator of one direction, from its beginning."""
        return Random(f"{self.seed}/{direction}")  # noqa: S311


class FaultPlan:
    """Assigns faults to connections: ``next`` is called once for each, in the order in which they are accepted."""

    def __init__(self, faults: Sequence[FaultSpec], seed: int) -> None:
        self._faults = tuple(faults)
        self._seed = seed
        self._counts: Counter[int] = Counter()  # connections so far by index of the fault, those in its network alone

    def next(self, ip: str | None) -> tuple[AssignedFault, ...]:
        """The faults of the next connection. ``ip`` is None on a unix socket, which is in no network."""
        assigned = []
        for index, fault in enumerate(self._faults):
            selector = fault.selector
            if selector.net is not None and (ip is None or not contains(ip, (selector.net,))):
                continue
            self._counts[index] += 1
            count = self._counts[index]
            if selector.first is not None and count > selector.first:
                continue
            if selector.every is not None and count % selector.every:
                continue
            seed = f"{self._seed}/{index}/{count}"
            if selector.p < 1 and Random(seed).random() >= selector.p:  # noqa: S311
                continue
            assigned.append(AssignedFault(fault, seed))
        return tuple(assigned)
