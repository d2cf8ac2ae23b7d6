"""The nodes of a fleet as the rows of ``GET /api/v1/nodes``."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from portside.control.client.http_client import Query
from portside.errors import InvalidValue
from portside.fleet.console.clean import clean_name, clean_number, clean_text, clean_time
from portside.fleet.console.live import LiveFleet
from portside.fleet.console.row_list import KeptLists, ListQuery, in_order, sort_key, wrong_filter
from portside.fleet.query.filter import evaluate_tree, wildcard_of
from portside.fleet.query.state import NodeReport
from portside.kernel.filter.columns import FilterColumn, Vocabulary, parse_integer
from portside.kernel.filter.errors import FilterError
from portside.kernel.filter.grammar import parse
from portside.kernel.filter.tree import Condition, Number, TextIs
from portside.units import parse_duration, parse_size


def _parse_load(text: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII):
        raise InvalidValue(f"{text!r} is no load: write 0.5 or 4")
    return float(text)


_LIVES: Final = {"gone": 0, "late": 1, "alive": 2}
_NUMBERS: Final = {
    **{name: FilterColumn(name, parse_integer) for name in ("connections", "findings", "agents", "cpus", "sampled")},
    **{name: FilterColumn(name, parse_duration) for name in ("lag", "age")},
    "load": FilterColumn("load", _parse_load),
    "outbox": FilterColumn("outbox", parse_size),
}
_TEXTS: Final = {name: name for name in ("node", "site", "life", "version", "system")}
_VOCABULARY: Final = Vocabulary(_NUMBERS, _TEXTS, {})
_MOST_NOTES: Final = 8

_VALUES: Final[Mapping[str, Callable[[NodeReport], Any]]] = {
    "node": lambda node: node.node,
    "site": lambda node: node.site,
    "life": lambda node: node.state,
    "version": lambda node: node.version,
    "system": lambda node: node.system,
    "connections": lambda node: node.connections,
    "findings": lambda node: node.findings,
    "load": lambda node: clean_number(node.load),
    "cpus": lambda node: node.cpus,
    "lag": lambda node: clean_number(node.lag_s),
    "age": lambda node: clean_number(node.age_s),
    "outbox": lambda node: node.outbox.bytes,
    "agents": lambda node: node.agents,
    "sampled": lambda node: node.sampled,
}
_SORT_KEYS: Final = {**_VALUES, "life": lambda node: _LIVES[node.state]}


class NodeList:
    """The list, for any thread."""

    def __init__(self, fleet: LiveFleet) -> None:
        self._fleet = fleet
        self._lists: KeptLists[NodeReport] = KeptLists()

    def page(self, query: Query) -> dict[str, Any]:
        """The page that a query asks for. Raises ApiError."""
        asked = ListQuery.read(self._fleet.name, query)
        key = sort_key(self._fleet.name, asked, _SORT_KEYS)
        made = self._lists.get((asked.filter, asked.sort), self._second(), lambda: (self._make(asked, key), None))
        end = asked.offset + asked.limit
        return {
            "items": [_item(each) for each in made.rows[asked.offset : end]],
            "total": len(made.rows),
            "next": str(end) if end < len(made.rows) else None,
        }

    def _second(self) -> int:
        """A number that changes with time too: a node that says nothing any more becomes late."""
        return (self._fleet.changes << 40) + int(self._fleet.now())

    def _make(self, asked: ListQuery, key: Callable[[NodeReport], Any] | None) -> list[NodeReport]:
        try:
            tree = parse(asked.filter, columns=_VOCABULARY)
            found = [
                node
                for node in self._fleet.nodes()
                if evaluate_tree(tree, lambda condition, of=node: _truth(condition, of, asked.filter))  # type: ignore[misc]
            ]
        except FilterError as error:
            raise wrong_filter(self._fleet.name, error) from None
        return found if key is None else in_order(found, key, reverse=asked.sort.startswith("-"))


def _truth(condition: Condition, node: NodeReport, text: str) -> bool | None:
    """Whether a condition is true of a node. Raises FilterError for one about sockets."""
    match condition:
        case TextIs(column, pattern):
            return wildcard_of(pattern)(_VALUES[column](node))
        case Number(column, comparison, value):
            found = _VALUES[column](node)
            if found is None:
                return None
            match comparison:
                case "=":
                    return bool(found == value)
                case "<":
                    return bool(found < value)
                case "<=":
                    return bool(found <= value)
                case ">":
                    return bool(found > value)
                case _:
                    return bool(found >= value)
    columns = ", ".join((*_TEXTS, *_NUMBERS))
    raise FilterError(f"a node has no such column: there are {columns}", text, 0, len(text))


def _item(node: NodeReport) -> dict[str, Any]:
    """A node; texts in it can be shown as they are."""
    return {
        "node": clean_name(node.node),
        "site": clean_name(node.site),
        "life": node.state,
        "ended": node.ended,
        "at": clean_time(node.at, ""),
        "age_s": clean_number(node.age_s),
        "lag_s": clean_number(node.lag_s),
        "agents": node.agents,
        "version": clean_name(node.version),
        "system": clean_name(node.system),
        "started": clean_time(node.started, ""),
        "cpus": node.cpus,
        "load": clean_number(node.load),
        "connections": node.connections,
        "findings": node.findings,
        "rss_bytes": clean_number(node.rss_bytes),
        "records": clean_number(node.records),
        "outbox": {
            "records": clean_number(node.outbox.records),
            "bytes": clean_number(node.outbox.bytes),
            "dropped": clean_number(node.outbox.dropped),
        },
        "sampled": clean_number(node.sampled),
        "lost": clean_number(node.lost),
        "notes": [clean_text(each) for each in node.notes[:_MOST_NOTES]],
    }
