"""How much passes in a fleet: what its nodes have counted in their last minute, a second."""

import math
from collections.abc import Iterable
from typing import Final

from portside.fleet.query.state import NodeName, SummaryOfNode
from portside.fleet.schema import TrafficSummary

NAMES: Final = ("opened", "closed", "received", "sent")
_MOST_A_SECOND: Final = 1e15


class FleetRates:
    """The sums of the nodes, each added up once for each minute that it tells."""

    def __init__(self) -> None:
        self._of_node: dict[NodeName, tuple[tuple[TrafficSummary, ...], tuple[float, ...]]] = {}

    def of(self, summaries: Iterable[SummaryOfNode]) -> dict[str, float]:
        """The rates by their names, of the nodes that have told a minute."""
        kept: dict[NodeName, tuple[tuple[TrafficSummary, ...], tuple[float, ...]]] = {}
        for each in summaries:
            before = self._of_node.get(each.name)
            is_known = before is not None and before[0] is each.groups
            kept[each.name] = before if is_known and before is not None else (each.groups, _rates(each.groups))
        self._of_node = kept
        return {name: sum(rates[place] for _, rates in kept.values()) for place, name in enumerate(NAMES)}


def _rates(groups: tuple[TrafficSummary, ...]) -> tuple[float, ...]:
    sums = [0.0] * len(NAMES)
    for group in groups:
        if not (math.isfinite(group.period_s) and group.period_s > 0):
            continue
        counts = (group.opened, group.closed, group.bytes_received, group.bytes_sent)
        for place, count in enumerate(counts):
            sums[place] += max(0, count) / group.period_s
    return tuple(min(_MOST_A_SECOND, each) for each in sums)
