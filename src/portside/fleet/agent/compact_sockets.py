"""Sockets of a table as values with a chosen part of their tcp_info, thousands a second.

``kernel/materialize.py`` makes values with everything that is known, which is twice the work and three times the bytes.
Here a field of ``info`` that is not known is left out, and ``gaps`` says why only of owners, of a remote end that the
kernel has forgotten, and of ``info`` as a whole.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from portside.kernel import states
from portside.kernel.address_text import endpoints, remotes
from portside.kernel.connection_tracker import FORGOTTEN, EventBatch, forgotten
from portside.kernel.inet_diag import IPV4
from portside.kernel.models import Owner, Socket
from portside.kernel.table import SocketTable

CLOSED_INFO = (
    "cookie", "rtt_us", "rttvar_us", "min_rtt_us", "rcv_rtt_us", "mss", "pmtu", "cwnd", "ssthresh", "snd_wnd",
    "rcv_wnd", "bytes_sent", "bytes_acked", "bytes_received", "bytes_retrans", "segs_out", "segs_in", "data_segs_out",
    "data_segs_in", "retrans_total", "lost", "reordering", "reord_seen", "dsack_dups", "rcv_ooopack", "total_rto",
    "total_rto_time_ms", "delivered_ce", "received_ce", "rehash", "delivery_rate", "busy_us", "rwnd_limited_us",
    "sndbuf_limited_us", "last_data_sent_ms", "last_data_recv_ms",
)  # fmt: skip
"""The fields of ``info`` of a connection that has closed: what it was like as a whole."""

OPEN_INFO = (
    "cookie", "rtt_us", "min_rtt_us", "mss", "cwnd", "snd_wnd", "rcv_wnd", "unacked", "notsent_bytes", "lost",
    "backoff", "probes", "bytes_sent", "bytes_acked", "bytes_received", "bytes_retrans", "segs_out", "segs_in",
    "retrans_total", "total_rto", "delivery_rate", "busy_us", "rwnd_limited_us", "sndbuf_limited_us",
    "last_data_sent_ms", "last_data_recv_ms",
)  # fmt: skip
"""The fields of ``info`` of a connection that is open: how it is doing now."""

_ANY_INFO = "cwnd"  # every tcp_info has this field


def compact_sockets(table: SocketTable, fields: Sequence[str]) -> list[Socket]:
    """A ``Socket`` of each row, in the table's order, with these fields of ``info``."""
    infos, reasons = _infos(table, fields), _reasons(table)
    local = endpoints(table.base, "local", table.interfaces)
    remote = remotes(table.base, table.interfaces)
    inode, uid = (_known_values(table, name) for name in ("inode", "uid"))
    recv_q, send_q = (_known_values(table, name) for name in ("recv_q", "send_q"))
    owners = _owners(table, reasons)
    state = [states.name_of(number) for number in table.base["state"].tolist()]
    return [
        Socket(
            proto="tcp" if family == IPV4 else "tcp6",
            family=4 if family == IPV4 else 6,
            state=state[index],
            recv_q=recv_q[index],
            send_q=send_q[index],
            local=local[index],
            remote=remote[index],
            inode=inode[index],
            uid=uid[index],
            owners=owners[index],
            info=infos[index] or None,
            gaps=reasons[index],
        )
        for index, family in enumerate(table.base["family"].tolist())
    ]


def event_sockets(batch: EventBatch) -> list[Socket]:
    """The sockets of events. Where the kernel has forgotten the port of a remote end, that is not known."""
    sockets = compact_sockets(batch.table, CLOSED_INFO)
    for index in np.flatnonzero(forgotten(batch.table)).tolist():
        socket = sockets[index]
        gaps = socket.gaps
        if batch.was[index] != states.LISTEN:
            address = (socket.remote or "").removesuffix(":0")
            gaps = {**gaps, "remote": f"the port of {address}: {FORGOTTEN}"}
        sockets[index] = _without_remote(socket, gaps)
    return sockets


def _without_remote(socket: Socket, gaps: dict[str, str]) -> Socket:
    return Socket(
        proto=socket.proto,
        family=socket.family,
        state=socket.state,
        recv_q=socket.recv_q,
        send_q=socket.send_q,
        local=socket.local,
        remote=None,
        inode=socket.inode,
        uid=socket.uid,
        owners=socket.owners,
        info=socket.info,
        gaps=gaps,
    )


def _infos(table: SocketTable, fields: Sequence[str]) -> list[dict[str, Any]]:
    names: list[str] = []
    columns: list[list[Any]] = []
    partly: list[tuple[str, list[int]]] = []
    for name in fields:
        column = table.column(name)
        if not column.known.any():
            continue
        names.append(name)
        columns.append(column.values.tolist())
        if not column.known.all():
            partly.append((name, np.flatnonzero(~column.known).tolist()))
    if not names:
        return [{} for _ in range(len(table))]
    infos = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    for name, unknown in partly:
        for index in unknown:
            del infos[index][name]
    return infos


def _reasons(table: SocketTable) -> list[dict[str, str]]:
    """Why a socket has no tcp_info at all; the same dictionary stands for all of one reason."""
    nothing: dict[str, str] = {}
    reasons = [nothing] * len(table)
    for where, reason in reversed(table.reasons_unknown(_ANY_INFO)):
        shared = {"info": reason}
        for index in np.flatnonzero(where).tolist():
            reasons[index] = shared
    return reasons


def _known_values(table: SocketTable, name: str) -> list[Any]:
    column = table.column(name)
    values: list[Any] = column.values.tolist()
    for index in np.flatnonzero(~column.known).tolist():
        values[index] = None
    return values


def _owners(table: SocketTable, reasons: list[dict[str, str]]) -> list[tuple[Owner, ...] | None]:
    """The owners of each socket; where they may be hidden None, and the reason is put to the others."""
    with_owners: dict[tuple[str, str | None], dict[str, str]] = {}

    def put(index: int, why: str) -> None:
        before = reasons[index]
        key = (why, before.get("info"))
        if key not in with_owners:
            with_owners[key] = {**before, "owners": why}
        reasons[index] = with_owners[key]

    found: list[tuple[Owner, ...] | None] = []
    for index, holder in enumerate(table.owner_keys.tolist()):
        if table.owners is None:
            put(index, table.no_owners)
            found.append(None)
            continue
        owners = table.owners.get(holder, ()) if holder else ()
        if not owners and holder and table.hidden_owners:
            put(index, table.hidden_owners)
            found.append(None)
        else:
            found.append(owners)
    return found
