"""The open connections of a fleet as the rows of ``GET /api/v1/sockets``, with the node of each."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from portside.control.client.http_client import Query
from portside.fleet.console.clean import clean_name, clean_number
from portside.fleet.console.live import LiveFleet
from portside.fleet.console.row_list import KeptLists, ListQuery, in_order, refusal, wrong_filter
from portside.fleet.query.filter import VOCABULARY, SocketRow, evaluate_tree, parse_end, socket_truth
from portside.fleet.query.names import FleetNames
from portside.kernel.filter.errors import FilterError
from portside.kernel.filter.grammar import parse
from portside.kernel.filter.tree import EVERYTHING
from portside.kernel.models import Socket
from portside.kernel.views import View, in_view
from portside.nearest import nearest

_VIEWS: Final[Mapping[str, View]] = {"connected": "connected", "listening": "listening", "all": "all"}
_SHOWN_INFO: Final = ("rtt_us", "retrans_total", "bytes_received", "bytes_sent", "cwnd")
_MOST_OWNERS: Final = 16


class SocketList:
    """The list, for any thread."""

    def __init__(self, fleet: LiveFleet) -> None:
        self._fleet = fleet
        self._lists: KeptLists[SocketRow] = KeptLists()

    def page(self, query: Query) -> dict[str, Any]:
        """The page that a query asks for. Raises ApiError."""
        name = self._fleet.name
        asked = ListQuery.read(name, query, ("view",))
        view = _VIEWS.get(str(query.get("view", "")))
        if view is None and "view" in query:
            raise refusal(name, f"view: {query['view']!r} is none of {', '.join(_VIEWS)}")
        key = self._sort_key(asked.sort)
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

    def _make(self, asked: ListQuery, view: View | None, key: Any) -> tuple[list[SocketRow], dict[str, int]]:
        try:
            names = FleetNames()
            tree = parse(asked.filter, names, VOCABULARY) if asked.filter else EVERYTHING
        except FilterError as error:
            raise wrong_filter(self._fleet.name, error) from None
        tree = in_view(tree, view)
        opened = self._fleet.opened()
        rows = [row for row in opened.rows if evaluate_tree(tree, lambda each, r=row: socket_truth(each, r, names))]  # type: ignore[misc]
        rows.sort(key=_by_name)
        if key is not None:
            rows = in_order(rows, key, reverse=asked.sort.startswith("-"))
        queues = [(row.socket.recv_q or 0, row.socket.send_q or 0) for row in rows if row.socket is not None]
        totals = {"recv_q": sum(each for each, _ in queues), "send_q": sum(each for _, each in queues)}
        return rows, {**totals, "open": opened.total}

    def _sort_key(self, sort: str) -> Callable[[SocketRow], Any] | None:
        name = sort.removeprefix("-").lower()
        if not name:
            return None
        if name not in _KEYS:
            like = nearest(name, tuple(_KEYS))
            hint = f"did you mean {like}?" if like else f"columns: {', '.join(_KEYS)}"
            raise refusal(self._fleet.name, f"there is no column {name!r}: {hint}", code="column")
        return _KEYS[name]


def _by_name(row: SocketRow) -> Any:
    return row.name, _end(row.socket.local if row.socket else ""), _end(row.socket.remote if row.socket else "")


def _end(text: str | None) -> tuple[int, bytes, int, str]:
    """An end by its numbers; a text that is none comes first."""
    end = parse_end(text or "")
    return (0, b"", 0, text or "") if end is None else (len(end[0]), *end, "")


def _of_socket(value: Callable[[Socket], Any]) -> Callable[[SocketRow], Any]:
    return lambda row: None if row.socket is None else value(row.socket)


def _of_info(name: str) -> Callable[[SocketRow], Any]:
    return _of_socket(lambda socket: clean_number((socket.info or {}).get(name)))


def _program(socket: Socket) -> tuple[str, int] | None:
    return (socket.owners[0].program or "", socket.owners[0].pid) if socket.owners else None


def _pid(socket: Socket) -> int | None:
    return socket.owners[0].pid if socket.owners else None


_KEYS: Final[Mapping[str, Callable[[SocketRow], Any]]] = {
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


def _item(row: SocketRow) -> dict[str, Any]:
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
