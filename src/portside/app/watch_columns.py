"""The catalogue of the columns of ``watch``: for each its name, heading, width, text, order and place in the JSON.

The table (``watch --once``), the live display and ``--sort`` use this catalogue. A column whose text differs between
the two displays has two entries.
"""

from dataclasses import dataclass
from typing import NamedTuple

from portside.app import table_layout as layout
from portside.app.cell_text import microseconds_text, milliseconds_text, size_text
from portside.app.column_sort import (
    SortKeysOf,
    by_age,
    by_end,
    by_family,
    by_number,
    by_pid,
    by_program,
    by_state_name,
)
from portside.app.column_text import (
    TextsOf,
    accecn_modes,
    ages,
    command_lines,
    finding_codes,
    foreign_ends,
    limited,
    limits,
    local_ends,
    marked_bytes,
    owner_lists,
    paired,
    protocols,
    short_timers,
    state_names,
    timers,
    written,
)
from portside.settings.watch import Watch
from portside.wire.escaping import escape


class LiveWidth(NamedTuple):
    """The width of a column on the live display, in cells of the terminal.

    ``drop``: on a narrow terminal, the column with the highest number is left out first. ``grow``: the columns with the
    lowest number get spare cells first. ``cut_middle``: a text that is too long loses its middle instead of its end.
    """

    minimum: int
    drop: int
    grow: int
    right_aligned: bool = False
    cut_middle: bool = False
    maximum: int = 60


@dataclass(frozen=True, eq=False, slots=True)
class Column:
    """A column of ``watch``.

    ``name`` is that of the socket table's column if it has one, ``texts`` makes the text, ``sort_keys`` makes the sort
    keys, and ``sort_names`` are the names that ``--sort`` accepts besides those of the filter language. ``json`` is the
    field with the same value in the socket's JSON, empty if there is none. ``table_width`` is the minimum width in the
    table, negative for left-aligned text; ``live_width`` is None for a column that the live display does not have.
    """

    name: str
    heading: str
    texts: TextsOf
    sort_keys: SortKeysOf
    json: str
    sort_names: tuple[str, ...] = ()
    table_width: int = 0
    live_width: LiveWidth | None = None


def _info(
    heading: str, name: str, texts: TextsOf | None = None, *, live: LiveWidth | None = None, json: str | None = None
) -> Column:
    """A column of what the kernel tells beyond netstat's columns."""
    return Column(
        name, heading, texts or written(name), by_number(name), f"info.{name}" if json is None else json,
        live_width=live,
    )  # fmt: skip


PROTO = Column(
    "proto", layout.PROTO.heading, protocols, by_family, "proto", ("proto",),
    table_width=layout.PROTO.width, live_width=LiveWidth(5, drop=7, grow=0),
)  # fmt: skip
RECV_Q = Column(
    "recv_q", layout.RECV_Q.heading, written("recv_q"), by_number("recv_q"), "recv_q", ("recv-q", "recv_q", "recvq"),
    table_width=layout.RECV_Q.width, live_width=LiveWidth(6, drop=4, grow=0, right_aligned=True),
)  # fmt: skip
SEND_Q = Column(
    "send_q", layout.SEND_Q.heading, written("send_q"), by_number("send_q"), "send_q", ("send-q", "send_q", "sendq"),
    table_width=layout.SEND_Q.width, live_width=LiveWidth(6, drop=5, grow=0, right_aligned=True),
)  # fmt: skip
LOCAL = Column(
    "local", layout.LOCAL.heading, local_ends, by_end("local"), "local", ("local", "local address", "src"),
    table_width=layout.LOCAL.width, live_width=LiveWidth(13, drop=2, grow=1, cut_middle=True),
)  # fmt: skip
REMOTE = Column(
    "remote", layout.REMOTE.heading, foreign_ends, by_end("remote"), "remote",
    ("foreign", "foreign address", "peer", "remote", "dst"),
    table_width=layout.REMOTE.width, live_width=LiveWidth(13, drop=1, grow=1, cut_middle=True),
)  # fmt: skip
STATE = Column(
    "state", layout.STATE.heading, state_names, by_state_name, "state", ("state",),
    table_width=layout.STATE.width, live_width=LiveWidth(10, drop=3, grow=0, maximum=11),
)  # fmt: skip
PID = Column("pid", layout.PROGRAMS, owner_lists, by_pid, "owners", ("pid", "pid/program"))
PROGRAM = Column(
    "program", layout.PROGRAMS, owner_lists, by_program, "owners", ("program",),
    live_width=LiveWidth(7, drop=6, grow=2, maximum=40),
)  # fmt: skip
COMMAND = Column(
    "command", layout.COMMAND, command_lines, by_program, "owners",
    live_width=LiveWidth(20, drop=21, grow=5, maximum=40),
)  # fmt: skip
FINDING = Column("finding", "Finding", finding_codes, by_number("inode"), "", table_width=-7)
"""What is wrong with a socket, in the table with ``--wide``; it is no column to sort by."""
DROPS = _info("Drops", "drops", json="info.skmem.drops", live=LiveWidth(5, drop=8, grow=3, right_aligned=True))
RETRANS = _info(
    "Retrans", "retrans_total", paired("retrans", "retrans_total"),
    live=LiveWidth(7, drop=14, grow=3, right_aligned=True),
)  # fmt: skip
CWND = _info("Cwnd", "cwnd", live=LiveWidth(5, drop=17, grow=3, right_aligned=True))
SENT = _info(
    "Sent", "bytes_sent", written("bytes_sent", size_text), live=LiveWidth(5, drop=15, grow=3, right_aligned=True)
)
RECEIVED = _info(
    "Received", "bytes_received", written("bytes_received", size_text),
    live=LiveWidth(8, drop=16, grow=3, right_aligned=True),
)  # fmt: skip

