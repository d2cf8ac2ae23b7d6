"""A server's API in memory: what it answers stands still, and what it is asked to do is kept."""

import queue
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from portside.control.client.http_client import ApiError, Unreachable

NAME = "server 53140"
_OPENED = "2026-11-22T12:00:01.123456Z"


def server_info(**changed: Any) -> dict[str, Any]:
    """What a server says of itself."""
    return {
        "pid": 53140,
        "version": "1.0",
        "node": "build-7",
        "started": _OPENED,
        "uptime": 61.5,
        "listeners": [{"address": "127.0.0.1:12345", "family": "ipv4"}],
        "options": {},
        "counts": {"open": 3, "opened": 5, "closed": {"peer_closed": 2}, "refused": {}, "received": 4096, "sent": 512},
        "rates": {"opened": 0.0, "closed": 0.0, "received": 120.0, "sent": 120.0},
        "read_only": False,
        **changed,
    }


def connection(conn: int, **changed: Any) -> dict[str, Any]:
    """A connection as a list has it."""
    return {
        "conn": conn, "peer": f"127.0.0.1:{40000 + conn}", "local": "127.0.0.1:12345", "state": "open",
        "age": 60.0 + conn, "idle": 1.0, "received": 6 * conn, "sent": conn, "holds": [], "note": None, "tags": [],
        "faults": 0, "reason": None, "by": None,
        "owners": [{"pid": 100 + conn, "program": "nc", "command": "nc 127.0.0.1 12345"}],
        "kernel": {"recv_q": 0, "send_q": 0, "rtt_us": 41},
        **changed,
    }  # fmt: skip


def details(conn: int, **changed: Any) -> dict[str, Any]:
    """A connection by itself."""
    return {
        **connection(conn),
        "tls": None,
        "kernel": {"state": "ESTABLISHED", "recv_q": 0, "send_q": 0, "info": {"rtt_us": 41}},
        "peer_socket": None,
        "bytes": {
            "in": {"received_by_kernel": 70000, "recv_q": 65536, "read": 4464},
            "out": {"written": 5120, "buffered": 0, "unsent": 0, "unacked": 20, "acked": 5100},
        },
        "gaps": {},
        **changed,
    }


def finding(code: str, severity: str, **changed: Any) -> dict[str, Any]:
    """A finding of the API."""
    return {
        "code": code, "severity": severity,
        "subject": {"kind": "program", "pid": 53140, "program": "python3", "local": "127.0.0.1:12345"},
        "summary": "3 connections wait for close(): the peer has sent FIN, the program has not closed its end.",
        "evidence": {"in_CLOSE_WAIT": 3, "oldest_s": 64.2, "unread_bytes": 2048},
        "why": "3 of them are older than 60.0s.", "remedy": "close the socket when recv() returns 0.",
        "first_seen": "2026-11-22T12:00:01.123456Z", "last_seen": "2026-11-22T12:01:04.130072Z",
        "count": 3, "unseen": [], "conns": [], "conns_total": 0, "inodes": [],
        **changed,
    }  # fmt: skip


