"""``portside.sockets``: the kernel's socket table as a Python function."""

from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket
from portside.kernel.snapshot import Query, take_snapshot
from portside.kernel.views import View


def sockets(
    filter: str | None = None,  # noqa: A002 - it is the filter, here as everywhere
    *,
    view: View | None = None,
    netns: str | None = None,
    source: str | None = None,
    owners: bool = True,
) -> list[Socket]:
    """The TCP sockets of this machine that match a filter, now.

    ``view`` is ``connected``, ``listening`` or ``all``; without it, every state where the filter names states, else
    all but listeners. ``netns`` is another network namespace by its name, a process in it or its path: interfaces that
    the filter names are then those of that namespace. ``source`` is one of ``netlink``, ``proc`` and ``psutil``.
    Without ``owners`` the programs are not looked up, which is faster.

    ``portside.kernel.snapshot.snapshot`` takes the same and gives the table as numpy columns.

    Raises FilterError (a ValueError) for a filter that cannot be read, and PortsideError where no socket can be.
    """
    return list(to_sockets(take_snapshot(Query(filter, view, netns, source, owners)).table))
