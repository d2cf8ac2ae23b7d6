"""The columns of the live display: netstat's names, what stands in each, and how it looks in little room."""

from collections.abc import Callable
from typing import NamedTuple

from rich.cells import cell_len

from portside.app.table_text import microseconds_text, owner_text, size_text
from portside.kernel.models import Owner, Socket
from portside.settings.watch import Watch
from portside.tui.snapshot_diff import Line
from portside.tui.widths import WidthRequest, cut, cut_middle
from portside.wire.escaping import escape

GONE = "gone"
UNKNOWN = "-"

# Where there is no room for netstat's word, the one that ss has.
_SHORT_STATES = {"ESTABLISHED": "ESTAB"}


class Column(NamedTuple):
    """``sort`` is its name for sorting, ``mark`` that of what it shows, for marks. ``drop`` and ``grow``
    as in WidthRequest.

    ``middle``: cut there. It has ``most`` cells at most.
    """

    title: str
    sort: str
    text: Callable[[Line], str]
    least: int
    drop: int
    grow: int
    right: bool = False
    mark: str = ""
    middle: bool = False
    most: int = 60

    def need(self, texts: list[str], before: int = 0, *, sorted_by: bool = False) -> WidthRequest:
        """What the column needs to show these, and an arrow at its title; ``before``: it was so wide."""
        title = len(self.title) + sorted_by
        glad = min(max(title, before, *map(cell_len, texts)), max(self.most, title))
        return WidthRequest(self.least, max(self.least, glad), self.drop, self.grow)

    def cell(self, text: str, width: int) -> str:
        """The text, as wide as the column."""
        if len(text) > width:
            text = _SHORT_STATES.get(text, text)
        return cut_middle(text, width) if self.middle else cut(text, width, right=self.right)


def _queue(size: int | None) -> str:
    return UNKNOWN if size is None else str(size)


def safe(text: str) -> str:
    """Text from a process or the system, safe to show."""
    return text if text.isprintable() else escape(text.encode("utf-8", "backslashreplace"))


def remote_text(socket: Socket) -> str:
    """The other end; of a listener, what netstat writes."""
    if socket.remote is None:
        return "0.0.0.0:*" if socket.family == 4 else "[::]:*"
    return safe(socket.remote)


def _state(line: Line) -> str:
    return line.socket.state if line.gone_s is None else GONE


def owners_text(owners: tuple[Owner, ...] | None) -> str:
    """Every process that holds a socket: ``812/nginx,813/nginx``."""
    return ",".join(dict.fromkeys(owner_text(owner.pid, owner.program) for owner in owners or ())) or UNKNOWN


def _info(name: str, write: Callable[[int], str]) -> Callable[[Line], str]:
    def text(line: Line) -> str:
        value = (line.socket.info or {}).get(name)
        return write(value) if isinstance(value, int) else UNKNOWN

    return text


def seconds_text(time_s: float) -> str:
    """``5s``, ``3m05``, ``2h07``, ``4d03h``."""
    minutes, seconds = divmod(int(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24}d{hours % 24:02}h"
    return f"{hours}h{minutes:02}" if hours else f"{minutes}m{seconds:02}" if minutes else f"{seconds}s"


def _retransmits(line: Line) -> str:
    info = line.socket.info or {}
    total, now = info.get("retrans_total"), info.get("retrans")
    return UNKNOWN if total is None else f"{now}/{total}"


def _timer(line: Line) -> str:
    info = line.socket.info or {}
    timer, left_ms = info.get("timer"), info.get("timer_ms")
    return f"{timer} {seconds_text(left_ms / 1000)}" if timer and isinstance(left_ms, int) else UNKNOWN


def _limited(line: Line) -> str:
    """What the sender waited for, in parts of the time in which it had something to send."""
    info = line.socket.info or {}
    busy = info.get("busy_us")
    if not isinstance(busy, int) or not busy:
        return UNKNOWN
    found = {"rwnd": info.get("rwnd_limited_us"), "sndbuf": info.get("sndbuf_limited_us")}
    parts = [f"{name} {100 * value // busy}%" for name, value in found.items() if isinstance(value, int) and value]
    return " ".join(parts) or UNKNOWN


def _drops(line: Line) -> str:
    memory = (line.socket.info or {}).get("skmem")
    return str(memory.get("drops", UNKNOWN)) if isinstance(memory, dict) else UNKNOWN


_LOCAL = Column("Local Address", "local", lambda line: safe(line.socket.local), 13, 2, 1, middle=True)
_REMOTE = Column("Foreign Address", "remote", lambda line: remote_text(line.socket), 13, 1, 1, middle=True)
_PLAIN = (
    Column("Proto", "proto", lambda line: line.socket.proto, 5, 7, 0),
    Column("Recv-Q", "recv_q", lambda line: _queue(line.socket.recv_q), 6, 4, 0, right=True, mark="recv_q"),
    Column("Send-Q", "send_q", lambda line: _queue(line.socket.send_q), 6, 5, 0, right=True, mark="send_q"),
    _LOCAL,
    _REMOTE,
    Column("State", "state", _state, 10, 3, 0, mark="state", most=11),
    Column("PID/Program", "program", lambda line: owners_text(line.socket.owners), 7, 6, 2, most=40),
)
_WIDE = (
    Column("RTT", "rtt_us", _info("rtt_us", microseconds_text), 7, 13, 3, right=True),
    Column("Cwnd", "cwnd", _info("cwnd", str), 5, 17, 3, right=True),
    Column("Retrans", "retrans_total", _retransmits, 7, 14, 3, right=True),
    Column("Sent", "bytes_sent", _info("bytes_sent", size_text), 5, 15, 3, right=True),
    Column("Received", "bytes_received", _info("bytes_received", size_text), 8, 16, 3, right=True),
    Column("Age", "age_s", lambda line: seconds_text(line.age_s), 6, 19, 3, right=True),
    Column("Timer", "timer_ms", _timer, 13, 18, 4),
    Column("Limited", "rwnd_limited_us", _limited, 10, 20, 4),
)
_DROPS = Column("Drops", "drops", _drops, 5, 8, 3, right=True)


def columns_of(settings: Watch) -> tuple[Column, ...]:
    """The columns that the settings ask for."""
    plain = tuple(column for column in _PLAIN if column.sort != "program" or not settings.no_processes)
    drops = (_DROPS,) if settings.listening and not settings.all else ()
    return (*plain, *drops, *(_WIDE if settings.wide else ()))
