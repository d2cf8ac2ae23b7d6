"""The kernel's facts about a server's own sockets: one dump of its local ports, joined to connections by inode.

A descriptor's inode (fstat) is that of its socket in the dump, so that the join holds where a PROXY header or a fault
stands before the connection. The kernel filters the dump by port (bytecode). Everything here blocks, and is used on one
thread at a time; ``connection_watch`` has the thread.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from portside.errors import PortsideError
from portside.kernel import states
from portside.kernel.backend import DumpRequest, request_of
from portside.kernel.backends import OpenBackend, open_backend
from portside.kernel.filter.tree import And, Filter, Or, PortIn, Side, StateIn
from portside.kernel.inet_diag import IPV4, IPV6
from portside.kernel.inet_diag_types import Rows
from portside.kernel.owners import OwnerFinder
from portside.kernel.table import SocketTable
from portside.kernel.tracked_sockets import Keys, ends_as_keys

Places = npt.NDArray[np.int64]
"""For each of some rows its place in another table, -1 where it has none."""

_WITH_A_PROGRAM = StateIn(states.ALL & ~(1 << states.TIME_WAIT | 1 << states.SYN_RECV))


class SocketFacts(NamedTuple):
    """The sockets of one dump, in ascending order of their inodes.

    ``read_at`` is in seconds of the loop's clock, ``took_s`` how long the dump took. ``gap`` says why there is none.
    """

    table: SocketTable | None
    inodes: npt.NDArray[np.int64]
    read_at: float
    took_s: float
    gap: str = ""

    def places(self, inodes: npt.NDArray[np.int64]) -> Places:
        """The place of each inode in the table."""
        return find_places(self.inodes, inodes)


NO_FACTS = SocketFacts(None, np.zeros(0, "i8"), 0.0, 0.0, "not read yet")


def own_facts(
    table: SocketTable, own: npt.NDArray[np.int64], most_others: int, *, read_at: float, took_s: float
) -> SocketFacts:
    """The facts of a dump. Of more than so many sockets that are not among the server's ``own`` (inodes), and that
    listen on nothing, none are kept: they are other processes' with which the server shares its port.
    """
    inodes = table.base["inode"].astype("i8")
    if len(inodes) > len(own) + most_others:
        kept = np.flatnonzero(np.isin(inodes, own) | (table.base["state"] == states.LISTEN))
    else:
        kept = np.arange(len(inodes))
    order = kept[np.argsort(inodes[kept], kind="stable")]
    return SocketFacts(table.select(order), inodes[order], read_at, took_s)


def find_places(ascending: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> Places:
    """The place of each wanted number among numbers in ascending order; 0 is never found."""
    if not len(ascending):
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where((ascending[at] == wanted) & (wanted != 0), at, -1)


class KernelReader:
    """Reads the sockets whose local port is one of ``ports``, and those at the other end of their connections."""

    def __init__(self, ports: frozenset[int]) -> None:
        self._ports = ports
        self._opened: OpenBackend | None = None
        self._own = _request("local", ports)
        self._peers = _request("remote", ports)
        self._peer_owners = OwnerFinder(commands=True)
        self._pair_owners = OwnerFinder(commands=True)  # of its own: the same pair is asked for again and again

    def read(self) -> SocketTable | None:
        """The sockets of the ports, connections and listeners; None where there is no port.

        Raises PortsideError where no backend works.
        """
        return self._read(self._own) if self._ports else None

    def read_peers(self) -> SocketTable | None:
        """The other ends of the connections that are on this machine, in this network namespace, with their owners."""
        if not self._ports:
            return None
        table = self._read(self._peers)
        return with_owners(table, self._peer_owners)

    def read_pair(self, local_port: int, remote_port: int) -> SocketTable:
        """The sockets between two ports, in either direction, with their owners."""
        ends: tuple[tuple[Side, Side], ...] = (("local", "remote"), ("remote", "local"))
        pairs = [And((_port(one, local_port), _port(other, remote_port))) for one, other in ends]
        chosen = And((Or(tuple(pairs)), _WITH_A_PROGRAM))
        return with_owners(self._read(request_of(chosen, (4, 6), details=True, commands=True)), self._pair_owners)

    def _read(self, request: DumpRequest) -> SocketTable:
        if self._opened is None:
            self._opened = open_backend(request)
            table = self._opened.dump.table
        else:
            try:
                table = self._opened.backend.read(request).table
            except PortsideError:
                self.close()
                raise
        return table

    def close(self) -> None:
        """Close the backend."""
        if self._opened is not None:
            self._opened.backend.close()
            self._opened = None


def with_owners(table: SocketTable, finder: OwnerFinder) -> SocketTable:
    """A table with the processes that hold its sockets."""
    if table.owners is not None:
        return table
    cookie = table.column("cookie")
    found = finder.find(table.base["inode"].tolist(), cookie.values.tolist() if cookie.known.all() else None)
    return table.with_owners(found, finder.hidden, finder.no_commands)


def peer_places(own: SocketTable, others: SocketTable) -> Places:
    """For each socket the place of the socket at its other end."""
    keys = _end_keys(others.base)
    order = np.argsort(keys, kind="stable")
    ascending, wanted = keys[order], _end_keys(_turned(own.base))
    if not len(ascending):
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[at] == wanted, order[at], -1)


def _turned(base: Rows) -> Rows:
    turned = base.copy()
    for here, there in (("local", "remote"), ("local_port", "remote_port")):
        turned[here], turned[there] = base[there], base[here]
    return turned


def _end_keys(base: Rows) -> Keys:
    """A hash of both ends, the same for an IPv4 address and for that address mapped into IPv6."""
    alike = base.copy()
    plain = base["family"] == IPV4
    for side in ("local", "remote"):
        alike[side][plain] = 0
        alike[side][plain, 10:12] = 0xFF
        alike[side][plain, 12:] = base[side][plain, :4]
    alike["family"] = IPV6
    return ends_as_keys(alike)


def _port(side: Side, port: int) -> PortIn:
    return PortIn(side, port, port)


def _request(side: Side, ports: frozenset[int]) -> DumpRequest:
    chosen: Filter = And((Or(tuple(_port(side, port) for port in sorted(ports))), _WITH_A_PROGRAM))
    return request_of(chosen, (4, 6), details=True, commands=True)
