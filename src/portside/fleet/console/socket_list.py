"""The open connections of a fleet as the rows of ``GET /api/v1/sockets``, with the node of each."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from portside.control.client.http_client import Query
from portside.fleet.console.clean import clean_name, clean_number
from portside.fleet.console.live import LiveFleet
from portside.fleet.console.row_list import KeptLists, ListQuery, in_order, refusal, sort_key, wrong_filter
from portside.fleet.query.filter import (
    VOCABULARY,
    FilteredSocket,
    evaluate_tree,
    parse_end,
    socket_truth,
    state_number,
    wildcard_of,
)
from portside.fleet.query.names import FleetNames
from portside.fleet.query.state import NodeName, OpenOfNode
from portside.kernel.filter.errors import FilterError
from portside.kernel.filter.grammar import parse
from portside.kernel.filter.tree import EVERYTHING, And, Filter, Not, Or, StateIn, TextIs
from portside.kernel.models import Socket
from portside.kernel.views import View, in_view

_VIEWS: Final[Mapping[str, View]] = {"connected": "connected", "listening": "listening", "all": "all"}
NOTHING: Final = Or(())
_SHOWN_INFO: Final = ("rtt_us", "retrans_total", "bytes_received", "bytes_sent", "cwnd")
_MOST_OWNERS: Final = 16


class SocketList:
    """The list, for any thread."""

    def __init__(self, fleet: LiveFleet) -> None:
        self._fleet = fleet
        self._lists: KeptLists[FilteredSocket] = KeptLists()

    def page(self, query: Query) -> dict[str, Any]:
        """The page that a query asks for. Raises ApiError."""
        name = self._fleet.name
        asked = ListQuery.read(name, query, ("view",))
        view = _VIEWS.get(str(query.get("view", "")))
        if view is None and "view" in query:
            raise refusal(name, f"view: {query['view']!r} is none of {', '.join(_VIEWS)}")
        key = sort_key(self._fleet.name, asked, _KEYS)
        made = self._lists.get(
            (asked.filter, view, asked.sort), self._fleet.changes, lambda: self._make(asked, view, key)
        )
        end = asked.offset + asked.limit
        items = [_item(row) for row in made.rows[asked.offset : end]]
        return {
            "items": items,
            "total": len(made.rows),
            "totals": made.totals,
            "next": str(end) if end < len(made.rows) else None,
            "source": "fleet",
            "notes": [],
        }

    def _make(self, asked: ListQuery, view: View | None, key: Any) -> tuple[list[FilteredSocket], dict[str, int]]:
        try:
            names = FleetNames()
            tree = parse(asked.filter, names, VOCABULARY) if asked.filter else EVERYTHING
        except FilterError as error:
            raise wrong_filter(self._fleet.name, error) from None
        opened = self._fleet.opened()
        rows = _chosen(opened.told, in_view(tree, view), names)
        if key is not None:
            rows = in_order(rows, key, reverse=asked.sort.startswith("-"))
        totals = {
            "recv_q": sum(row.socket.recv_q or 0 for row in rows if row.socket is not None),
            "send_q": sum(row.socket.send_q or 0 for row in rows if row.socket is not None),
            "open": opened.total,
        }
        return rows, totals


def _chosen(told: Iterable[OpenOfNode], tree: Filter, names: FleetNames) -> list[FilteredSocket]:
    """The sockets that are known to match: node by node, in the order of their telling."""
    found: list[FilteredSocket] = []
    for each in told:
        rest, states = _of_node(tree, each.name)
        if rest == NOTHING:
            continue
        for socket in each.sockets:
            if states is not None and not _is_in(states, socket.state):
                continue
            row = FilteredSocket(each.name, socket)
            if rest == EVERYTHING or evaluate_tree(rest, lambda it, of=row: socket_truth(it, of, names)) is True:  # type: ignore[misc]
                found.append(row)
    return found


def _of_node(tree: Filter, name: NodeName) -> tuple[Filter, int | None]:
    """The rest of a filter for the sockets of one node: a filter, and the states that they have to be in.

    Most sockets are decided by these two, of which the one costs nothing for each and the other little.
    """
    rest = reduced(tree, name)
    if isinstance(rest, StateIn):
        return EVERYTHING, rest.states
    if isinstance(rest, And):
        for term in rest.terms:
            if isinstance(term, StateIn):
                others = tuple(each for each in rest.terms if each is not term)
                return (others[0] if len(others) == 1 else And(others)), term.states
    return rest, None


def reduced(tree: Filter, name: NodeName) -> Filter:
    """A filter in which the conditions about node and site are decided, and what they decide is left out."""
    match tree:
        case TextIs(column, pattern):
            return EVERYTHING if wildcard_of(pattern)(name.node if column == "node" else name.site) else NOTHING
        case Not(term):
            inner = reduced(term, name)
            return NOTHING if inner == EVERYTHING else EVERYTHING if inner == NOTHING else Not(inner)
        case And(terms) | Or(terms):
            decides, leaves = (NOTHING, EVERYTHING) if isinstance(tree, And) else (EVERYTHING, NOTHING)
            left: list[Filter] = []
            for term in terms:
                inner = reduced(term, name)
                if inner == decides:
                    return decides
                if inner != leaves:
                    left += inner.terms if isinstance(inner, type(tree)) else (inner,)
            return left[0] if len(left) == 1 else type(tree)(tuple(left))
    return tree


@lru_cache(maxsize=256)
def _is_in(states: int, state: str) -> bool:
    number = state_number(state)
    return number is not None and bool(states >> number & 1)


def _end(text: str | None) -> tuple[int, bytes, int, str]:
    """An end by its numbers; a text that is none comes first."""
    end = parse_end.__wrapped__(text or "")  # a fleet has more of them than are kept
    return (0, b"", 0, text or "") if end is None else (len(end[0]), *end, "")


def _of_socket(value: Callable[[Socket], Any]) -> Callable[[FilteredSocket], Any]:
    return lambda row: None if row.socket is None else value(row.socket)


def _of_info(name: str) -> Callable[[FilteredSocket], Any]:
    return _of_socket(lambda socket: clean_number((socket.info or {}).get(name)))


def _program(socket: Socket) -> tuple[str, int] | None:
    return (socket.owners[0].program or "", socket.owners[0].pid) if socket.owners else None


def _pid(socket: Socket) -> int | None:
    return socket.owners[0].pid if socket.owners else None


_KEYS: Final[Mapping[str, Callable[[FilteredSocket], Any]]] = {
    "node": lambda row: (row.name.node, row.name.site),
    "site": lambda row: row.name,
    "proto": _of_socket(lambda socket: socket.proto),
    "state": _of_socket(lambda socket: socket.state),
    **dict.fromkeys(("recvq", "recv-q", "recv_q"), _of_socket(lambda socket: socket.recv_q)),
    **dict.fromkeys(("sendq", "send-q", "send_q"), _of_socket(lambda socket: socket.send_q)),
    **dict.fromkeys(("local", "src"), _of_socket(lambda socket: _end(socket.local))),
    **dict.fromkeys(("foreign", "remote", "dst", "peer"), _of_socket(lambda socket: _end(socket.remote))),
    "program": _of_socket(_program),
    "pid": _of_socket(_pid),
    **dict.fromkeys(("rtt", "rtt_us"), _of_info("rtt_us")),
    **dict.fromkeys(("retrans", "retrans_total"), _of_info("retrans_total")),
    **{name: _of_info(name) for name in ("bytes_received", "bytes_sent", "cwnd")},
}


def _item(row: FilteredSocket) -> dict[str, Any]:
    """A row as ``watch --json`` has it, with node and site; texts in it can be shown as they are."""
    socket = row.socket
    assert socket is not None  # noqa: S101 -- those of a fleet's open connections are
    info = socket.info or {}
    return {
        "node": clean_name(row.name.node),
        "site": clean_name(row.name.site),
        "proto": clean_name(socket.proto),
        "family": 6 if socket.family == 6 else 4,
        "state": clean_name(socket.state),
        "recv_q": clean_number(socket.recv_q),
        "send_q": clean_number(socket.send_q),
        "local": clean_name(socket.local),
        "remote": None if socket.remote is None else clean_name(socket.remote),
        "inode": clean_number(socket.inode),
        "uid": clean_number(socket.uid),
        "owners": None
        if socket.owners is None
        else [
            {"pid": each.pid, "program": None if each.program is None else clean_name(each.program), "fd": each.fd}
            for each in socket.owners[:_MOST_OWNERS]
        ],
        "info": {name: value for name in _SHOWN_INFO if (value := clean_number(info.get(name))) is not None},
        "gaps": {},
    }
