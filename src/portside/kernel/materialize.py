"""``Socket`` values made of a table: the columns of a batch of rows are decoded, then put together row by row."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from portside.kernel import states
from portside.kernel.address_text import endpoints, remotes
from portside.kernel.column_names import ATTRIBUTE_COLUMNS, INFO_COLUMNS, SKMEM_COLUMNS
from portside.kernel.inet_diag import IPV4, OPTIONS, TIMERS
from portside.kernel.models import Owner, Socket
from portside.kernel.table import Mask, SocketTable

_BATCH = 2048
_ANY_INFO = "cwnd"  # every tcp_info has this field, so where it is known there is a tcp_info

_Gaps = list[dict[str, str]]
_Infos = list[dict[str, Any]]


def to_sockets(table: SocketTable, netns: str | None = None) -> Iterator[Socket]:
    """Make a ``Socket`` of each row of a table, in the table's order; a batch of rows is decoded at a time.

    ``netns`` is the name of their network namespace, where the sockets of several are looked at.
    """
    for start in range(0, len(table), _BATCH):
        yield from _batch(table.select(np.arange(start, min(start + _BATCH, len(table)))), netns)


def _batch(table: SocketTable, netns: str | None) -> Iterator[Socket]:
    gaps: _Gaps = [{} for _ in range(len(table))]
    recv_q, send_q, inode, uid = (_values(table, name, gaps) for name in ("recv_q", "send_q", "inode", "uid"))
    infos, owners = _infos(table, gaps), _owners(table, gaps)
    local = endpoints(table.base, "local", table.interfaces)
    remote = remotes(table.base, table.interfaces)
    family, state = table.base["family"].tolist(), table.base["state"].tolist()
    for index in range(len(table)):
        yield Socket(
            netns=netns,
            proto="tcp" if family[index] == IPV4 else "tcp6",
            family=4 if family[index] == IPV4 else 6,
            state=states.name_of(state[index]),
            recv_q=recv_q[index],
            send_q=send_q[index],
            local=local[index],
            remote=remote[index],
            inode=inode[index],
            uid=uid[index],
            owners=owners[index],
            info=infos[index] or None,
            gaps=gaps[index],
        )


def _values(table: SocketTable, name: str, gaps: _Gaps, only: Mask | None = None, prefix: str = "") -> list[Any]:
    """A column as Python values, None where it is not known; the reasons go to ``gaps``."""
    values: list[Any] = table.column(name).values.tolist()
    for where, reason in table.reasons_unknown(name):
        for index in np.flatnonzero(where if only is None else where & only).tolist():
            values[index] = None
            gaps[index].setdefault(prefix + name, reason)
    return values


def _infos(table: SocketTable, gaps: _Gaps) -> _Infos:
    """``info`` of each socket. One reason stands for a tcp_info that is not there at all."""
    infos: _Infos = [{} for _ in range(len(table))]
    informed = table.column(_ANY_INFO).known
    for where, reason in table.reasons_unknown(_ANY_INFO):
        for index in np.flatnonzero(where).tolist():
            gaps[index].setdefault("info", reason)
    for name in INFO_COLUMNS:
        _put(infos, informed, name, _values(table, name, gaps, informed, "info."))
    for info in infos:
        if "options" in info:
            info["options"] = [word for bit, word in OPTIONS.items() if info["options"] & bit]
    for name in ATTRIBUTE_COLUMNS:
        column = table.column(name)
        _put(infos, column.known, name, column.values.tolist())
    _put_hidden_mark(table, infos, gaps)
    _put_memory(table, infos)
    _put_identity(table, infos)
    for info in infos:
        for name in ("app_limited", "v6only"):
            if info.get(name) is not None:
                info[name] = bool(info[name])
        if "congestion" in info:
            info["congestion"] = info["congestion"].decode("ascii", "backslashreplace")
    return infos


def _put(infos: _Infos, where: Mask, name: str, values: list[Any]) -> None:
    for index in np.flatnonzero(where).tolist():
        infos[index][name] = values[index]


def _put_hidden_mark(table: SocketTable, infos: _Infos, gaps: _Gaps) -> None:
    """Put in that a socket may have a mark that this user is not told."""
    for gap in table.unavailable:
        if "mark" in gap.columns and gap.where is not None:
            for index in np.flatnonzero(gap.where).tolist():
                infos[index]["mark"] = None
                gaps[index]["info.mark"] = gap.reason


def _put_memory(table: SocketTable, infos: _Infos) -> None:
    for name in SKMEM_COLUMNS:
        column = table.column(name)
        values = column.values.tolist()
        for index in np.flatnonzero(column.known).tolist():
            infos[index].setdefault("skmem", {})[name] = values[index]


def _put_identity(table: SocketTable, infos: _Infos) -> None:
    """Put in the cookie of each socket, the interface that it is bound to, and its timer."""
    cookie = table.column("cookie")
    _put(infos, cookie.known, "cookie", cookie.values.tolist())
    interface = table.column("interface")
    names = [table.interfaces.get(number, str(number)) for number in interface.values.tolist()]
    _put(infos, interface.known & (interface.values != 0), "interface", names)
    timer = table.column("timer")
    running = timer.known & (timer.values != 0)
    kinds = [TIMERS[kind] if kind < len(TIMERS) else f"timer_{kind}" for kind in timer.values.tolist()]
    _put(infos, running, "timer", kinds)
    for name in ("timer_ms", "retransmits"):
        _put(infos, running, name, table.column(name).values.tolist())


def _owners(table: SocketTable, gaps: _Gaps) -> list[tuple[Owner, ...] | None]:
    """The owners of each socket: None where they may be hidden, empty where no process can hold the socket."""
    if table.owners is None:
        for gap in gaps:
            gap["owners"] = table.no_owners
        return [None] * len(table)
    found: list[tuple[Owner, ...] | None] = []
    for index, holder in enumerate(table.owner_keys.tolist()):
        owners = table.owners.get(holder, ()) if holder else ()
        if not owners and holder and table.hidden_owners:
            gaps[index]["owners"] = table.hidden_owners
            found.append(None)
            continue
        if any(owner.command is None for owner in owners):
            gaps[index]["owners.command"] = table.no_commands
        found.append(owners)
    return found
