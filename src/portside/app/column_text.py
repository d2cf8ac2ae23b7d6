"""The text of each column of ``watch``, written a whole column at a time.

A column has many rows and few distinct values, so each distinct value is formatted once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from portside.app.cell_text import (
    ANY_PEER,
    PROTOCOLS,
    UNKNOWN,
    command_text,
    microseconds_text,
    milliseconds_text,
    owner_text,
    seconds_text,
    share_text,
    size_text,
)
from portside.kernel import states
from portside.kernel.address_text import endpoints
from portside.kernel.inet_diag import ACCECN_FAILURES, ACCECN_OPTIONS, ECN_MODES, TIMERS
from portside.kernel.table import ColumnValues, SocketTable

Texts = list[str]


class WatchedSockets(NamedTuple):
    """The sockets whose columns are written or sorted.

    ``age_s`` is the time since each socket was first seen, in seconds; None where the table is read only once.
    ``findings`` are the codes of what is wrong with each; None where nobody looked.
    """

    table: SocketTable
    age_s: npt.NDArray[np.float64] | None = None
    findings: Texts | None = None


TextsOf = Callable[[WatchedSockets], Texts]


def column_texts(values: ColumnValues, text: Callable[[Any], str]) -> Texts:
    """The values of a column written by ``text``, and ``-`` where a value is not known."""
    listed = values.values.tolist()
    written: dict[Any, str] = {value: text(value) for value in set(listed)}
    texts = list(map(written.__getitem__, listed))
    if not values.known.all():
        for index in np.flatnonzero(~values.known).tolist():
            texts[index] = UNKNOWN
    return texts


def written(name: str, text: Callable[[Any], str] = str) -> TextsOf:
    """The text of a column of the table, each value written by ``text``."""
    return lambda sockets: column_texts(sockets.table.column(name), text)


def paired(first: str, second: str, text: Callable[[Any], str] = str) -> TextsOf:
    """The text of two columns of the table with a slash between them, ``-`` where neither is known."""

    def texts(sockets: WatchedSockets) -> Texts:
        table = sockets.table
        both = zip(column_texts(table.column(first), text), column_texts(table.column(second), text), strict=True)
        return [f"{one}/{other}" if one != UNKNOWN or other != UNKNOWN else UNKNOWN for one, other in both]

    return texts


def protocols(sockets: WatchedSockets) -> Texts:
    """``tcp`` or ``tcp6``."""
    return list(map(PROTOCOLS.__getitem__, sockets.table.base["family"].tolist()))


def local_ends(sockets: WatchedSockets) -> Texts:
    """The local end of each socket, with the interface that the socket is bound to."""
    table = sockets.table
    return endpoints(table.base, "local", table.interfaces, bound=True)


def foreign_ends(sockets: WatchedSockets) -> Texts:
    """The remote end of each socket; for a listener any, as netstat writes it."""
    table = sockets.table
    texts = endpoints(table.base, "remote", table.interfaces)
    families = table.base["family"].tolist()
    for index in np.flatnonzero(table.base["state"] == states.LISTEN).tolist():
        texts[index] = ANY_PEER[families[index]]
    return texts


def state_names(sockets: WatchedSockets) -> Texts:
    """netstat's name of the state of each socket."""
    numbers = sockets.table.base["state"].tolist()
    names = {state: states.name_of(state) for state in set(numbers)}
    return list(map(names.__getitem__, numbers))


def owner_lists(sockets: WatchedSockets) -> Texts:
    """The processes that hold each socket, as ``owners_text`` writes them."""
    table = sockets.table
    if table.owners is None:
        return [UNKNOWN] * len(table)
    of = table.owners.get
    named: dict[int, str] = {}
    texts = []
    for key in table.owner_keys.tolist():
        owners = of(key) if key else None
        if not owners:
            texts.append(UNKNOWN)
            continue
        for owner in owners:
            if owner.pid not in named:
                named[owner.pid] = owner_text(owner.pid, owner.program)
        if len(owners) == 1:
            texts.append(named[owners[0].pid])
        else:
            texts.append(",".join(dict.fromkeys(named[owner.pid] for owner in owners)))
    return texts


def command_lines(sockets: WatchedSockets) -> Texts:
    """The command lines of the processes that hold each socket; those of processes that share one stand once."""
    table = sockets.table
    owners = table.owners or {}
    texts = []
    for key in table.owner_keys.tolist():
        held = owners.get(key, ()) if key else ()
        commands = dict.fromkeys(owner.command for owner in held if owner.command is not None)
        texts.append(", ".join(map(command_text, commands)) or UNKNOWN)
    return texts


