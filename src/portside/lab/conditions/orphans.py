"""``orphans``: connections that were closed with data still to send, to peers that do not read."""

from collections import deque
from typing import TYPE_CHECKING

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import close_in_order, dial, fill, listening_socket, port_of
from portside.lab.table import rows

if TYPE_CHECKING:
    import socket

CONNECTIONS = 40
RENEWED_S = 30.0  # the kernel gives up after some 50 s
_LIMIT = "/proc/sys/net/ipv4/tcp_max_orphans"


def _read_nothing(role: Role) -> None:
    """The peers: they accept with a small receive buffer, and do not read; the oldest end."""
    listener = listening_socket(128, recv_buffer_bytes=4096)
    role.ready(port=port_of(listener))
    accepted: deque[socket.socket] = deque()
    while True:
        accepted.append(listener.accept()[0])
        if len(accepted) > 2 * CONNECTIONS:
            accepted.popleft().close()


def _leave(role: Role, port: int) -> None:
    """The program: it sends more than its peers take, and closes."""
    told = False
    while True:
        for _ in range(CONNECTIONS):
            connection = dial(port, send_buffer_bytes=16384)
            fill(connection, 1 << 20, 0.01)
            close_in_order(connection)
        if not told:
            role.ready()
        told = True
        role.pause(RENEWED_S)


def make(bench: Bench) -> Scene:
    """The program and its peers."""
    port = bench.start("peers", _read_nothing).port
    bench.start("program", _leave, port)

    def proof() -> str | None:
        left = len(rows(f"state fin-wait-1 and dport = :{port}"))
        orphans = bench.counts.now("TCP.orphan")
        if min(left, orphans) < CONNECTIONS:
            return None
        return f"{left} connections to port {port} are in FIN_WAIT1 and of no program; {orphans} on the machine."

    return Scene(
        proof=proof,
        thresholds=(f"orphans.share={CONNECTIONS / 2 / _most_orphans():.6f}",),
        looks=(
            Look(
                f"portside watch 'state fin-wait-1 and dport = :{port}'",
                "Send-Q is what is left; no program holds them",
            ),
            Look(f"ss -tnpo state fin-wait-1 'dport = :{port}'", "the same; timer:(persist,…)"),
            Look(f"netstat -tnpo | grep ':{port} *FIN_WAIT1'", "the same; - is no program"),
            Look("grep TCP: /proc/net/sockstat", "orphan"),
        ),
    )


def _most_orphans() -> int:
    """How many orphans the machine has at most; 1 where that cannot be read, so that nothing is asked for."""
    try:
        with open(_LIMIT, encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return 1


CONDITION = Condition(
    code="orphans",
    what="programs have closed connections whose peers do not read the last data; the kernel keeps it and tries on.",
    how=f"a program sends to {CONNECTIONS} peers that do not read, and closes.",
    make=make,
)
