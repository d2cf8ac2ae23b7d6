"""``portside.sockets``: the kernel's socket table as a Python function."""

import warnings

from portside.app.all_networks import hidden_networks, iter_networks
from portside.kernel.all_netns import find_namespaces
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Socket
from portside.kernel.netns import NamespaceError
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
    the filter names are then those of that namespace. ``netns="all"`` is every network namespace of the machine, this
    process's own first: ``Socket.netns`` says which one a socket is in, and a RuntimeWarning which of them could not be
    looked into. ``source`` is one of ``netlink``, ``proc`` and ``psutil``. Without ``owners`` the programs are not
    looked up, which is faster.

    ``portside.kernel.snapshot.snapshot`` takes the same, but for ``netns="all"``, and gives the table as numpy columns.

    Raises FilterError (a ValueError) for a filter that cannot be read, and PortsideError where no socket can be.

    >>> [each.state for each in portside.sockets("sport = :12345 and dst 127.0.0.1:41184")]
    ['ESTABLISHED']
    """
    query = Query(filter, view, netns, source, owners, commands=True)
    return _of_all(query, filter or "") if netns == "all" else list(to_sockets(take_snapshot(query).table))


def _of_all(query: Query, text: str) -> list[Socket]:
    """The sockets of every network namespace that may be entered."""

    found = find_namespaces()
    skipped: list[NamespaceError] = []
    seen: list[Socket] = []
    for name, namespace, tree in iter_networks(text, found, skip=skipped.append):
        try:
            table = take_snapshot(query._replace(filter=tree, netns=namespace)).table
        except NamespaceError as error:
            skipped.append(error)
            continue
        seen += to_sockets(table, name)
    for why in (*map(str, skipped), *([hidden_networks(found)] if found.hidden else [])):
        warnings.warn(why, RuntimeWarning, stacklevel=3)
    return seen