NETSTAT = (PROTO, RECV_Q, SEND_Q, LOCAL, REMOTE, STATE)
"""netstat's columns but for the programs."""

TABLE_WIDE = (
    _info("RTT/Var", "rtt_us", paired("rtt_us", "rttvar_us", microseconds_text)),
    RETRANS,
    _info("RTO", "rto_us", written("rto_us", microseconds_text)),
    _info("RTOs", "total_rto", paired("total_rto", "total_rto_recoveries")),
    _info("RTO-Time", "total_rto_time_ms", written("total_rto_time_ms", milliseconds_text)),
    _info("Rehash", "rehash"),
    CWND,
    _info("Ssthresh", "ssthresh"),
    _info("MSS", "mss"),
    _info("PMTU", "pmtu"),
    SENT,
    _info("Acked", "bytes_acked", written("bytes_acked", size_text)),
    RECEIVED,
    _info("Snd-Wnd", "snd_wnd", written("snd_wnd", size_text)),
    _info("Rcv-Wnd", "rcv_wnd", written("rcv_wnd", size_text)),
    _info("Not-Sent", "notsent_bytes", written("notsent_bytes", size_text)),
    _info("Rate/s", "delivery_rate", written("delivery_rate", size_text)),
    _info("Last-Sent", "last_data_sent_ms", written("last_data_sent_ms", milliseconds_text)),
    _info("Last-Rcvd", "last_data_recv_ms", written("last_data_recv_ms", milliseconds_text)),
    _info("Busy", "busy_us", written("busy_us", microseconds_text)),
    _info("Rwnd-Lim", "rwnd_limited_us", limited("rwnd")),
    _info("Sndbuf-Lim", "sndbuf_limited_us", limited("sndbuf")),
    _info("Rcvbuf", "rcvbuf", paired("rmem_alloc", "rcvbuf", size_text), json="info.skmem.rcvbuf"),
    _info("Sndbuf", "sndbuf", paired("wmem_queued", "sndbuf", size_text), json="info.skmem.sndbuf"),
    _info("Timer", "timer_ms", timers),
    DROPS,
    _info("Congestion", "congestion", written("congestion", escape)),
    _info("CE", "received_ce", paired("received_ce", "delivered_ce")),
    _info("AccECN", "accecn_opt_seen", accecn_modes),
    _info("ECN-Rcvd", "received_ce_bytes", marked_bytes("received")),
    _info("ECN-Delivered", "delivered_ce_bytes", marked_bytes("delivered")),
    _info("User", "uid", json="uid"),
    _info("Inode", "inode", json="inode"),
)
"""What ``--wide`` adds to the table: what ``ss -tinmoe`` shows, and what the kernel tells beyond it."""

LIVE_WIDE = (
    _info(
        "RTT", "rtt_us", written("rtt_us", microseconds_text), live=LiveWidth(7, drop=13, grow=3, right_aligned=True)
    ),
    CWND,
    RETRANS,
    SENT,
    RECEIVED,
    Column("age_s", "Age", ages, by_age, "", ("age",), live_width=LiveWidth(6, drop=19, grow=3, right_aligned=True)),
    _info("Timer", "timer_ms", short_timers, live=LiveWidth(13, drop=18, grow=4)),
    _info("Limited", "rwnd_limited_us", limits, live=LiveWidth(10, drop=20, grow=4)),
)
"""What ``--wide`` adds to the live display."""

SORTABLE = (PROTO, RECV_Q, SEND_Q, LOCAL, REMOTE, STATE, PID, PROGRAM)
"""What ``--sort`` takes beside the numbers that a filter can name."""


def table_columns(*, wide: bool, drops: bool) -> tuple[Column, ...]:
    """The columns of the table but for the programs."""
    return (*NETSTAT, *(TABLE_WIDE if wide else (DROPS,) if drops else ()))


def live_columns(settings: Watch) -> tuple[Column, ...]:
    """The columns of the live display."""
    owners = () if settings.no_processes else (PROGRAM,)
    drops = (DROPS,) if settings.listening and not settings.all else ()
    commands = (COMMAND,) if settings.wide and owners else ()
    return (*NETSTAT, *owners, *drops, *(LIVE_WIDE if settings.wide else ()), *commands)
