"""The interface of a backend: a source from which the socket table is read."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from portside.errors import PortsideError
from portside.kernel import states
from portside.kernel.bytecode import compile_filter, states_of
from portside.kernel.filter.tree import OWNER_COLUMNS, Filter, columns_of

if TYPE_CHECKING:  # numpy, which a look at few sockets does without
    from portside.kernel.table import SocketTable

_PLAIN_COLUMNS = frozenset(("age_s", "recv_q", "send_q", "uid", "inode", "interface", "cookie"))


class BackendError(PortsideError):
    """A backend that does not work on this machine or for this user; another one may."""


class DumpRequest(NamedTuple):
    """The sockets and columns that a reader asks for. A backend may answer with more, never with less.

    ``states`` is a set as in states.py. ``details``: tcp_info, memory and the rest beyond the columns of a table.
    ``bytecode`` is a filter for the kernel (bytecode.py). ``commands``: the command lines of the owners, from a backend
    that finds owners.
    """

    families: tuple[int, ...] = (4, 6)
    states: int = states.ALL
    details: bool = True
    bytecode: bytes | None = None
    commands: bool = False


def request_of(chosen: Filter, families: tuple[int, ...], *, details: bool, commands: bool = False) -> DumpRequest:
    """The request for all sockets that may match a filter, with the columns that the filter itself needs."""
    details = details or not columns_of(chosen) <= OWNER_COLUMNS | _PLAIN_COLUMNS
    return DumpRequest(families, states_of(chosen), details, compile_filter(chosen), commands)


class Dump(NamedTuple):
    """A table of sockets, and notes for the user on what it may lack."""

    table: "SocketTable"
    notes: tuple[str, ...] = ()


class Backend(Protocol):
    """A source from which the socket table is read, any number of times."""

    @property
    def name(self) -> str:
        """``netlink``, ``proc`` or ``psutil``."""

    def read(self, request: DumpRequest) -> Dump:
        """Read every socket now. Raises BackendError where the backend does not work here."""

    def close(self) -> None:
        """Close the files and sockets of the backend."""
