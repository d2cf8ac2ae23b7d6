"""The columns that a filter may compare with a value: their names, and how the value is written.

Beyond these, every number of a socket's ``info`` can be used by its own name (``cwnd``, ``bytes_sent``, ``rtt_us``).
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from portside.errors import InvalidValue
from portside.kernel.column_names import COLUMNS, SHARES
from portside.kernel.filter.tree import Side
from portside.units import parse_duration, parse_size


class FilterColumn(NamedTuple):
    """A column of the table under a name in the filter.

    ``parse`` reads a value into the unit of the column. ``named`` says what a value may also be the name of; a name
    comes before a number, because an interface may be called ``12``.
    """

    column: str
    parse: Callable[[str], float]
    named: Literal["interface", "cgroup", "user"] | None = None


class Vocabulary(NamedTuple):
    """The columns that a table has for its filter, by the names that a condition begins with.

    ``numbers`` are compared with a number, ``texts`` with a pattern, and ``ends`` with an address and a port.
    """

    numbers: Mapping[str, FilterColumn]
    texts: Mapping[str, str]
    ends: Mapping[str, Side]


def parse_integer(text: str) -> int:
    """Read a whole number, decimal or ``0x…``."""
    try:
        number = int(text, 16 if text[:2].lower() == "0x" else 10)
    except ValueError:
        number = -1
    if not text.isascii() or "_" in text or not 0 <= number < 1 << 64:
        raise InvalidValue(f"{text!r} is no whole number")
    return number


def name_or_number(text: str, find: Callable[[str], float], parse: Callable[[str], float]) -> float:
    """Look a name up, and where there is none read a number; a text that is neither is an unknown name."""
    try:
        return find(text)
    except InvalidValue as unknown:
        try:
            return parse(text)
        except InvalidValue:
            raise unknown from None


def _microseconds(text: str) -> float:
    """A duration, which may here be as short as ``50us``."""
    number = text.removesuffix("us")
    if number != text and number[-1:].isdigit():
        return parse_duration(number)
    return parse_duration(text) * 1_000_000


def _milliseconds(text: str) -> float:
    return parse_duration(text) * 1000


def _share(text: str) -> float:
    """A share of a whole: ``40%`` or ``0.4``."""
    number = text.removesuffix("%")
    if not re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", number):
        raise InvalidValue(f"{text!r} is no share: write 40% or 0.4")
    return float(number) / (1 if number == text else 100)


_NAMED = {
    "recvq": FilterColumn("recv_q", parse_size),
    "recv-q": FilterColumn("recv_q", parse_size),
    "recv_q": FilterColumn("recv_q", parse_size),
    "sendq": FilterColumn("send_q", parse_size),
    "send-q": FilterColumn("send_q", parse_size),
    "send_q": FilterColumn("send_q", parse_size),
    "pid": FilterColumn("pid", parse_integer),
    "uid": FilterColumn("uid", parse_integer, "user"),
    "inode": FilterColumn("inode", parse_integer),
    "ino": FilterColumn("inode", parse_integer),
    "age": FilterColumn("age_s", parse_duration),
    "rtt": FilterColumn("rtt_us", _microseconds),
    "rttvar": FilterColumn("rttvar_us", _microseconds),
    "minrtt": FilterColumn("min_rtt_us", _microseconds),
    "rto": FilterColumn("rto_us", _microseconds),
    "lastsnd": FilterColumn("last_data_sent_ms", _milliseconds),
    "lastrcv": FilterColumn("last_data_recv_ms", _milliseconds),
    "lastack": FilterColumn("last_ack_recv_ms", _milliseconds),
    "busy": FilterColumn("busy_us", _microseconds),
    "rwnd_limited": FilterColumn("rwnd_limited_us", _microseconds),
    "sndbuf_limited": FilterColumn("sndbuf_limited_us", _microseconds),
    **{name: FilterColumn(name, _share) for name in SHARES},
    "total_rto_time": FilterColumn("total_rto_time_ms", _milliseconds),
    "retrans": FilterColumn("retrans_total", parse_integer),
    "retrans_now": FilterColumn("retrans", parse_integer),
    "notsent": FilterColumn("notsent_bytes", parse_size),
    "dev": FilterColumn("interface", parse_integer, "interface"),
    "interface": FilterColumn("interface", parse_integer, "interface"),
    "cgroup": FilterColumn("cgroup", parse_integer, "cgroup"),
}
_NOT_NUMBERS = ("state", "congestion", "mark", "options")

FILTER_COLUMNS = {
    **{name: FilterColumn(name, parse_size) for name in sorted(COLUMNS) if name not in _NOT_NUMBERS},
    **_NAMED,
}

ENDS: Mapping[str, Side] = {"src": "local", "dst": "remote"}

SOCKETS = Vocabulary(FILTER_COLUMNS, {}, ENDS)
"""The columns of the kernel's table of sockets."""
