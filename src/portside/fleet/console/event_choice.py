"""Which events of a fleet a reader wants: the filter of ``fleet events``, with the column *event* too."""

from collections.abc import Callable
from typing import Final

from portside.fleet.console.event_ring import FleetEvent
from portside.fleet.query.filter import TEXTS, FilteredSocket, evaluate_tree, socket_truth, wildcard_of
from portside.fleet.query.names import FleetNames
from portside.fleet.schema import ServerEvent
from portside.kernel.filter.columns import ENDS, FILTER_COLUMNS, Vocabulary
from portside.kernel.filter.grammar import parse
from portside.kernel.filter.tree import EVERYTHING, Condition, TextIs

_VOCABULARY: Final = Vocabulary(FILTER_COLUMNS, {**TEXTS, "event": "event"}, ENDS)


def event_choice(text: str) -> Callable[[FleetEvent], bool]:
    """Read a filter: the test whether an event is known to match. Raises FilterError.

    Of an event of a server node, site and event are known.
    """
    names = FleetNames()
    tree = parse(text, names, _VOCABULARY)
    if tree == EVERYTHING:
        return lambda _: True

    def matches(event: FleetEvent) -> bool:
        record = event.record
        if isinstance(record, ServerEvent):
            kind, row = str(record.event.get("event")), FilteredSocket(event.name, None)
        else:
            kind, row = record.event, FilteredSocket(event.name, record.socket, record.duration)

        def truth(condition: Condition) -> bool | None:
            if isinstance(condition, TextIs) and condition.column == "event":
                return wildcard_of(condition.pattern)(kind)
            return socket_truth(condition, row, names)

        return evaluate_tree(tree, truth) is True

    return matches
