"""The kernel's view of TCP: every socket of this machine, the processes that hold it, and its state and counters.

::

    seen = snapshot("state established and dport = :443")
    for socket in to_sockets(seen.table):
        print(socket.local, socket.remote, socket.owners)
"""

from portside.kernel.filter import FilterError
from portside.kernel.materialize import to_sockets
from portside.kernel.models import Owner, Socket, to_json
from portside.kernel.snapshot import Query, Snapshot, View, Watcher, snapshot
from portside.kernel.table import SocketTable

__all__ = [
    "FilterError",
    "Owner",
    "Query",
    "Snapshot",
    "Socket",
    "SocketTable",
    "View",
    "Watcher",
    "snapshot",
    "to_json",
    "to_sockets",
]
