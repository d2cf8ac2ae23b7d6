"""``descriptors-near``: a server that has used up the descriptors it may have."""

import errno
import os
import resource
from typing import TYPE_CHECKING

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import dial, listening_socket, port_of

if TYPE_CHECKING:
    import socket

LIMIT = 64


def _serve(role: Role) -> None:
    """The server: it accepts until it may not open any more."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    listener = listening_socket(LIMIT)
    role.ready(port=port_of(listener))
    kept: list[socket.socket] = []
    while True:
        try:
            kept.append(listener.accept()[0])
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            role.pause(0.5)


def _call(role: Role, port: int) -> None:
    """The clients: more than the server can take."""
    connected = [dial(port) for _ in range(LIMIT)]
    role.ready(connected=len(connected))
    role.hold()


def make(bench: Bench) -> Scene:
    """The server and its clients."""
    server = bench.start("server", _serve)
    bench.start("clients", _call, server.port)

    def proof() -> str | None:
        used = len(os.listdir(f"/proc/{server.pid}/fd"))
        return f"process {server.pid} has {used} of {LIMIT} descriptors open." if used >= LIMIT else None

    return Scene(
        proof=proof,
        looks=(
            Look(f"ls /proc/{server.pid}/fd | wc -l", "how many it has open"),
            Look(f"grep 'open files' /proc/{server.pid}/limits", f"how many it may: the soft limit is {LIMIT}"),
            Look(f"portside watch -l 'sport = :{server.port}'", "Recv-Q: who waits for accept(), which fails: EMFILE"),
            Look(f"ss -tnp 'sport = :{server.port}'", "its connections, one descriptor each"),
        ),
    )


CONDITION = Condition(
    code="descriptors-near",
    what="a program has nearly as many descriptors open as it may; accept() is about to fail with EMFILE.",
    how=f"a server that may open {LIMIT} descriptors has {LIMIT} clients.",
    make=make,
)
