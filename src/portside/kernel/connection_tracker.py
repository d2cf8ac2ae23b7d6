"""Events of connections made of snapshots and destroy notifications: opened, changed and closed. No I/O.

A snapshot of the table (polling) shows connections that live, and their owners. A notification of the kernel (destroy)
shows how a connection ended, however short it was. Joined, each connection is opened once and closed once:

1. A socket is known by its cookie, which the kernel gives when somebody first asks for it and never gives twice; where
   the source has none (/proc), by its ends.
2. A connection is opened when a snapshot shows it for the first time, and closed when a notification names it. One
   that a notification names and no snapshot has shown lived between two snapshots: it is opened and closed in one.
3. A connection that two snapshots in a row do not show, and no notification has named, is closed as of the first of
   them: its notification was lost, or its program still holds the descriptor of a connection that was reset. One
   snapshot is not enough, because a dump goes through the kernel's table while that changes. A notification that comes
   later is ignored.
4. Of a connection in TIME_WAIT, and often in FIN_WAIT2, the kernel keeps a stub. The stub has the cookie of the socket
   if that had been asked for before, else one of its own. So where there are notifications, a stub opens nothing: it
   is what remains of a connection whose end was notified, or will be when its program closes it; and so is a socket
   that a dump meets in the middle of its end, in CLOSE. Without notifications both are rows like any other.
5. ``disconnect`` (a refused attempt, SO_LINGER of 0, a listener's queue at its end) makes the kernel forget the remote
   port, the local address and all counts before it sends the notification, and moves a sequence number, so that the
   queues are invented. The ends of such sockets are taken from earlier snapshots; counts and queues are not known.
6. A connection whose handshake was not finished passes its cookie on to the socket that is made of it; but where a
   dump asks for the cookie just then, the two have one each. So an unknown socket
   with the ends of such a handshake is its continuation.
7. The kernel forgets the owners of a socket when its program has closed it, although the connection continues to its
   end. Owners that are no longer known are taken from earlier snapshots.

The caller passes notifications and snapshots in this order: all notifications that came before the snapshot was begun
(``on_destroy``), the snapshot (``on_snapshot``), those that came meanwhile (``on_destroy``), and then ``expire``. All
times are in nanoseconds of one clock that nobody sets: the monotonic one.

    state of a connection     in a snapshot    notified         missing in a snapshot
    not known                 opened           opened, closed   -
    open                      open, changed    closed           missing
    missing                   open, changed    closed           closed (as of the first miss)
    closed without notice     -                forgotten        closed without notice
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from portside.kernel import states
from portside.kernel.decoder import unavailable_inodes
from portside.kernel.inet_diag_types import Rows
from portside.kernel.table import Mask, SocketTable, Unavailable
from portside.kernel.tracked_sockets import Ints, Keys, TrackedSockets, ends_as_keys, keep_owners

Kind = Literal["opened", "changed", "closed", "short"]
Detection = Literal["poll", "destroy"]
Matches = Callable[[SocketTable, npt.NDArray[np.float64]], Mask]
"""Which sockets of a table match the filter; the ages are in seconds, NaN where not known."""

_Floats = npt.NDArray[np.float64]

UNKNOWN = 0
"""The state before, where that is not known."""

_TIMEWAIT_TIMER = 3
_CLOSED_REMEMBERED = 1 << 18
_JIFFY_S = 0.01  # how exactly the kernel tells times, at worst
_NOT_KNOWN_AT_START = 0
FORGOTTEN = "the kernel forgets it of a connection that was refused or aborted"
_NO_OWNERS = "its program had closed it before anybody looked"


class EventBatch(NamedTuple):
    """Events of one kind, a row of ``table`` each. ``short`` is opened and closed in one.

    ``at_ns`` is in nanoseconds of the monotonic clock; ``was`` is the state before, UNKNOWN where it is not known;
    ``duration_s`` is NaN where it is not known.
    """

    kind: Kind
    detected_by: Detection
    table: SocketTable
    at_ns: int
    was: npt.NDArray[np.uint8]
    duration_s: _Floats

    def only(self, which: Mask) -> "list[EventBatch]":
        """The events of a mask, as a list of one batch, or of none where the mask is empty."""
        if not which.any():
            return []
        return [self._replace(table=self.table.select(which), was=self.was[which], duration_s=self.duration_s[which])]


class ConnectionTracker:
    """The connections of one network namespace, followed through snapshots and notifications.

    ``announced``: there are notifications, and tables have cookies. ``opened`` counts the ends of connections that were
    seen to open, reported or not, as the kernel counts them.
    """

    def __init__(self, matches: Matches, *, announced: bool, started_ns: int) -> None:
        self._matches = matches
        self._announced = announced
        self._started_ns = started_ns
        self._known: TrackedSockets | None = None
        self._missing: TrackedSockets | None = None
        self._missing_before: TrackedSockets | None = None
        self._closed: dict[int, None] = {}
        self.opened = 0

    @property
    def known(self) -> TrackedSockets | None:
        """The sockets of the last snapshot, without those that were notified since; None before the first."""
        known = self._known
        return known if known is None or known.alive.all() else known.select(known.alive)

    def on_snapshot(self, table: SocketTable, at_ns: int) -> list[EventBatch]:
        """Take a snapshot that was begun at ``at_ns``: its events. The first one has none."""
        before = self._known
        table, keys = self._ordered(table, before)
        if before is None:
            ages = np.full(len(table), np.nan)
            self._known = TrackedSockets(
                table, keys, np.zeros(len(table), "i8"), self._matches(table, ages), np.ones(len(table), bool), at_ns
            )
            return []
        events: list[EventBatch] = []
        found = before.find_sockets(keys, table.base)
        moved = (found >= 0) & _other_ends(table, before.table, found)
        if moved.any():  # connect, disconnect, connect again: a new connection of the same socket
            old = np.zeros(len(before.keys), bool)
            old[found[moved]] = True
            events += self._close_unseen(before.select(old), at_ns, remember=False)
            before.alive[found[moved]] = False
            found[moved] = -1
        first_ns = np.full(len(table), at_ns)
        was = np.zeros(len(table), "u1")
        reported = np.zeros(len(table), bool)
        new = np.ones(len(table), bool)
        for known, places in self._lookups(before, keys, table.base, found):
            here = places >= 0
            at = places[here]
            new[here] = False
            first_ns[here], was[here], reported[here] = (
                known.first_ns[at],
                known.table.base["state"][at],
                known.reported[at],
            )
            known.alive[at] = False
            table = keep_owners(table, np.flatnonzero(here), known.table, at)
        matching = self._matches(table, _durations(first_ns, at_ns))
        state = table.base["state"]
        self.opened += _count_opened(state, was, new)
        unknown_s = np.full(len(table), np.nan)
        events += EventBatch("opened", "poll", table, at_ns, was, unknown_s).only(new & matching)
        changed = ~new & (was != state)
        events += EventBatch("changed", "poll", table, at_ns, was, unknown_s).only(changed & (matching | reported))
        self._known = TrackedSockets(table, keys, first_ns, reported | matching, np.ones(len(table), bool), at_ns)
        self._missing_before, self._missing = self._missing, replace(before.select(before.alive), at_ns=at_ns)
        return events

    def expire(self) -> list[EventBatch]:
        """Close the connections that two snapshots did not show, once the notifications during the second are in."""
        missing, self._missing_before = self._missing_before, None
        if missing is None or not missing.alive.any():
            return []
        return self._close_unseen(missing.select(missing.alive), missing.at_ns, remember=self._announced)

    def on_destroy(self, table: SocketTable, at_ns: int) -> list[EventBatch]:
        """Take notifications that came at ``at_ns``: their events."""
        keys = table.column("cookie").values
        unseen = np.ones(len(table), bool)
        events: list[EventBatch] = []
        for known in (self._known, self._missing, self._missing_before):
            if known is None:
                continue
            places = known.find_sockets(keys, table.base)
            here = (places >= 0) & unseen
            if here.any():
                unseen &= ~here
                known.alive[places[here]] = False
                events += self._close_announced(table.select(here), known, places[here], at_ns)
        if self._closed:
            for index in np.flatnonzero(unseen).tolist():
                if int(keys[index]) in self._closed:
                    del self._closed[int(keys[index])]
                    unseen[index] = False
        unseen &= table.base["remote"].any(axis=1)  # never connected, or a listener
        if unseen.any():
            events += self._close_unknown(table.select(unseen), at_ns)
        return events

    def _lookups(
        self, before: TrackedSockets, keys: Keys, base: Rows, found: Ints
    ) -> list[tuple[TrackedSockets, Ints]]:
        pairs = [(before, found)]
        if self._missing is not None:
            pairs.append((self._missing, np.where(found < 0, self._missing.find_sockets(keys, base), -1)))
        return pairs

    def _ordered(self, table: SocketTable, before: TrackedSockets | None) -> tuple[SocketTable, Keys]:
        """The rows that count as connections, in the order of their keys, each key once."""
        keys = self._keys(table)
        if self._announced:
            ended = (table.base["timer"] == _TIMEWAIT_TIMER) | (table.base["state"] == states.CLOSE)
            if ended.any():
                keep = ~ended
                rest = np.flatnonzero(ended)
                for known in (before, self._missing):
                    if known is not None:
                        keep[rest[known.find(keys[rest]) >= 0]] = True
                table, keys = table.select(keep), keys[keep]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        again = np.flatnonzero(keys[1:] == keys[:-1])
        if len(again):
            order, keys = np.delete(order, again), np.delete(keys, again)
        return table.select(order), keys

    def _keys(self, table: SocketTable) -> Keys:
        column = table.column("cookie")
        if self._announced or column.known.all():
            cookies: Keys = column.values
            return cookies
        return ends_as_keys(table.base)

    def _close_unseen(self, gone: TrackedSockets, at_ns: int, *, remember: bool) -> list[EventBatch]:
        """Close connections without a notification, with what the last snapshot that showed them knew."""
        if remember:
            # A handshake that was never finished has no notification.
            lasting = gone.table.base["state"] != states.SYN_RECV
            self._closed.update(dict.fromkeys(gone.keys[lasting].tolist()))
            for key in list(islice(self._closed, max(0, len(self._closed) - _CLOSED_REMEMBERED))):
                del self._closed[key]
        was = gone.table.base["state"]
        table = _closed(gone.table)
        duration_s = _durations(gone.first_ns, at_ns)
        matching = gone.reported | self._matches(_with_states(table, was), duration_s)
        return EventBatch("closed", "poll", table, at_ns, was, duration_s).only(matching)

    def _close_announced(
        self, destroyed: SocketTable, known: TrackedSockets, places: Ints, at_ns: int
    ) -> list[EventBatch]:
        """Close connections that a snapshot had shown: the ends are taken from it, the rest from the notification."""
        seen = known.table.select(places)
        was = seen.base["state"]
        self.opened += int(np.count_nonzero(was == states.SYN_RECV))
        destroyed = _without_forgotten(destroyed, was != states.LISTEN)
        base = destroyed.base.copy()
        for name in ("family", "local", "remote", "local_port", "remote_port", "interface", "inode", "uid"):
            base[name] = seen.base[name]
        table = replace(
            destroyed,
            base=base,
            unavailable=(*unavailable_inodes(base), *(gap for gap in destroyed.unavailable if gap.reason == FORGOTTEN)),
            owners=seen.owners,
            hidden_owners=seen.hidden_owners,
            no_owners=seen.no_owners,
            interfaces=seen.interfaces,
        )
        measured, lived = _one_way_durations(destroyed), _durations(known.first_ns[places], at_ns)
        watched_s = (at_ns - self._started_ns) / 1e9 + _JIFFY_S
        too_long = ~np.isnan(lived) & (measured > watched_s)  # not there at the start, so that clock is not its own
        duration_s = np.where(np.isnan(measured) | too_long, lived, measured)
        matching = known.reported[places] | self._matches(_with_states(table, was), duration_s)
        return EventBatch("closed", "destroy", table, at_ns, was, duration_s).only(matching)

    def _close_unknown(self, destroyed: SocketTable, at_ns: int) -> list[EventBatch]:
        """Open and close connections that no snapshot has shown; those older than this run are only closed."""
        old = _at_least_s(destroyed) > (at_ns - self._started_ns) / 1e9 + _JIFFY_S
        self.opened += int(np.count_nonzero(~old))
        destroyed = replace(_without_forgotten(destroyed, np.ones(len(destroyed), bool)), no_owners=_NO_OWNERS)
        duration_s = _one_way_durations(destroyed)
        # What has a round-trip time was established; for a filter that asks, that was its state.
        answered = destroyed.column("rtt_us").known
        lived = np.where(answered, states.ESTABLISHED, states.SYN_SENT).astype("u1")
        matching = self._matches(_with_states(destroyed, lived), duration_s)
        was = np.zeros(len(destroyed), "u1")
        closed = EventBatch("closed", "destroy", destroyed, at_ns, was, duration_s)
        return [*closed._replace(kind="short").only(~old & matching), *closed.only(old & matching)]


def forgotten(table: SocketTable) -> Mask:
    """Which destroyed sockets were disconnected before, so that the kernel has forgotten their ends and counts."""
    base = table.base
    disconnected: Mask = (base["state"] == states.CLOSE) & (base["remote_port"] == 0)
    return disconnected


def _without_forgotten(destroyed: SocketTable, connections: Mask) -> SocketTable:
    """Notifications, those of disconnected sockets without their counts, which are 0 and mean nothing.

    Queues are differences of sequence numbers, one of which ``tcp_disconnect`` moves; those of what is no connection,
    but a listener, are simply empty.
    """
    wiped = forgotten(destroyed)
    if not wiped.any():
        return destroyed
    queues = Unavailable(("recv_q", "send_q"), wiped & connections, FORGOTTEN)
    return replace(
        destroyed,
        layout=np.where(wiped, -1, destroyed.layout).astype("i4"),
        unavailable=(*destroyed.unavailable, queues),
    )


def _closed(table: SocketTable) -> SocketTable:
    return _with_states(table, np.full(len(table), states.CLOSE, "u1"))


def _with_states(table: SocketTable, state: npt.NDArray[np.uint8]) -> SocketTable:
    base = table.base.copy()
    base["state"] = state
    return replace(table, base=base)


def _durations(first_ns: Ints, at_ns: int) -> _Floats:
    """Seconds since each was first seen; NaN where it was there before."""
    return np.where(first_ns == _NOT_KNOWN_AT_START, np.nan, np.maximum(at_ns - first_ns, 0) / 1e9)


def _one_way_durations(destroyed: SocketTable) -> _Floats:
    """How long connections lived on which data went one way only, or none; NaN for others.

    The kernel's clocks of the last data sent and received start when the connection is established
    (tcp_finish_connect, tcp_create_openreq_child), and stay there until data moves.
    """
    answered = destroyed.column("rtt_us").known
    started = _receiving_started(destroyed)
    duration_s = np.full(len(destroyed), np.nan)
    for count, clock in (("data_segs_out", "last_data_sent_ms"), ("data_segs_in", "last_data_recv_ms")):
        column, since = destroyed.column(count), destroyed.column(clock)
        unmoved = answered & column.known & since.known & (column.values == 0)
        if clock == "last_data_recv_ms":
            unmoved &= started
        duration_s[unmoved] = since.values[unmoved] / 1000
    return duration_s


def _receiving_started(destroyed: SocketTable) -> Mask:
    """Where the clock of the last data received runs.

    Where both ends opened at once (RFC 9293, section 3.5), as one does that connects to itself, the kernel does not
    start it, and it counts from the machine's own start. While no data has moved, it has to agree with the clock of
    the last data sent, which is started always.
    """
    received, sent = destroyed.column("data_segs_in").values, destroyed.column("data_segs_out").values
    apart_ms = destroyed.column("last_data_recv_ms").values.astype("i8") - destroyed.column("last_data_sent_ms").values
    started: Mask = (received > 0) | (sent > 0) | (apart_ms <= _JIFFY_S * 1000)
    return started


def _at_least_s(destroyed: SocketTable) -> _Floats:
    """How long connections lived at least; 0 where nothing is known."""
    at_least = np.zeros(len(destroyed))
    answered = destroyed.column("rtt_us").known & ~forgotten(destroyed)
    for clock in ("last_data_sent_ms", "last_data_recv_ms", "last_ack_recv_ms"):
        since = destroyed.column(clock)
        runs = answered & since.known
        if clock == "last_data_recv_ms":
            runs &= _receiving_started(destroyed)
        at_least = np.where(runs, np.maximum(at_least, since.values / 1000), at_least)
    return at_least


def _count_opened(state: npt.NDArray[np.uint8], was: npt.NDArray[np.uint8], new: Mask) -> int:
    """How many ends the kernel has counted as opened: not listeners, and not before their handshake is finished."""
    counted = (state != states.LISTEN) & (state != states.SYN_RECV)
    return int(np.count_nonzero(counted & (new | (was == states.SYN_RECV))))


def _other_ends(table: SocketTable, before: SocketTable, places: Ints) -> Mask:
    """Which sockets have other ports than in the snapshot before."""
    base, old = table.base, before.base
    if not len(old):
        return np.zeros(len(base), bool)
    other = np.zeros(len(base), bool)
    for port in ("local_port", "remote_port"):
        other |= base[port] != old[port][places]
    return other
