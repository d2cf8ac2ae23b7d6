"""The ends and the inode of each connection as numpy rows: read once for each connection, as they never change."""

import os
import socket
import threading
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from portside.kernel.filter.tree import Side
from portside.kernel.inet_diag import IPV4, IPV6
from portside.kernel.inet_diag_types import BASE, Rows
from portside.server.connection import ConnectionInfo

_OTHER_FAMILY = 0  # of a unix socket, which has neither address nor port


class ConnectionLike(Protocol):
    """The source of two ends: a connection, open or closed."""

    @property
    def number(self) -> int: ...
    @property
    def info(self) -> ConnectionInfo: ...
    @property
    def fd(self) -> int: ...


class _End(NamedTuple):
    """One end: an address of 4 or 16 bytes, none where it is no address of IP."""

    family: int
    address: bytes
    port: int


class Ends(NamedTuple):
    """For each of some connections: number, addresses and ports as they are shown, and inode (0 where none is known).

    ``local`` and ``remote`` have the columns of the socket table; of them only that end and its family are set. The
    families may differ, since a PROXY header may name an IPv6 client of an IPv4 listener.
    """

    numbers: npt.NDArray[np.int64]
    local: Rows
    remote: Rows
    inodes: npt.NDArray[np.int64]


def no_ends(count: int = 0) -> Ends:
    """Rows in which nothing is set."""
    return Ends(np.zeros(count, "i8"), np.zeros(count, BASE), np.zeros(count, BASE), np.zeros(count, "i8"))


class EndsIndex:
    """Remembers the ends of the connections of the last call; may be called from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known = no_ends()
        self._places: dict[str, _End] = {}

    def of(self, connections: Sequence[ConnectionLike]) -> Ends:
        """The ends of some connections, in their order."""
        numbers = np.fromiter((each.number for each in connections), "i8", len(connections))
        with self._lock:
            known = self._known
            if len(known.numbers) == len(numbers) and (known.numbers == numbers).all():
                return known
            order = np.argsort(known.numbers, kind="stable")
            ends = no_ends(len(numbers))
            ends.numbers[:] = numbers
            new = np.arange(len(numbers))
            if len(order):
                ascending = known.numbers[order]
                at = np.minimum(np.searchsorted(ascending, numbers), len(ascending) - 1)
                found = ascending[at] == numbers
                for mine, theirs in zip(ends[1:], known[1:], strict=True):
                    mine[found] = theirs[order[at[found]]]
                new = np.flatnonzero(~found)
            self._fill(ends, new.tolist(), connections)
            self._known = ends
            return ends

    def _fill(self, ends: Ends, places: list[int], connections: Sequence[ConnectionLike]) -> None:
        infos = [connections[place].info for place in places]
        ends.local[places] = _rows("local", [self._local(info.local) for info in infos])
        ends.remote[places] = _rows("remote", [_end(info.peer) for info in infos])
        ends.inodes[places] = [_inode(connections[place]) for place in places]

    def _local(self, text: str) -> _End:
        """An end of this side, of which there are few."""
        if text not in self._places:
            if len(self._places) > 1000:
                self._places.clear()
            self._places[text] = _end(text)
        return self._places[text]


def _rows(side: Side, ends: list[_End]) -> Rows:
    """Ends as rows with the columns of a side."""
    rows = np.zeros(len(ends), BASE)
    rows["family"] = [end.family for end in ends]
    rows[side] = np.frombuffer(b"".join(end.address.ljust(16, b"\0") for end in ends), "u1").reshape(-1, 16)
    rows[f"{side}_port"] = [end.port for end in ends]
    return rows


def _end(text: str) -> _End:
    """Reads an end as it is shown."""
    host, _, port = text.rpartition(":")
    try:
        if host.startswith("["):
            return _End(IPV6, socket.inet_pton(socket.AF_INET6, host[1:-1].partition("%")[0]), int(port))
        return _End(IPV4, socket.inet_pton(socket.AF_INET, host), int(port))
    except (OSError, ValueError):
        return _End(_OTHER_FAMILY, b"", 0)


def numbers_with(ends: Ends, inodes: Sequence[npt.NDArray[np.int64]]) -> list[npt.NDArray[np.int64]]:
    """For each of some sets of inodes the numbers of the connections that have one of them, in ascending order."""
    if not inodes:
        return []
    order = np.argsort(ends.inodes, kind="stable")
    order = order[ends.inodes[order] != 0]
    ascending = ends.inodes[order]
    wanted = np.concatenate(inodes)
    at = np.searchsorted(ascending, wanted)
    at[at == len(ascending)] = 0
    found = ascending[at] == wanted if len(ascending) else np.zeros(len(wanted), bool)
    borders = np.cumsum([len(each) for each in inodes])[:-1]
    return [
        np.sort(ends.numbers[order[places[is_there]]])
        for places, is_there in zip(np.split(at, borders), np.split(found, borders), strict=True)
    ]


def _inode(connection: ConnectionLike) -> int:
    """The inode of a connection's socket; 0 where it has ended."""
    fd = connection.fd
    if fd < 0:
        return 0
    try:
        inode = os.fstat(fd).st_ino
    except OSError:
        return 0
    return inode if connection.fd == fd else 0  # else the number may be another socket's already
