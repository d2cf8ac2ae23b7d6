"""``ctl conns`` and ``ctl show``: the connections of a server."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portside.app.notices import write_notice
from portside.app.stdout import write_lines
from portside.control.client.http_client import ApiError, ControlClient, Unreachable
from portside.control.client.named_server import NamedServer
from portside.ctl.output import NONE, cell, seconds_text, table_lines, write_json
from portside.errors import UsageError

_PATH = "/api/v1/connections"
_PAGE = 1000  # rows, the most that the API gives at once
_COMMON = "conn,peer,state,age,idle,received,sent,note,tags"
_OPEN_FIELDS = f"{_COMMON},holds,faults,recv_q,send_q"
_CLOSED_FIELDS = f"{_COMMON},reason,by"
_OPEN_HEADINGS = (">CONN", "PEER", "STATE", ">AGE", ">IDLE", ">RECEIVED", ">SENT", ">RECV-Q", ">SEND-Q", "NOTE")
_CLOSED_HEADINGS = (">CONN", "PEER", "REASON", ">AGE", ">RECEIVED", ">SENT", "NOTE")


def list_connections(
    servers: Sequence[NamedServer], filter_text: str, sort: str | None, *, closed: bool, json: bool
) -> bool:
    """Write the connections that a filter leaves; False if one of several servers did not answer, as a notice says.

    Raises UsageError for a filter or a column that is none.
    """
    query: dict[str, str | int] = {"limit": _PAGE, "state": "closed" if closed else "open"}
    if filter_text:
        query["filter"] = filter_text
    if sort is not None:
        query["sort"] = sort
    query["fields"] = _all_fields(closed=closed) if json else _CLOSED_FIELDS if closed else _OPEN_FIELDS
    failures: list[Unreachable] = []
    if servers[0].pid is None:
        items = _items(servers[0].client, filter_text, query)
    else:
        from portside.control.client.merged_list import merged_connections

        try:
            found, _, failures = merged_connections(servers, query)
        except ApiError as refused:
            raise wrong_filter("ctl conns", refused, filter_text) from None
        items = iter(found)
    if json:
        write_json(items)
    else:
        rows = [_closed_row(item) if closed else _open_row(item) for item in items]
        write_lines(table_lines(_CLOSED_HEADINGS if closed else _OPEN_HEADINGS, rows))
    for error in failures:
        write_notice(str(error))
    return not failures


def _all_fields(*, closed: bool) -> str:
    """All fields but the processes at the other ends, which ``ctl show`` looks up: that takes long for thousands."""
    from portside.control.schema_connections import ConnectionFields  # msgspec: for --json alone

    own = [name for name in ConnectionFields.__struct_fields__ if name != "owners"]
    return ",".join(own if closed else [*own, "kernel"])


def _items(client: ControlClient, filter_text: str, query: Mapping[str, str | int]) -> Iterator[dict[str, Any]]:
    try:
        for page in client.pages(_PATH, query):
            yield from page["items"]
    except ApiError as error:
        raise wrong_filter("ctl conns", error, filter_text) from None


def wrong_filter(command: str, error: ApiError, filter_text: str) -> Exception:
    """The usage error for a filter that the server could not read, with a mark below the place; or the error itself."""
    if error.http_status != 400:
        return error
    hint = None
    if error.position is not None and filter_text:
        shown = "".join(each if each.isprintable() else " " for each in filter_text)
        at = min(max(0, error.position), len(shown))  # the server says so
        mark = " " * (len("hint: ") + at) + "^" * max(1, min(error.length, len(shown) - at))
        hint = (shown, mark)
    return UsageError(command, error.why, hint)


def _name(item: Mapping[str, Any]) -> str:
    return f"{item['server']}/{item['conn']}" if "server" in item else str(item["conn"])


def _open_row(item: Mapping[str, Any]) -> tuple[str, ...]:
    kernel = item.get("kernel", {})
    return (
        _name(item), item["peer"], _state(item), seconds_text(item["age"]), seconds_text(item["idle"]),
        str(item["received"]), str(item["sent"]), cell(kernel.get("recv_q")), cell(kernel.get("send_q")), _note(item),
    )  # fmt: skip


def _closed_row(item: Mapping[str, Any]) -> tuple[str, ...]:
    by = f" by {item['by']}" if item.get("by") else ""
    return (
        _name(item), item["peer"], f"{item['reason']}{by}", seconds_text(item["age"]),
        str(item["received"]), str(item["sent"]), _note(item),
    )  # fmt: skip


def _state(item: Mapping[str, Any]) -> str:
    """The state of a connection, and what an operator has done with it."""
    words = [str(item["state"])]
    if "operator" in item["holds"]:
        words.append("paused")
    if item["faults"]:
        words.append("faults" if item["faults"] > 1 else "fault")
    return ",".join(words)


def _note(item: Mapping[str, Any]) -> str:
    tags = [f"[{tag}]" for tag in item["tags"]]
    return " ".join([*tags, item["note"] or ""]).strip()


def show_connection(server: NamedServer, conn: int, *, json: bool) -> None:
    """Write what is known of one connection."""
    facts = server.labelled(server.client.request("GET", f"{_PATH}/{conn}"))
    if json:
        write_json([facts])
        return
    write_lines(_detail_lines(facts))


_DETAILS = (
    "peer", "local", "state", "opened", "closed", "reason", "by", "error", "age", "idle", "received", "sent",
    "buffered", "holds", "write_paused", "sni", "alpn", "faults", "note", "tags",
)  # fmt: skip
_KERNEL = (
    "state", "recv_q", "send_q", "rtt_us", "rttvar_us", "cwnd", "snd_wnd", "rcv_wnd", "retrans_total", "lost",
    "bytes_received", "bytes_acked", "bytes_retrans", "last_data_recv_ms", "last_data_sent_ms",
)  # fmt: skip


def _detail_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"connection {_name(facts)}"
    for name in _DETAILS:
        value = facts.get(name)
        if value is None or value == [] or value is False or (name == "faults" and not value):
            continue
        yield f"  {name:<14} {seconds_text(value) if name in ('age', 'idle') else cell(value)}"
    if (tls := facts.get("tls")) is not None:
        yield f"  {'tls':<14} {' '.join(str(tls[each]) for each in ('version', 'cipher') if tls.get(each))}"
    for owner in (facts.get("peer_socket") or {}).get("owners") or ():
        yield f"  {'other end':<14} {owner['pid']}/{owner['program'] or NONE}"
    if (counts := facts.get("bytes")) is not None:
        yield "bytes in"
        yield from _chain(counts["in"])
        yield "bytes out"
        yield from _chain(counts["out"])
    if (kernel := facts.get("kernel")) is not None:
        yield "kernel"
        known = {**kernel, **(kernel.get("info") or {})}
        for name in _KERNEL:
            if known.get(name) is not None:
                yield f"  {name:<18} {cell(known[name])}"
    for name, why in (facts.get("gaps") or {}).items():
        yield f"not known: {name}: {why}"


def _chain(counts: Mapping[str, Any]) -> Iterator[str]:
    for name, value in counts.items():
        yield f"  {name:<18} {cell(value)}"
