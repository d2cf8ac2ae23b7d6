"""The series of observations: what is kept of each to compare later ones with, in bounded memory.

1. A socket is recognized by its cookie, which the kernel never gives twice; where there is no cookie, by its two ends.
   So a descriptor, an inode or a port that is used again is another socket.
2. Kept are the growing columns of two earlier observations: the last one, and one up to ``window_s`` ago, from which
   rates are measured. It is replaced after half of that time, so that a window is between a half and the whole.
3. Since when a socket is there, in its state, or has a condition (``View.held_s``) is carried on from row to row.
4. At 100,000 sockets each observation that is kept takes some 15 MB; of closed sockets at most 20,000 are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from portside.diagnosis.counters import CounterSeries
from portside.diagnosis.observation import Columns, Mask, Observation, RowNumbers, Values
from portside.diagnosis.view import MINUTE_S, NO_RULES, AllThresholds, Baseline, View, mix, mix_address

WINDOW_S = 10.0
GROWING = (
    "bytes_sent", "bytes_received", "bytes_acked", "bytes_retrans", "data_segs_out", "data_segs_in", "retrans_total",
    "busy_us", "rwnd_limited_us", "sndbuf_limited_us", "dsack_dups", "reord_seen", "rcv_ooopack", "total_rto", "drops",
    "recv_q",
)  # fmt: skip
"""The columns of which growth can be asked for."""
_MOST_CLOSED = 20_000

_Times = npt.NDArray[np.int64]


@dataclass(slots=True, eq=False)
class _Kept:
    """The kept part of one observation: keys in ascending order, the row of each, and columns by row.

    ``holds`` has since when each mask has been true, by row; -1 where it is not.
    """

    at_ns: int
    keys: Values
    order: RowNumbers
    columns: Mapping[str, tuple[Values, Mask]]
    state: Values
    first_seen_ns: _Times
    state_since_ns: _Times
    holds: dict[str, _Times] = field(default_factory=dict)

    def find(self, keys: Values) -> tuple[RowNumbers, Mask]:
        """The rows that sockets had in this observation, and which of them were there."""
        if not len(self.keys):
            return np.zeros(len(keys), "i8"), np.zeros(len(keys), bool)
        places = np.searchsorted(self.keys, keys)
        places[places == len(self.keys)] = 0
        return self.order[places], self.keys[places] == keys


class Series:
    """Observations of one machine or network namespace, one after the other, for rules with these ``thresholds``."""

    def __init__(self, window_s: float = WINDOW_S, thresholds: AllThresholds = NO_RULES) -> None:
        self._thresholds = thresholds
        self._window_ns = round(window_s * 1e9)
        self._counters = CounterSeries(window_s + MINUTE_S + 2)
        self._last: _Kept | None = None
        self._older: _Kept | None = None
        self._newer: _Kept | None = None
        self._closed: list[tuple[int, Columns]] = []
        self._lost: list[tuple[int, int]] = []

    def observe(self, seen: Observation) -> View:
        """Take in an observation: the view of it beside those before."""
        sockets, last = seen.sockets, self._last
        keys = _keys(sockets)
        state = sockets.column("state")[0]
        first_seen_ns = np.full(len(sockets), seen.at_ns)
        state_since_ns = first_seen_ns.copy()
        rows, matched = np.zeros(len(sockets), "i8"), np.zeros(len(sockets), bool)
        if last is not None:
            rows, matched = last.find(keys)
            first_seen_ns[matched] = last.first_seen_ns[rows[matched]]
            same = matched.copy()
            same[matched] = last.state[rows[matched]] == state[matched]
            state_since_ns[same] = last.state_since_ns[rows[same]]
        order = np.argsort(keys, kind="stable")
        columns = {name: sockets.column(name) for name in GROWING}
        kept = _Kept(seen.at_ns, keys[order], order, columns, state, first_seen_ns, state_since_ns)

        def hold(name: str, mask: Mask) -> _Times:
            since = np.where(mask, seen.at_ns, -1)
            before = last.holds.get(name) if last is not None else None
            if before is not None:
                held = matched & mask
                held[held] = before[rows[held]] >= 0
                since[held] = before[rows[held]]
            kept.holds[name] = since
            return since

        self._counters.add(seen.at_ns, seen.counters)
        view = View(
            at_ns=seen.at_ns,
            sockets=sockets,
            counters=self._counters,
            limits=seen.limits,
            first_seen_ns=first_seen_ns,
            state_since_ns=state_since_ns,
            window=self._baseline(self._older, keys),
            last=Baseline(last.at_ns, last.columns, rows, matched) if last is not None else None,
            hold=hold,
            closed=self._with_closed(seen.at_ns, seen.closed),
            lost=self._lost_until(seen.at_ns, seen.lost),
            thresholds=self._thresholds,
        )
        self._advance(kept)
        return view

    def _baseline(self, kept: _Kept | None, keys: Values) -> Baseline | None:
        return Baseline(kept.at_ns, kept.columns, *kept.find(keys)) if kept is not None else None

    def _advance(self, kept: _Kept) -> None:
        """Keep an observation, and replace the beginning of the window when half of it is over."""
        self._last = kept
        if self._older is None or self._newer is None:
            self._older = self._newer = kept
        elif kept.at_ns - self._newer.at_ns >= self._window_ns // 2:
            self._older, self._newer = self._newer, kept

    def _with_closed(self, at_ns: int, closed: Sequence[Columns] | None) -> Sequence[tuple[int, Columns]] | None:
        """The sockets of attempts to connect that failed within the window."""
        if closed is None:
            return None
        self._closed += [(at_ns, failed) for each in closed if len(failed := refused_attempts(each))]
        self._closed = [each for each in self._closed if each[0] > at_ns - self._window_ns]
        while sum(len(columns) for _, columns in self._closed) > _MOST_CLOSED and len(self._closed) > 1:
            self._closed.pop(0)
        return self._closed

    def _lost_until(self, at_ns: int, lost: int) -> int:
        """How many announcements of closed sockets were lost within the window."""
        self._lost += [(at_ns, lost)] if lost else []
        self._lost = [each for each in self._lost if each[0] > at_ns - self._window_ns]
        return sum(count for _, count in self._lost)


def refused_attempts(closed: Columns) -> Columns:
    """Those of closed sockets that were to be connected and got an error instead, such as a reset.

    They never had a window of their peer. A connect(2) that waits resets the socket when it fails, and its remote port
    and counts with it; one that does not wait leaves them, and its socket has got a segment.
    """
    window, known = closed.column("snd_wnd")
    unconnected = known & (window == 0)
    for name in ("bytes_acked", "bytes_received"):
        unconnected &= closed.column(name)[0] == 0
    answered = (closed.column("segs_in")[0] > 0) | (closed.column("remote_port")[0] == 0)
    aimed = closed.column("remote")[0][:, 12:].any(axis=1)  # [::] and 0.0.0.0: connect(2) was never called
    return closed.select(unconnected & answered & aimed)


def _keys(sockets: Columns) -> Values:
    """The identity of each socket."""
    cookies, known = sockets.column("cookie")
    keys = cookies.astype("u8")
    if known.all():
        return keys
    ends = np.zeros(len(sockets), "u8")
    for side in ("local", "remote"):
        ends = mix(mix_address(ends, sockets.column(side)[0]), sockets.column(f"{side}_port")[0].astype("u8"))
    return np.where(known, keys, ends)
