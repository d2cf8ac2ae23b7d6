"""From one look at the sockets to the next: which are new, what changed, which are gone. No I/O; time comes in.

A socket is known again by its cookie, which the kernel never gives twice; where a source knows no cookie, by its two
ends (and what holds it, for several listeners may share theirs).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from portside.kernel import states
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket
from portside.kernel.table import Mask, SocketTable
from portside.kernel.tracked_sockets import Keys, ends_as_keys

Times = npt.NDArray[np.float64]
Marks = npt.NDArray[np.uint8]

MARKED = ("new", "state", "recv_q", "send_q")
"""What is marked when it changes: the columns of ``Marks``, each with the number of looks that it stays marked."""

MARK_LOOKS = 3
FADE_S = 4.0

_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no two products are equal


class Part(NamedTuple):
    """Sockets of one table. ``gone_at`` is when they were missed first, None for those that are there."""

    table: SocketTable
    keys: Keys
    since: Times
    marks: Marks
    gone_at: float | None = None


class Line(NamedTuple):
    """One socket as it is shown. ``gone_s`` is for how long it has been gone."""

    socket: Socket
    key: int
    age_s: float
    marked: frozenset[str]
    gone_s: float | None


class ViewState:
    """What the display shows after a look: the sockets that are there, then those that are fading.

    A row is a number over all parts, in their order.
    """

    def __init__(self, parts: tuple[Part, ...], source: str, notes: tuple[str, ...], at: float) -> None:
        self.parts = parts
        self.source = source
        self.notes = notes
        self.at = at
        self.keys: Keys = np.concatenate([part.keys for part in parts])
        self._starts = np.cumsum([0, *(len(part.keys) for part in parts)])

    @property
    def live(self) -> Part:
        """The sockets that are there."""
        return self.parts[0]

    def counts(self) -> dict[str, int]:
        """How many sockets are in each state, the most first."""
        found = np.bincount(self.live.table.base["state"], minlength=1)
        names: dict[str, int] = {}
        for state in np.flatnonzero(found).tolist():
            name = states.name_of(state)
            names[name] = names.get(name, 0) + int(found[state])
        return dict(sorted(names.items(), key=lambda item: -item[1]))

    def lines(self, rows: npt.NDArray[np.integer]) -> list[Line]:
        """Some rows, ready to be shown, in their order."""
        found: dict[int, Line] = {}
        for part, start in zip(self.parts, self._starts.tolist(), strict=False):
            here = rows[(rows >= start) & (rows < start + len(part.keys))] - start
            gone_s = None if part.gone_at is None else self.at - part.gone_at
            sockets = to_sockets(part.table.select(here))
            for row, socket in zip(here.tolist(), sockets, strict=True):
                marked = frozenset(name for name, left in zip(MARKED, part.marks[row].tolist(), strict=True) if left)
                age_s = self.at - float(part.since[row])
                found[row + start] = Line(socket, int(part.keys[row]), age_s, marked, gone_s)
        return [found[row] for row in rows.tolist()]

    def age_of(self, key: int) -> float:
        """For how long a socket that is there has been seen, in seconds; 0 where it is not there."""
        where = np.flatnonzero(self.live.keys == np.uint64(key))
        return self.at - float(self.live.since[where[0]]) if len(where) else 0.0

    def only(self, key: int) -> SocketTable | None:
        """The table of one socket that is still there."""
        where = np.flatnonzero(self.live.keys == np.uint64(key))
        return self.live.table.select(where[:1]) if len(where) else None


class SnapshotDiff:
    """Compares each table with the one before."""

    def __init__(self, fade_s: float = FADE_S) -> None:
        self._fade_s = fade_s
        self._seen: Keys = np.zeros(0, "u8")
        self._seen_since: Times = np.zeros(0)
        self._now = 0.0
        self._before: Part | None = None
        self._gone: list[Part] = []

    def restart(self) -> None:
        """Another filter: what the next table has or lacks is no change."""
        self._before = None
        self._gone = []

    def ages(self, table: SocketTable, now: float) -> Times:
        """For how long each socket has been seen, in seconds."""
        keys = keys_of(table)
        found, at = _find(self._seen, keys)
        since = np.full(len(keys), now)
        since[found] = self._seen_since[at]
        order = np.argsort(keys, kind="stable")
        self._seen, self._seen_since = keys[order], since[order]
        return now - since

    def follow(self, table: SocketTable, source: str, notes: tuple[str, ...], now: float) -> ViewState:
        """Take the next table, whose ages were asked for at the same time."""
        keys = keys_of(table)
        since = np.full(len(keys), now)
        found, at = _find(self._seen, keys)
        since[found] = self._seen_since[at]
        marks = np.zeros((len(keys), len(MARKED)), "u1")
        before = self._before
        if before is not None:
            order = np.argsort(before.keys, kind="stable")
            known, at = _find(before.keys[order], keys)
            old = order[at]
            marks[known] = before.marks[old]
            marks -= marks > 0
            marks[~known, 0] = MARK_LOOKS
            for column, name in enumerate(MARKED[1:], 1):
                changed = np.zeros(len(keys), bool)
                changed[known] = table.base[name][known] != before.table.base[name][old]
                marks[changed, column] = MARK_LOOKS
            self._take_leave(before, old, keys, now)
        self._before = Part(table, keys, since, marks)
        return ViewState((self._before, *self._gone), source, notes, now)

    def _take_leave(self, before: Part, still: npt.NDArray[np.integer], keys: Keys, now: float) -> None:
        """Keep what is gone for as long as it fades."""
        self._gone = [_without(part, keys) for part in self._gone if now - (part.gone_at or now) < self._fade_s]
        missing = np.ones(len(before.keys), bool)
        missing[still] = False
        if missing.any():
            self._gone.append(_part(before, missing, now))


def keys_of(table: SocketTable) -> Keys:
    """What each socket is known again by."""
    cookie = table.column("cookie")
    if cookie.known.all():
        cookies: Keys = cookie.values
        return cookies
    keys = ends_as_keys(table.base)
    listening = table.base["state"] == states.LISTEN
    keys[listening] ^= table.owner_keys[listening].astype("u8") * _MIX
    return keys


def _find(ordered: Keys, keys: Keys) -> tuple[Mask, npt.NDArray[np.intp]]:
    """Which keys are among others that are in order, and where those that are."""
    if not len(ordered):
        return np.zeros(len(keys), bool), np.zeros(0, np.intp)
    at = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    found: Mask = ordered[at] == keys
    return found, at[found]


def _part(part: Part, which: Mask, gone_at: float) -> Part:
    return Part(part.table.select(which), part.keys[which], part.since[which], part.marks[which], gone_at)


def _without(part: Part, keys: Keys) -> Part:
    """Those that have not come back."""
    back = np.isin(part.keys, keys)
    return _part(part, ~back, part.gone_at or 0.0) if back.any() else part
