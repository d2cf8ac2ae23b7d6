"""The table of sockets as text: netstat's columns, and with ``wide`` what ``ss -tinmoe`` adds.

Everything is done a column at a time; a row is put together by one format for all. Addresses are always whole, so
that a column is as wide as its longest. The programs come last, for there may be any number of them.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from portside.kernel import states
from portside.kernel.address_text import endpoints
from portside.kernel.inet_diag import TIMERS
from portside.kernel.table import Column, SocketTable
from portside.wire.escaping import escape

_IPV4 = 2
_UNKNOWN = "-"
_BATCH = 4096
_ADDRESS_WIDTH, _STATE_WIDTH = 20, 11  # at least: netstat's, so that short tables look alike

_Texts = list[str]
_UNITS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "k"))


def table_text(table: SocketTable, *, owners: bool = True, wide: bool = False, drops: bool = False) -> Iterator[bytes]:
    """The table with its header, in pieces of many rows. ``drops``: what each listener had no room for, too."""
    families = table.base["family"].tolist()
    columns = [
        _fixed("Proto", ["tcp" if family == _IPV4 else "tcp6" for family in families], "-5"),
        _fixed("Recv-Q", _integers(table.column("recv_q")), "6"),
        _fixed("Send-Q", _integers(table.column("send_q")), "6"),
        _left("Local Address", endpoints(table.base, "local", table.interfaces), _ADDRESS_WIDTH),
        _left("Foreign Address", _foreign(table, families), _ADDRESS_WIDTH),
        _left("State", state_names(table), _STATE_WIDTH),
    ]
    if wide:
        columns += [_fixed(name, texts, "") for name, texts in _wide(table)]
    elif drops:
        columns.append(_fixed("Drops", _integers(table.column("drops")), ""))
    if owners:
        columns.append(("PID/Program", owner_texts(table), "%s"))
    row = (" ".join(template for _, _, template in columns) + "\n").__mod__
    header = row(tuple(name for name, _, _ in columns))
    yield (header if owners else header.rstrip() + "\n").encode()
    lines = zip(*(texts for _, texts, _ in columns), strict=True)
    texts: Iterator[str] = map(row, lines)
    if not owners:
        texts = (text.rstrip() + "\n" for text in texts)
    while piece := "".join(islice(texts, _BATCH)):
        yield piece.encode()


def state_names(table: SocketTable) -> _Texts:
    """netstat's name of the state of each socket."""
    numbers = table.base["state"].tolist()
    names = {state: states.name_of(state) for state in set(numbers)}
    return list(map(names.__getitem__, numbers))


def owner_texts(table: SocketTable) -> _Texts:
    """``53140/python3,53141/python3``: each process that holds a socket once, ``-`` where none is known."""
    if table.owners is None:
        return [_UNKNOWN] * len(table)
    of = table.owners.get
    named: dict[int, str] = {}
    texts = []
    for holder in table.owner_keys.tolist():
        owners = of(holder) if holder else None
        if not owners:
            texts.append(_UNKNOWN)
            continue
        for owner in owners:
            if owner.pid not in named:
                named[owner.pid] = owner_text(owner.pid, owner.program)
        if len(owners) == 1:
            texts.append(named[owners[0].pid])
        else:
            texts.append(",".join(dict.fromkeys(named[owner.pid] for owner in owners)))
    return texts


def owner_text(pid: int, program: str | None) -> str:
    """``53140/python3``; a process may give itself any name, and so it is escaped."""
    return f"{pid}/{_UNKNOWN if program is None else escape(program.encode('utf-8', 'backslashreplace'))}"


def size_text(count: int) -> str:
    """``5``, ``64k``, ``1.5M``: bytes, in powers of 1024."""
    for unit, name in _UNITS:
        if count >= unit:
            number = count / unit
            return f"{number:.0f}{name}" if number >= 100 or number.is_integer() else f"{number:.1f}{name}"
    return str(count)


def microseconds_text(count: int) -> str:
    """``45us``, ``1.25ms``, ``3.2s``, ``2h00m``."""
    if count < 1000:
        return f"{count}us"
    if count < 1_000_000:
        return f"{count / 1000:.3g}ms" if count < 100_000 else f"{count // 1000}ms"
    seconds = count // 1_000_000
    if seconds < 60:
        return f"{count // 100_000 / 10}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"