def found(*items: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """An answer about findings."""
    return {
        "items": list(items), "total": len(items), "at": "2026-11-22T12:01:04.130072Z", "watched": 63.0, "looks": 64,
        "notes": [], "blind": {}, **changed,
    }  # fmt: skip


def message(seq: int, text: str, *, direction: str = "in") -> dict[str, Any]:
    """A message of text."""
    return {
        "seq": seq, "at": f"2026-11-22T12:00:{seq % 60:02}.001234Z", "direction": direction, "size": len(text.encode()),
        "text": text,
    }  # fmt: skip


def history(rows: int, **columns: list[Any]) -> dict[str, Any]:
    """A row a second, from 12:00:00 on."""
    names = ("received", "sent", "recv_q", "send_q", "notsent", "rtt_us", "retrans", "snd_wnd", "rcv_wnd", "buffered",
             "cwnd", "bytes_received", "bytes_acked")  # fmt: skip
    values = [columns.get(name, [0] * rows) for name in names]
    table = [
        [f"2026-11-22T12:{row // 60:02}:{row % 60:02}.000000Z", *(column[row] for column in values), "ESTABLISHED"]
        for row in range(rows)
    ]
    return {"columns": ["at", *names, "state"], "rows": table}


class FakeServer:
    """The API. ``connections`` are all; ``acts`` are the requests that change something, as method, path and body."""

    def __init__(self, connections: list[dict[str, Any]] | None = None) -> None:
        self.info = server_info()
        self.connections = connections if connections is not None else [connection(number) for number in (1, 2, 3)]
        self.details: dict[int, dict[str, Any]] = {}
        self.messages: dict[int, list[dict[str, Any]]] = {}
        self.histories: dict[int, dict[str, Any]] = {}
        self.faults: dict[int, list[dict[str, Any]]] = {}
        self.sockets: list[dict[str, Any]] = []
        self.findings: dict[str, Any] | ApiError = found()
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.acts: list[tuple[str, str, Any]] = []
        self.refusal: ApiError | None = None  # of acts
        self.is_gone = False
        self.streams: list[FakeLines] = []

    # What the console calls, on its threads.

    def request(self, method: str, path: str, *, query: Mapping[str, str | int] | None = None, body: Any = None) -> Any:
        if self.is_gone:
            raise Unreachable(NAME, "Connection refused")
        words = dict(query or {})
        parts = unquote(path).removeprefix("/api/v1/").split("/")
        if method != "GET":
            if self.refusal is not None:
                raise self.refusal
            self.acts.append((method, "/".join(parts), body))
            return self._act(method, parts, body)
        self.asked.append((path, words))
        match parts:
            case ["server"]:
                return self.info
            case ["connections"]:
                return self._list(self.connections, words)
            case ["findings"]:
                if isinstance(self.findings, ApiError):
                    raise self.findings
                return self.findings
            case ["sockets"]:
                return self._list(self.sockets, words)
            case ["connections", conn]:
                return self.details.get(int(conn)) or self._find(int(conn))
            case ["connections", conn, "messages"]:
                return self._messages(int(conn), words)
            case ["connections", conn, "history"]:
                table = self.histories.get(int(conn), history(0))
                return {**table, "rows": [row for row in table["rows"] if row[0] > words.get("since", "")]}
            case ["connections", conn, "faults"]:
                return {"conn": int(conn), "items": self.faults.get(int(conn), [])}
        raise AssertionError(path)

    def lines(self, path: str, *, query: Mapping[str, str | int] | None = None) -> "FakeLines":
        assert path == "/api/v1/events"
        if self.is_gone:
            raise Unreachable(NAME, "Connection refused")
        stream = FakeLines(dict(query or {}))
        if query is not None and query.get("follow") != "false":
            self.streams.append(stream)
        return stream

    def _find(self, conn: int) -> dict[str, Any]:
        for each in self.connections:
            if each["conn"] == conn:
                return {**details(conn), **{name: value for name, value in each.items() if name != "kernel"}}
        raise problem(404, f"there is no connection {conn}, or it closed too long ago")

    def _list(self, rows: list[dict[str, Any]], words: dict[str, Any]) -> dict[str, Any]:
        filter_text = words.get("filter", "")
        if (place := filter_text.find("idel")) >= 0:
            raise problem(400, "nothing is called 'idel': did you mean idle?", position=place, length=4)
        state = words.get("state", "all")
        rows = [row for row in rows if state == "all" or (row["state"] == "closed") == (state == "closed")]
        rows = [row for row in rows if filter_text in (row.get("peer") or row["local"])]
        name = str(words["sort"]).removeprefix("-")
        if name in ("conn", "received", "sent", "age"):
            rows = sorted(rows, key=lambda row: row[name], reverse=str(words["sort"]).startswith("-"))
        shown = rows[words["offset"] : words["offset"] + words["limit"]]
        totals = {each: sum(row.get(each) or 0 for row in rows) for each in ("received", "sent", "recv_q", "send_q")}
        return {"items": shown, "total": len(rows), "totals": totals, "next": None}

    def _messages(self, conn: int, words: dict[str, Any]) -> dict[str, Any]:
        after = int(words.get("after", 0))
        items = [each for each in self.messages.get(conn, []) if each["seq"] > after]
        return {"items": items, "missed": 0, "next": str(items[-1]["seq"] if items else after)}

    def _act(self, method: str, parts: list[str], body: Any) -> Any:
        match parts:
            case ["connections", conn]:
                return details(int(conn), note=body["note"])
            case ["connections", conn, "faults", *_]:
                return {"conn": int(conn), "id": 1, "spec": (body or {}).get("spec", "")}
            case ["connections", conn, "send"]:
                return {"conn": int(conn), "sent": 6, "buffered": 0}
            case ["connections", conn, "throttle"]:
                return {"conn": int(conn), "rate": (body or {}).get("rate"), "fault": 1}
            case ["connections", conn, "close"]:
                return {"conn": int(conn), "how": body["how"], "buffered": 0}
            case ["connections", conn, "pause" | "resume"]:
                return {"conn": int(conn), "paused": parts[2] == "pause", "changed": True}
        raise AssertionError(parts)


class FakeLines(Iterator[dict[str, Any]]):
    """A stream of events: what is put in comes out; None ends it."""

    def __init__(self, query: dict[str, Any]) -> None:
        self.query = query
        self.is_closed = False
        self._items: queue.Queue[dict[str, Any] | Exception | None] = queue.Queue()
        if (place := str(query.get("filter", "")).find("idel")) >= 0:
            self._items.put(problem(400, "nothing is called 'idel'", position=place, length=4))
        if query.get("follow") == "false":
            self._items.put(None)

    def put(self, item: dict[str, Any] | None) -> None:
        """Let an event come."""
        self._items.put(item)

    def close(self) -> None:
        """End the stream for whoever iterates."""
        self.is_closed = True

    def __next__(self) -> dict[str, Any]:
        while not self.is_closed:
            try:
                item = self._items.get(timeout=0.05)
            except queue.Empty:
                continue
            if isinstance(item, Exception):
                raise item
            if item is None:
                break
            return item
        raise StopIteration


def problem(status: int, detail: str, **more: Any) -> ApiError:
    """A refusal, as the API sends it."""
    return ApiError(NAME, {"status": status, "detail": detail, **more}, status)
