"""The connections of several servers as one list, in the order of a column.

Each server sorts its own list. Here the values are compared that the items have, as the API orders them: what is not
known comes last in both directions, and equals by process and number.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from portside.control.client.at_once import ask_at_once
from portside.control.client.http_client import Unreachable
from portside.control.client.named_server import NamedServer

CONNECTIONS: Final = "/api/v1/connections"
MOST_ON_A_PAGE: Final = 1000  # rows that the API gives at once

Item = Mapping[str, Any]
_Value = Callable[[Item], Any]

_ENDS: Final = {"peer": "peer", "remote": "peer", "dst": "peer", "local": "local", "src": "local"}
_LISTS: Final = {"tag": "tags", "tags": "tags", "hold": "holds", "holds": "holds"}
_OBJECTS: Final = {"tls": "version", "proxy": "via"}
_OWN: Final = frozenset(
    ("received", "sent", "buffered", "idle", "age", "faults", "sni", "alpn", "note", "reason", "opened",
     "closed")
)  # fmt: skip


class Merged(NamedTuple):
    """The connections of several servers, each with its ``server``.

    ``first_pages`` are the first answers of the servers, for what they say of the whole; ``failures`` says of servers
    why they did not answer.
    """

    items: list[dict[str, Any]]
    first_pages: list[Mapping[str, Any]]
    failures: list[Unreachable]


def merged_connections(
    servers: Sequence[NamedServer], query: Mapping[str, str | int], *, most: int | None = None
) -> Merged:
    """The connections that a query finds, at most ``most`` of each server; the query has its ``fields``.

    Raises ApiError for a query that is refused.
    """
    sort = str(query.get("sort") or "conn")
    query = {**query, "fields": f"{query['fields']},{field_of(sort)}"}

    def ask(server: NamedServer) -> tuple[Mapping[str, Any], list[dict[str, Any]]] | Unreachable:
        try:
            pages = server.client.pages(CONNECTIONS, query)
            first = next(pages)
            return first, [server.labelled(item) for item in islice(_items(first, pages), most)]
        except Unreachable as error:
            return error

    answers = ask_at_once(ask, servers)
    failures = [each for each in answers if isinstance(each, Unreachable)]
    answered = [each for each in answers if not isinstance(each, Unreachable)]
    items = merge([item for _, items in answered for item in items], sort)
    return Merged(items, [first for first, _ in answered], failures)


def _items(first: Mapping[str, Any], more: Iterator[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    yield from first["items"]
    for page in more:
        yield from page["items"]


def field_of(sort: str) -> str:
    """The field of the API that has the values of an order (``rtt``, ``-received``)."""
    name = _column(sort)
    if name in _ENDS:
        return _ENDS[name]
    if name in ("pid", "program"):
        return "owners"
    return "kernel.state" if name == "state" else name


def merge(items: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """The items of all servers in order; each has its ``server``."""
    value = _value_of(_column(sort))
    items.sort(key=lambda item: (item["server"], item["conn"]))
    valued = [(value(item), item) for item in items]
    known = [each for each in valued if each[0] is not None]
    known.sort(key=lambda each: each[0], reverse=sort.startswith("-"))
    return [item for _, item in known] + [item for found, item in valued if found is None]


def _column(sort: str) -> str:
    return sort.removeprefix("-").lower()


def _value_of(name: str) -> _Value:
    if name == "conn":
        return lambda item: (item["server"], item["conn"])
    if name in _ENDS:
        return _end(_ENDS[name])
    if name in _LISTS:
        return lambda item: next(iter(item[_LISTS[name]]), None)
    if name in _OBJECTS:
        return lambda item: (item[name] or {}).get(_OBJECTS[name])
    if name in ("pid", "program"):
        return lambda item: next((owner[name] for owner in item["owners"] or ()), None)
    if name in _OWN:
        return lambda item: item[name]
    return _kernel_value(name)


def _end(side: str) -> _Value:
    """Addresses by their numbers, as the table of the kernel has them; unix sockets, which have none, by their text."""
    from ipaddress import ip_address

    from portside.addresses import parse_address
    from portside.errors import InvalidValue

    def value(item: Item) -> tuple[int, int, int, str]:
        text: str = item[side]
        try:
            address = parse_address(text)
            host = ip_address((address.host or "").partition("%")[0])
        except (InvalidValue, ValueError):
            return 0, 0, 0, text
        return host.version, int(host), address.ports[0] if address.ports else 0, ""

    return value


def _kernel_value(name: str) -> _Value:
    from portside.kernel.filter.columns import FILTER_COLUMNS  # loads numpy: for such an order alone

    column = FILTER_COLUMNS[name].column if name in FILTER_COLUMNS else name
    return lambda item: (item.get("kernel") or {}).get(column)
