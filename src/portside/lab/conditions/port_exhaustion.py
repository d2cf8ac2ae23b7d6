"""``port-exhaustion``: a client that takes every local port towards one destination."""

import errno
from typing import TYPE_CHECKING

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import accept_and_keep, dial, listening_socket
from portside.lab.table import rows

if TYPE_CHECKING:
    import socket

FIRST, LAST = 40000, 40099
PORT = 9000


def _serve(role: Role) -> None:
    """The server: it accepts and keeps."""
    listener = listening_socket(128, port=PORT)
    role.ready()
    accept_and_keep(listener)


def _call(role: Role) -> None:
    """The client: it connects until it gets no port any more, and then tries once a second."""
    kept: list[socket.socket] = []
    told = False
    while True:
        try:
            kept.append(dial(PORT))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            if not told:
                role.ready(connected=len(kept))
            told = True
            role.pause(1.0)


def make(bench: Bench) -> Scene:
    """The server and its client, in a namespace with few ports."""
    bench.isolation.set("ipv4/ip_local_port_range", f"{FIRST} {LAST}")
    bench.start("server", _serve)
    connected = bench.start("client", _call).facts["connected"]

    def proof() -> str | None:
        taken = len(rows(f"state connected and dport = :{PORT}"))
        if taken < LAST - FIRST + 1:
            return None
        return f"{connected} connections hold all {taken} ports from {FIRST} to {LAST}; connect() fails: EADDRNOTAVAIL."

    return Scene(
        port=PORT,
        proof=proof,
        looks=(
            Look(
                f"portside watch --summary 'dport = :{PORT}'",
                f"{LAST - FIRST + 1} connections of one program to one peer",
            ),
            Look(f"ss -tn 'dport = :{PORT}'", "each has another local port"),
            Look("cat /proc/sys/net/ipv4/ip_local_port_range", "all that there are"),
            Look(f"netstat -tn | grep ':{PORT} ' | wc -l", "both ends of each"),
        ),
    )


CONDITION = Condition(
    code="port-exhaustion",
    what="every local port towards one destination is taken; connect() fails with EADDRNOTAVAIL.",
    how=f"a client connects to one port and never closes, where ip_local_port_range has {LAST - FIRST + 1} ports.",
    make=make,
    isolated=True,
)
