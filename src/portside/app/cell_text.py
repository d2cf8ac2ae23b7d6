"""The text of single cells of the table, where it does not depend on how the table is kept."""

from collections.abc import Iterable

from portside.kernel.inet_diag import IPV4, IPV6
from portside.kernel.models import Owner
from portside.wire.escaping import escape_name

UNKNOWN = "-"
_UNITS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "k"))
PROTOCOLS = {IPV4: "tcp", IPV6: "tcp6"}
ANY_PEER = {IPV4: "0.0.0.0:*", IPV6: "[::]:*"}
"""The foreign end of a listener, as netstat writes it."""


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
    """Milliseconds as ``microseconds_text`` writes them."""
    return microseconds_text(count * 1000)


def share_text(share: float) -> str:
    """``40%`` of a share from 0 to 1, ``0.4%`` where it is less than 1 %."""
    percent = 100 * share
    return f"{percent:.0f}%" if percent >= 1 or not percent else f"{percent:.1g}%"


def seconds_text(time_s: float) -> str:
    """``5s``, ``3m05``, ``2h07``, ``4d03h``."""
    minutes, seconds = divmod(int(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24}d{hours % 24:02}h"
    return f"{hours}h{minutes:02}" if hours else f"{minutes}m{seconds:02}" if minutes else f"{seconds}s"


def program_text(program: str | None) -> str:
    """The name of a program, ``-`` for none; a process may give itself any name, and so the name is escaped."""
    return UNKNOWN if program is None else escape_name(program.encode("utf-8", "surrogateescape"))


def command_text(command: str | None) -> str:
    """A command line, ``-`` for none, escaped as the name of a program is."""
    return program_text(command)


def owner_text(pid: int, program: str | None) -> str:
    """``53140/python3``."""
    return f"{pid}/{program_text(program)}"


def owners_text(owners: Iterable[Owner]) -> str:
    """``53140/python3,53141/python3``: each process that holds a socket once, ``-`` where there is none."""
    return ",".join(dict.fromkeys(owner_text(owner.pid, owner.program) for owner in owners)) or UNKNOWN
