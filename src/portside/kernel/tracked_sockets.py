"""The sockets of one snapshot, kept to compare with the next, and the keys that identify a socket across snapshots."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from portside.kernel import states
from portside.kernel.inet_diag_types import Rows
from portside.kernel.membership import are_in
from portside.kernel.table import Mask, OwnersByKey, SocketTable, Values

Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

_LEFT = (states.FIN_WAIT1, states.FIN_WAIT2, states.TIME_WAIT, states.CLOSE, states.LAST_ACK, states.CLOSING)
"""States in which a connection may be whose program has closed it."""


@dataclass(slots=True, eq=False)
class TrackedSockets:
    """The connections of one snapshot, taken at ``at_ns`` (ns of the monotonic clock).

    ``keys`` are in ascending order. ``first_ns`` is when each was first seen, 0 for those that were there at the start.
    ``reported``: an event of the connection was shown. ``alive``: the connection is neither closed nor seen again.
    """

    table: SocketTable
    keys: Keys
    first_ns: Ints
    reported: Mask
    alive: Mask
    at_ns: int

    def find(self, keys: Keys) -> Ints:
        """The place of each key, -1 where it is missing or no longer alive."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where((self.keys[at] == keys) & self.alive[at], at, -1)

    def find_sockets(self, keys: Keys, base: Rows) -> Ints:
        """The place of each socket: by its key, else by the ends of a handshake that is not finished, else -1."""
        places = self.find(keys)
        handshakes = self.alive & (self.table.base["state"] == states.SYN_RECV)
        handshakes[places[places >= 0]] = False
        if handshakes.any():
            of_ends = ends_as_keys(self.table.base[handshakes]).tolist()
            by_ends = dict(zip(of_ends, np.flatnonzero(handshakes).tolist(), strict=True))
            rest = np.flatnonzero(places < 0)
            places[rest] = [by_ends.pop(ends, -1) for ends in ends_as_keys(base[rest]).tolist()]
        return places

    def select(self, which: Mask) -> "TrackedSockets":
        """The connections of a mask."""
        return TrackedSockets(
            self.table.select(which),
            self.keys[which],
            self.first_ns[which],
            self.reported[which],
            self.alive[which],
            self.at_ns,
        )


def keep_owners(table: SocketTable, rows: Ints, before: SocketTable, places: Ints) -> SocketTable:
    """A table whose ``rows`` have the owners that they had in ``before`` at ``places``, where they have none any more.

    The kernel forgets inode and user of a socket as soon as its program has closed it, while the connection continues
    to its end; and a program that closes it between the dump and the reading of its descriptors is not found.
    """
    now, then = table.owner_keys[rows], before.owner_keys[places]
    if table.owners is None or before.owners is None:
        lost = (now == 0) & (then != 0)
    else:
        lost = _are_in(then, before.owners) & ~_are_in(now, table.owners)
    lost &= (now == then) | np.isin(table.base["state"][rows], _LEFT)
    if not lost.any():
        return table
    rows, places = rows[lost], places[lost]
    base = table.base.copy()
    for name in ("inode", "uid"):
        base[name][rows] = before.base[name][places]
    own_owner_keys = None if table.own_owner_keys is None else table.own_owner_keys.copy()
    if own_owner_keys is not None:
        own_owner_keys[rows] = before.owner_keys[places]
    elsewhere = np.ones(len(table), bool)
    elsewhere[rows] = False
    unavailable = tuple(
        gap._replace(where=gap.where & elsewhere)
        if gap.where is not None and gap.columns in (("inode",), ("uid",))
        else gap
        for gap in table.unavailable
    )
    owners = table.owners
    if owners is not None and before.owners is not None:
        owners = {**{holder: before.owners[holder] for holder in before.owner_keys[places].tolist()}, **owners}
    return replace(table, base=base, own_owner_keys=own_owner_keys, unavailable=unavailable, owners=owners)


def _are_in(owner_keys: Values, owners: OwnersByKey) -> Mask:
    return are_in(owner_keys, np.fromiter(owners, "i8", len(owners)))


def ends_as_keys(base: Rows) -> Keys:
    """A hash of 64 bits of the two ends of each socket. Equal ends have equal hashes."""
    keys = base["family"].astype("u8") << np.uint64(32) | base["local_port"].astype("u8") << np.uint64(16)
    keys |= base["remote_port"].astype("u8")
    for side in ("local", "remote"):
        for word in np.ascontiguousarray(base[side]).view("u8").reshape(len(base), 2).T:
            keys = (keys ^ word) * np.uint64(0x9E3779B97F4A7C15)
            keys ^= keys >> np.uint64(29)
    return keys
