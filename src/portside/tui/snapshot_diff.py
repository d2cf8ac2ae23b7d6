"""Differences from one snapshot of the sockets to the next: new, changed and closed sockets.

No I/O, and no clock: the time comes in as an argument.

A socket is identified by its cookie, which the kernel never reuses; if the source has no cookies, by its two endpoints
(and its owner key, because several listeners may share an endpoint).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from portside.app.column_text import TextsOf, WatchedSockets
from portside.kernel import states
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket
from portside.kernel.table import Mask, SocketTable
from portside.kernel.tracked_sockets import Keys, ends_as_keys
from portside.tui.finding_marks import NOTHING_FOUND, FindingMarks

Times = npt.NDArray[np.float64]
Marks = npt.NDArray[np.uint8]
RowNumbers = npt.NDArray[np.intp]

MARKED = ("new", "state", "recv_q", "send_q")
"""The columns that are marked when they change, each with the number of polls for which it stays marked."""

MARK_LOOKS = 3
FADE_S = 4.0

_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no two products are equal


class TableSection(NamedTuple):
    """Sockets of one table. ``gone_at`` is when they were first missing; None for sockets that are still present.

    ``since`` is the time at which each was first seen, and ``marks`` has a column for each of ``MARKED``.
    """

    table: SocketTable
    keys: Keys
    since: Times
    marks: Marks
    gone_at: float | None = None

    def watched(self, now: float) -> WatchedSockets:
        """The sockets with their ages."""
        return WatchedSockets(self.table, now - self.since)


class SocketRow(NamedTuple):
    """A socket as a row of the display: row ``place`` of a section at the time ``at``."""

    section: TableSection
    place: int
    at: float

    @property
    def socket(self) -> Socket:
        """The socket as a value."""
        return next(to_sockets(self.section.table.select(np.array([self.place]))))

    @property
    def key(self) -> int:
        """The number by which the socket is recognised."""
        return int(self.section.keys[self.place])

    @property
    def age_s(self) -> float:
        """How long the socket has been seen, in seconds."""
        return self.at - float(self.section.since[self.place])

    @property
    def gone_s(self) -> float | None:
        """How long the socket has been gone, in seconds; None while it is there."""
        return None if self.section.gone_at is None else self.at - self.section.gone_at

    @property
    def marked(self) -> frozenset[str]:
        """Which of ``MARKED`` are marked."""
        left = self.section.marks[self.place].tolist()
        return frozenset(name for name, looks in zip(MARKED, left, strict=True) if looks)


class ViewState:
    """The sockets that the display shows after a snapshot: the present ones, then those that have gone and are fading.

    A row is a number over all sections, in their order. ``findings`` are those of a display that looks for any.
    """

    findings: FindingMarks = NOTHING_FOUND

    def __init__(self, sections: tuple[TableSection, ...], source: str, notes: tuple[str, ...], at: float) -> None:
        self.sections = sections
        self.source = source
        self.notes = notes
        self.at = at
        self.keys: Keys = np.concatenate([section.keys for section in sections])
        self._starts = np.cumsum([0, *(len(section.keys) for section in sections)])

    @property
    def live(self) -> TableSection:
        """The sockets that are there."""
        return self.sections[0]

    def counts(self) -> dict[str, int]:
        """How many sockets are in each state, the most first."""
        found = np.bincount(self.live.table.base["state"], minlength=1)
        names: dict[str, int] = {}
        for state in np.flatnonzero(found).tolist():
            name = states.name_of(state)
            names[name] = names.get(name, 0) + int(found[state])
        return dict(sorted(names.items(), key=lambda item: -item[1]))

    def rows(self, numbers: RowNumbers) -> list[SocketRow]:
        """The rows of these numbers, in their order."""
        sections = (np.searchsorted(self._starts, numbers, side="right") - 1).tolist()
        return [
            SocketRow(self.sections[section], int(number - self._starts[section]), self.at)
            for section, number in zip(sections, numbers, strict=True)
        ]

    def texts(self, numbers: RowNumbers, columns: Sequence[TextsOf]) -> list[list[str]]:
        """The text of some rows, a list for each column, in the order of the rows."""
        texts = [[""] * len(numbers) for _ in columns]
        for section, start in zip(self.sections, self._starts.tolist(), strict=False):
            places = np.flatnonzero((numbers >= start) & (numbers < start + len(section.keys)))
            if not len(places):
                continue
            here = numbers[places] - start
            watched = WatchedSockets(section.table.select(here), self.at - section.since[here])
            for column, texts_of in zip(texts, columns, strict=True):
                for place, text in zip(places.tolist(), texts_of(watched), strict=True):
                    column[place] = text
        return texts

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
        self._before: TableSection | None = None
        self._gone: list[TableSection] = []

    def restart(self) -> None:
        """React to another filter: differences in the next table are not changes of sockets."""
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

    def compare(self, table: SocketTable, source: str, notes: tuple[str, ...], now: float) -> ViewState:
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
            self._keep_gone(before, old, keys, now)
        self._before = TableSection(table, keys, since, marks)
        return ViewState((self._before, *self._gone), source, notes, now)

    def _keep_gone(self, before: TableSection, still: npt.NDArray[np.integer], keys: Keys, now: float) -> None:
        """Keep what is gone for as long as it fades."""
        self._gone = [
            _without(section, keys) for section in self._gone if now - (section.gone_at or now) < self._fade_s
        ]
        missing = np.ones(len(before.keys), bool)
        missing[still] = False
        if missing.any():
            self._gone.append(_section(before, missing, now))


def keys_of(table: SocketTable) -> Keys:
    """The key by which each socket is recognised in the next snapshot."""
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


def _section(section: TableSection, which: Mask, gone_at: float) -> TableSection:
    return TableSection(
        section.table.select(which), section.keys[which], section.since[which], section.marks[which], gone_at
    )


def _without(section: TableSection, keys: Keys) -> TableSection:
    """Those that have not come back."""
    back = np.isin(section.keys, keys)
    return _section(section, ~back, section.gone_at or 0.0) if back.any() else section