def timers(sockets: WatchedSockets) -> Texts:
    """``keepalive,1h59m`` or ``retransmit,200ms,3``: which timer, how long it still runs, how often it ran out."""
    return [
        UNKNOWN if name is None else f"{name},{milliseconds_text(left)}" + (f",{count}" if count else "")
        for name, left, count in _running_timers(sockets.table)
    ]


def short_timers(sockets: WatchedSockets) -> Texts:
    """``keepalive 1h59``: which timer, and how long it still runs."""
    return [
        UNKNOWN if name is None else f"{name} {seconds_text(left / 1000)}"
        for name, left, _ in _running_timers(sockets.table)
    ]


def _running_timers(table: SocketTable) -> list[tuple[str | None, int, int]]:
    """For each socket the name of its timer (None: no timer runs), the milliseconds left, and the retransmits."""
    kind, left, count = (table.column(name) for name in ("timer", "timer_ms", "retransmits"))
    names = [TIMERS[number] if number < len(TIMERS) else f"timer_{number}" for number in kind.values.tolist()]
    running = ((kind.values != 0) & kind.known).tolist()
    return [
        (name if runs else None, left_ms, retransmits)
        for name, runs, left_ms, retransmits in zip(
            names, running, left.values.tolist(), count.values.tolist(), strict=True
        )
    ]


def limits(sockets: WatchedSockets) -> Texts:
    """``rwnd 40% sndbuf 5%``: the limits on the sender, in percent of the time in which it had data to send."""
    names = ("rwnd", "sndbuf")
    shares = [sockets.table.column(f"{name}_limited_share") for name in names]
    listed = zip(*((share.values * share.known).tolist() for share in shares), strict=True)
    return [
        " ".join(f"{name} {share_text(part)}" for name, part in zip(names, parts, strict=True) if part) or UNKNOWN
        for parts in listed
    ]


def limited(name: str) -> TextsOf:
    """``1.2s/40%``: how long a limit stopped the sender, and what part that is of the time with data to send."""

    def texts(sockets: WatchedSockets) -> Texts:
        times = column_texts(sockets.table.column(f"{name}_limited_us"), microseconds_text)
        shares = column_texts(sockets.table.column(f"{name}_limited_share"), share_text)
        return [time if share == UNKNOWN else f"{time}/{share}" for time, share in zip(times, shares, strict=True)]

    return texts


def marked_bytes(direction: str) -> TextsOf:
    """``0/1.5M/3k``: bytes by their ECN marks, ECT(1), ECT(0) and CE, that were received or delivered."""

    def texts(sockets: WatchedSockets) -> Texts:
        marks = [
            column_texts(sockets.table.column(f"{direction}_{mark}_bytes"), size_text) for mark in ("e1", "e0", "ce")
        ]
        return [UNKNOWN if UNKNOWN in each else "/".join(each) for each in zip(*marks, strict=True)]

    return texts


def accecn_modes(sockets: WatchedSockets) -> Texts:
    """``accurate,counters``: the ECN mode where the kernel reports it, the options that came, and what failed."""
    columns = [sockets.table.column(name) for name in ("accecn_opt_seen", "ecn_mode", "accecn_fail_mode")]
    listed = zip(*(zip(each.values.tolist(), each.known.tolist(), strict=True) for each in columns), strict=True)
    texts = []
    for (seen, known), (mode, mode_known), (failures, _) in listed:
        words = [ECN_MODES[mode]] if mode_known else []
        words.append(ACCECN_OPTIONS[seen] if seen < len(ACCECN_OPTIONS) else f"option_{seen}")
        words += [word for bit, word in ACCECN_FAILURES.items() if failures & bit]
        texts.append(",".join(words) if known else UNKNOWN)
    return texts


def finding_codes(sockets: WatchedSockets) -> Texts:
    """The codes of the findings that each socket is part of, as far as one look finds any."""
    return [UNKNOWN] * len(sockets.table) if sockets.findings is None else sockets.findings


def ages(sockets: WatchedSockets) -> Texts:
    """How long each socket has been seen."""
    if sockets.age_s is None:
        return [UNKNOWN] * len(sockets.table)
    return [seconds_text(age) for age in sockets.age_s.tolist()]
