"""The order of the connections of several servers in one list, by a column.

Each server sorts its own list. Here the values are compared that the items have, as the API orders them: what is not
known comes last in both directions, and equals by number and process, so that those of all servers are mixed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

Item = Mapping[str, Any]
_Value = Callable[[Item], Any]

_ENDS: Final = {"peer": "peer", "remote": "peer", "dst": "peer", "local": "local", "src": "local"}
_LISTS: Final = {"tag": "tags", "tags": "tags", "hold": "holds", "holds": "holds"}
_OBJECTS: Final = {"tls": "version", "proxy": "via"}
_OWN: Final = frozenset(
    ("received", "sent", "buffered", "idle", "age", "faults", "sni", "alpn", "note", "reason", "opened",
     "closed")
)  # fmt: skip


class Window(NamedTuple):
    """Rows of the list of one server, from the place ``start`` on, each with its ``server``; the list has ``total``."""

    start: int
    items: list[dict[str, Any]]
    total: int

    @property
    def is_at_end(self) -> bool:
        """Whether there are no rows behind it."""
        return self.start + len(self.items) >= self.total


def piece(windows: Sequence[Window], sort: str, offset: int, limit: int) -> list[dict[str, Any]] | None:
    """The rows of the merged list from a place on, if the windows tell which these are; None if they do not.

    Each window is in the order of its server. The place of a row is known where it is behind the first row of every
    window and before the last: then of each list it is known how many rows come before it.
    """
    merged = merge([item for window in windows for item in window.items], sort)
    place = {id(item): at for at, item in enumerate(merged)}
    if any(window.total and not window.items for window in windows):
        return None
    before = sum(window.start for window in windows)
    first = max((place[id(window.items[0])] for window in windows if window.start), default=0)
    open_ended = [window for window in windows if not window.is_at_end]
    last = min((place[id(window.items[-1])] for window in open_ended), default=len(merged) - 1)
    wanted = min(limit, sum(window.total for window in windows) - offset)
    begin = offset - before
    if wanted <= 0:
        return []
    return merged[begin : begin + wanted] if first <= begin and begin + wanted - 1 <= last else None


def field_of(sort: str) -> str:
    """The field of the API that has the values of an order (``rtt``, ``-received``)."""
    name = column_of(sort)
    if name in _ENDS:
        return _ENDS[name]
    if name in ("pid", "program"):
        return "owners"
    return "kernel.state" if name == "state" else name


def merge(items: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """The items of all servers in order; each has its ``server``."""
    value = _value_of(column_of(sort))
    items.sort(key=lambda item: (item["conn"], item["server"]))
    valued = [(value(item), item) for item in items]
    known = [each for each in valued if each[0] is not None]
    known.sort(key=lambda each: each[0], reverse=sort.startswith("-"))
    return [item for _, item in known] + [item for found, item in valued if found is None]


def column_of(sort: str) -> str:
    """The column of an order."""
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
