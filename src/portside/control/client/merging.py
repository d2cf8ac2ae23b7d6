"""The lists of several servers as one, in the order of a column.

Each server sorts its own list. Here the values are compared that the items have, as the API orders them: what is not
known comes last in both directions, and equals by process and number.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

Item = Mapping[str, Any]
_Value = Callable[[Item], Any]

_ENDS: Final = {"peer": "peer", "remote": "peer", "dst": "peer", "local": "local", "src": "local"}
_LISTS: Final = {"tag": "tags", "tags": "tags", "hold": "holds", "holds": "holds"}
_OBJECTS: Final = {"tls": "version", "proxy": "via"}
_OWN: Final = frozenset(
    ("received", "sent", "buffered", "idle", "age", "faults", "sni", "alpn", "note", "reason", "opened",
     "closed")
)  # fmt: skip


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
    known = [item for item in items if value(item) is not None]
    unknown = [item for item in items if value(item) is None]
    known.sort(key=value, reverse=sort.startswith("-"))
    return known + unknown


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
