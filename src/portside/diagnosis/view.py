"""One observation beside those before it, as rules look at it."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from portside.diagnosis import tcp_states
from portside.diagnosis.counters import CounterSeries
from portside.diagnosis.observation import Columns, Limits, Mask, RowNumbers, Values

Numbers = npt.NDArray[np.float64]
MINUTE_S = 60.0
AllThresholds = Mapping[str, Mapping[str, float]]
NO_RULES: AllThresholds = {}


class Baseline:
    """Columns of an earlier observation, and where each socket of this one was in it.

    ``at_ns`` is when it was read. ``rows`` are row numbers in it, for the sockets of ``matched``.
    """

    def __init__(self, at_ns: int, columns: Mapping[str, tuple[Values, Mask]], rows: RowNumbers, matched: Mask) -> None:
        self.at_ns = at_ns
        self._columns = columns
        self._rows = rows
        self._matched = matched

    def growth(self, name: str, values: Values, known: Mask) -> Numbers:
        """How much a counter of each socket grew since then; NaN where it is not known.

        A socket that was not there then has grown from 0. A counter that went down has wrapped, or else not grown.
        """
        earlier, was_known = self._earlier(name)
        grown = values - earlier  # unsigned, and so modulo the width of the counter
        grown[grown > np.iinfo(values.dtype).max // 2] = 0
        return np.where(known & was_known, grown.astype("f8"), np.nan)

    def before(self, name: str) -> Numbers:
        """The value that each socket had then; 0 for one that was not there, NaN where it is not known."""
        earlier, was_known = self._earlier(name)
        return np.where(was_known, earlier.astype("f8"), np.nan)

    def _earlier(self, name: str) -> tuple[Values, Mask]:
        before, before_known = self._columns[name]
        earlier = np.zeros(len(self._rows), before.dtype)
        known = np.ones(len(self._rows), bool)
        if len(before):
            there = self._rows[self._matched]
            earlier[self._matched], known[self._matched] = before[there], before_known[there]
        return earlier, known


class View:
    """The facts that a rule may look at.

    Numbers of sockets are floats, NaN where they are not known, so that no comparison with them is true. ``window_s``
    is how far back growth is measured, 0 in the first observation; ``closed`` are sockets of the same window whose
    attempt to connect failed, None where closed sockets are not announced, and ``lost`` how many announcements of the
    window were lost. ``thresholds`` are those of the rules that look, by code: what one of them says of one end of a
    connection on this machine, another need not say of the other end.
    """

    def __init__(
        self,
        *,
        at_ns: int,
        sockets: Columns,
        counters: CounterSeries,
        limits: Limits,
        first_seen_ns: npt.NDArray[np.int64],
        state_since_ns: npt.NDArray[np.int64],
        window: Baseline | None,
        last: Baseline | None,
        hold: Callable[[str, Mask], npt.NDArray[np.int64]],
        closed: Sequence[tuple[int, Columns]] | None,
        lost: int = 0,
        thresholds: AllThresholds = NO_RULES,
    ) -> None:
        self.at_ns = at_ns
        self.sockets = sockets
        self.limits = limits
        self.window_s = (at_ns - window.at_ns) / 1e9 if window else 0.0
        self.step_s = (at_ns - last.at_ns) / 1e9 if last else 0.0
        self.closed = closed
        self.lost = lost
        self.thresholds = thresholds
        self._counters = counters
        self._window_ns = window.at_ns if window else at_ns
        self._window = window
        self._last = last
        self._first_seen_ns = first_seen_ns
        self._state_since_ns = state_since_ns
        self._hold = hold
        self._numbers: dict[str, Numbers] = {}
        self._columns: dict[str, tuple[Values, Mask]] = {}
        self._held: dict[str, Numbers] = {}
        self._states: dict[tuple[int, ...], Mask] = {}
        self._growths: dict[tuple[str, bool], Numbers] = {}

    def __len__(self) -> int:
        return len(self.sockets)

    # Sockets.

    def column(self, name: str) -> tuple[Values, Mask]:
        """The values of a column and where they are known, decoded once."""
        if name not in self._columns:
            self._columns[name] = self.sockets.column(name)
        return self._columns[name]

    def numbers(self, name: str) -> Numbers:
        """A column as numbers, NaN where they are not known."""
        if name not in self._numbers:
            values, known = self.column(name)
            self._numbers[name] = np.where(known, values.astype("f8"), np.nan)
        return self._numbers[name]

    def is_in(self, *states: int) -> Mask:
        """Which sockets are in one of these states."""
        if states not in self._states:
            table = np.zeros(256, bool)
            table[list(states)] = True
            self._states[states] = table[self.column("state")[0]]
        return self._states[states].copy()

    def growth(self, name: str) -> Numbers:
        """How much a counter of each socket grew within the window; NaN in the first observation."""
        return self._growth(self._window, name, in_window=True)

    def step(self, name: str) -> Numbers:
        """How much a counter of each socket grew since the last observation; NaN in the first."""
        return self._growth(self._last, name, in_window=False)

    def _growth(self, baseline: Baseline | None, name: str, *, in_window: bool) -> Numbers:
        if (name, in_window) not in self._growths:
            unknown = np.full(len(self), np.nan)
            grown = unknown if baseline is None else baseline.growth(name, *self.column(name))
            self._growths[name, in_window] = grown
        return self._growths[name, in_window]

    def held_s(self, name: str, mask: Mask) -> Numbers:
        """For how long a mask has been true for each socket, in seconds, in every observation; -1 where it is not.

        ``name`` identifies the mask, in each observation the same. 0 is a mask that is true for the first time.
        """
        self._held[name] = np.where(mask, (self.at_ns - self._hold(name, mask)) / 1e9, -1.0)
        return self._held[name]

    def keep(self, name: str, numbers: Numbers) -> None:
        """Keep numbers of all sockets under a name for ``held``."""
        self._held[name] = numbers

    def held(self, name: str) -> Numbers:
        """The result of ``held_s`` for this name, or what was kept under it, for describing what was selected by it."""
        return self._held[name]

    @cached_property
    def in_state_s(self) -> Numbers:
        """For how long each socket has been seen in its state, in seconds; it may have been in it before."""
        return (self.at_ns - self._state_since_ns) / 1e9

    @cached_property
    def quiet_s(self) -> Numbers:
        """For how long nothing was sent or acknowledged on a connection, in seconds, as the kernel tells it.

        Where the kernel does not, it is the time for which the socket has been seen in its state.
        """
        last = np.fmin(self.numbers("last_data_sent_ms"), self.numbers("last_ack_recv_ms")) / 1e3
        return np.where(np.isnan(last), self.in_state_s, last)

    @cached_property
    def served(self) -> Mask:
        """Which sockets are those of a server: their port is listened on here, or it is the lower of the two."""
        local, remote = self.column("local_port")[0], self.column("remote_port")[0]
        listening = np.zeros(1 << 16, bool)
        listening[local[self.is_in(tcp_states.LISTEN)]] = True
        either: Mask = listening[local] | (~listening[remote] & (local < remote))
        return either

    def read_bytes(self) -> Numbers:
        """How many bytes each program has read since the last observation; NaN in the first."""
        if self._last is None:
            return np.full(len(self), np.nan)
        return self.step("bytes_received") - (self.numbers("recv_q") - self._last.before("recv_q"))

    def other_ends(self, rows: RowNumbers) -> RowNumbers:
        """The row of the other end of each connection, where that is on this machine too, else -1."""
        ours, theirs = self.end_keys("local", "remote"), self.end_keys("remote", "local")
        order = np.argsort(theirs, kind="stable")
        sorted_keys = theirs[order]
        places = np.searchsorted(sorted_keys, ours[rows])
        places[places == len(sorted_keys)] = 0
        found = order[places] if len(order) else np.zeros(len(rows), "i8")
        return np.where(theirs[found] == ours[rows], found, -1) if len(order) else found - 1

    def end_keys(self, first: str, second: str = "") -> Values:
        """A hash of 64 bits of one end (``local`` or ``remote``) of each socket, or of two in this order."""
        keys = np.zeros(len(self), "u8")
        for side in (first, second) if second else (first,):
            keys = mix(keys, self.column(f"{side}_port")[0].astype("u8"))
            keys = mix_address(keys, self.column(side)[0])
        return keys

    # The machine.

    def counter(self, name: str) -> int | None:
        """How much a counter of the machine grew within the window; None where that is not known."""
        steps = self._counters.steps(name, self._window_ns)
        return sum(steps) if steps else None

    def grown(self, *names: str) -> int:
        """How much counters grew together within the window; those that are not known count nothing."""
        return sum(self.counter(name) or 0 for name in names)

    def looks_ns(self) -> list[int]:
        """The times of the observations, up to this one, for as long as counters are kept."""
        return self._counters.times()

    def rounds(self, *names: str) -> int:
        """In how many observations of the window one of these counters had grown."""
        each = [self._counters.steps(name, self._window_ns) for name in names]
        return max((sum(step > 0 for step in steps) for steps in each), default=0)

    def usual_rate(self, name: str) -> float | None:
        """The mean rate of a counter, a second, over the minute before the window; None where that was not watched."""
        since_ns = self._window_ns - round(MINUTE_S * 1e9)
        span_s = self._counters.span_s(since_ns, self._window_ns)
        steps = self._counters.steps(name, since_ns, self._window_ns)
        return sum(steps) / span_s if steps and span_s >= MINUTE_S * 0.9 else None

    def gauge(self, name: str) -> int | None:
        """The present value of a counter or gauge of the machine; None where it is not known."""
        return self._counters.now(name)


def share(part: Numbers, whole: Numbers) -> Numbers:
    """One column divided by another; NaN where the other is 0 or either is not known."""
    result = np.full(len(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def mix(keys: Values, values: Values) -> Values:
    """Hashes with one more value mixed into each: numbers of 64 bits."""
    keys = (keys ^ values) * np.uint64(0x9E3779B97F4A7C15)
    mixed: Values = keys ^ keys >> np.uint64(29)
    return mixed


def mix_address(keys: Values, addresses: Values) -> Values:
    """Hashes with an address of 16 bytes mixed into each."""
    for word in np.ascontiguousarray(addresses).view("u8").reshape(len(keys), 2).T:
        keys = mix(keys, word)
    return keys


def established(view: View) -> Mask:
    """Which sockets are connections on which both directions are open."""
    return view.is_in(tcp_states.ESTABLISHED)
