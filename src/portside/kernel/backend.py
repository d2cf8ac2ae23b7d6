"""What every source of the socket table offers, and what it may be asked for."""

from typing import NamedTuple, Protocol

from portside.errors import PortsideError
from portside.kernel import states
from portside.kernel.table import SocketTable


class BackendError(PortsideError):
    """A source does not work on this machine or for this user; another one may."""


class DumpRequest(NamedTuple):
    """What a reader wants to see. A source may answer with more, never with less.

    ``states`` is a set as in states.py. ``details``: tcp_info, memory and the rest beyond the columns of a table.
    ``bytecode`` is a filter for the kernel (bytecode.py).
    """

    families: tuple[int, ...] = (4, 6)
    states: int = states.ALL
    details: bool = True
    bytecode: bytes | None = None


class Dump(NamedTuple):
    """A table, and what is to be said about how it came about."""

    table: SocketTable
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """A place where sockets are listed."""

    @property
    def name(self) -> str:
        """``netlink``, ``proc`` or ``psutil``."""

    def read(self, want: DumpRequest) -> Dump:
        """Every socket now. Raises BackendError where the source does not work here."""

    def close(self) -> None:
        """Give back what it holds."""