def milliseconds_text(count: int) -> str:
    """Milliseconds as ``microseconds_text``."""
    return microseconds_text(count * 1000)


def _foreign(table: SocketTable, families: list[int]) -> _Texts:
    """The other ends; of a listener every one, as netstat writes it."""
    texts = endpoints(table.base, "remote", table.interfaces)
    for index in np.flatnonzero(table.base["state"] == states.LISTEN).tolist():
        texts[index] = "0.0.0.0:*" if families[index] == _IPV4 else "[::]:*"
    return texts


def _fixed(name: str, texts: _Texts, width: str) -> tuple[str, _Texts, str]:
    """A column of numbers, which is right-aligned, or with ``-WIDTH`` left."""
    needed = max(len(name), max(map(len, texts), default=0))
    if width.startswith("-"):
        return name, texts, f"%{min(int(width), -needed)}s"
    return name, texts, f"%{max(int(width or 0), needed)}s"


def _left(name: str, texts: _Texts, width: int) -> tuple[str, _Texts, str]:
    return _fixed(name, texts, f"-{width}")


def _integers(column: Column) -> _Texts:
    return _texts(column, str)


def _texts(column: Column, text: Callable[[Any], str]) -> _Texts:
    """A column's values as text: each different one is written once."""
    values = column.values.tolist()
    written: dict[Any, str] = {value: text(value) for value in set(values)}
    texts = list(map(written.__getitem__, values))
    if not column.known.all():
        for index in np.flatnonzero(~column.known).tolist():
            texts[index] = _UNKNOWN
    return texts


_SIMPLE: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("RTO", "rto_us", microseconds_text),
    ("Cwnd", "cwnd", str),
    ("Ssthresh", "ssthresh", str),
    ("MSS", "mss", str),
    ("PMTU", "pmtu", str),
    ("Sent", "bytes_sent", size_text),
    ("Acked", "bytes_acked", size_text),
    ("Received", "bytes_received", size_text),
    ("Not-Sent", "notsent_bytes", size_text),
    ("Rate/s", "delivery_rate", size_text),
    ("Last-Sent", "last_data_sent_ms", milliseconds_text),
    ("Last-Rcvd", "last_data_recv_ms", milliseconds_text),
    ("Busy", "busy_us", microseconds_text),
    ("Rwnd-Lim", "rwnd_limited_us", microseconds_text),
    ("Sndbuf-Lim", "sndbuf_limited_us", microseconds_text),
)
_LAST: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("Drops", "drops", str),
    ("Congestion", "congestion", escape),
    ("User", "uid", str),
    ("Inode", "inode", str),
)


def _wide(table: SocketTable) -> Iterator[tuple[str, _Texts]]:
    """What the kernel tells beyond netstat's columns."""

    def pair(first: str, second: str, text: Callable[[Any], str]) -> _Texts:
        both = zip(_texts(table.column(first), text), _texts(table.column(second), text), strict=True)
        return [f"{one}/{other}" if one != _UNKNOWN or other != _UNKNOWN else _UNKNOWN for one, other in both]

    yield "RTT/Var", pair("rtt_us", "rttvar_us", microseconds_text)
    yield "Retrans", pair("retrans", "retrans_total", str)
    for name, column, text in _SIMPLE:
        yield name, _texts(table.column(column), text)
    yield "Rcvbuf", pair("rmem_alloc", "rcvbuf", size_text)
    yield "Sndbuf", pair("wmem_queued", "sndbuf", size_text)
    yield "Timer", _timers(table)
    for name, column, text in _LAST:
        yield name, _texts(table.column(column), text)


def _timers(table: SocketTable) -> _Texts:
    """``keepalive,1h59m`` and ``retransmit,200ms,3``: which timer, how long it still runs, how often it ran out."""
    kinds, lefts, tries = (table.column(name) for name in ("timer", "timer_ms", "retransmits"))
    texts = []
    for kind, known, left, count in zip(
        kinds.values.tolist(), kinds.known.tolist(), lefts.values.tolist(), tries.values.tolist(), strict=True
    ):
        if not kind or not known:
            texts.append(_UNKNOWN)
            continue
        name = TIMERS[kind] if kind < len(TIMERS) else f"timer_{kind}"
        texts.append(f"{name},{milliseconds_text(left)}" + (f",{count}" if count else ""))
    return texts
