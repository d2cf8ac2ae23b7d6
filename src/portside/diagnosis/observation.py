"""What a diagnosis is given: the socket table, closed sockets, counters and limits at one moment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[Any]
RowNumbers = npt.NDArray[np.int64]


class Columns(Protocol):
    """Sockets as columns, by the names of the kernel's socket table (``kernel/column_names.py``).

    Beside those there are ``local`` and ``remote``: addresses of 16 bytes, those of IPv4 mapped into IPv6 (RFC 4291,
    section 2.5.5.2), so that the two ends of a connection have the same form. They, the ports and the state are known
    for every socket.
    """

    def __len__(self) -> int:
        """The number of sockets."""

    def column(self, name: str) -> tuple[Values, Mask]:
        """The values of a column, and where they are known. Raises KeyError."""

    def missing(self, name: str) -> str | None:
        """Why a column is known for no socket at all; None where it is not so."""

    def select(self, which: Mask) -> "Columns":
        """The sockets of a mask."""


class Holder(NamedTuple):
    """A process that holds a socket; ``program`` is its name, None where it is not known."""

    pid: int
    program: str | None


class Holders(NamedTuple):
    """For each row that was asked for the processes that hold it, in the order of their numbers; None: not known.

    ``hidden`` is why they are not known.
    """

    by_row: Sequence[tuple[Holder, ...] | None]
    hidden: str = ""


class DescriptorUse(NamedTuple):
    """A process that holds TCP sockets, how many descriptors it has open, and how many it may have (RLIMIT_NOFILE)."""

    pid: int
    program: str | None
    used: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of the machine or the network namespace; None where they could not be read.

    ``port_range`` is ip_local_port_range, both ends included. ``memory_pages`` is tcp_mem: low, pressure, high, in
    pages of ``page_bytes``. ``descriptors`` are processes near their limit, ``conntrack`` is count and most.
    """

    port_range: tuple[int, int] | None = None
    memory_pages: tuple[int, int, int] | None = None
    page_bytes: int = 4096
    max_orphans: int | None = None
    max_time_wait: int | None = None
    descriptors: tuple[DescriptorUse, ...] | None = None
    conntrack: tuple[int, int] | None = None


def nobody(rows: RowNumbers) -> Holders:
    """The holders of sockets where nobody looks them up."""
    return Holders([None] * len(rows), "not looked up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The sockets and counts of a machine at one moment.

    ``at_ns`` is of a clock that is never set; ``wall`` is the time of day as findings show it. ``closed`` are sockets
    that were destroyed since the observation before, with their last values; None where they are not announced.
    ``lost`` is how many of those announcements the kernel dropped meanwhile, for want of room.
    ``counters`` are those of /proc/net by group and name: ``TcpExt.ListenDrops``, ``Tcp.OutRsts``, ``TCP.orphan``.
    ``holders`` looks up who holds the sockets of some rows; it is called at most once.
    """

    at_ns: int
    wall: str
    sockets: Columns
    closed: Sequence[Columns] | None = ()
    lost: int = 0
    counters: Mapping[str, int] = field(default_factory=dict)
    limits: Limits = Limits()
    holders: Callable[[RowNumbers], Holders] = nobody
