"""``connect-blackhole``: SYNs that nobody answers, as behind a firewall that drops."""

from collections import deque
from typing import TYPE_CHECKING

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.packet_filter import ALL, drop
from portside.lab.role import Role
from portside.lab.sockets import listening_socket, port_of, start_dialling
from portside.lab.table import rows

if TYPE_CHECKING:
    import socket

AT_ONCE = 10


def _hear_nothing(role: Role) -> None:
    """The server: it listens, and no SYN reaches it."""
    listener = listening_socket(8)
    drop(listener, ALL)
    role.ready(port=port_of(listener))
    role.hold()


def _call(role: Role, port: int) -> None:
    """The clients: ten of them try, each for 20 s."""
    waiting: deque[socket.socket] = deque(start_dialling(port) for _ in range(AT_ONCE))
    role.ready()
    while True:
        role.pause(2.0)
        waiting.append(start_dialling(port))
        waiting.popleft().close()


def make(bench: Bench) -> Scene:
    """The server and its clients."""
    port = bench.start("server", _hear_nothing).port
    bench.start("clients", _call, port)

    def proof() -> str | None:
        again = rows(f"state syn-sent and dport = :{port} and retrans > 0")
        return f"{len(again)} connection attempts have had no answer, and sent their SYN again." if again else None

    return Scene(
        port=port,
        proof=proof,
        looks=(
            Look(f"portside watch 'state syn-sent and dport = :{port}'", "they stay in SYN_SENT"),
            Look(f"ss -tno state syn-sent 'dport = :{port}'", "timer:(on,…,N): sent again N times, after 1s, 3s, 7s"),
            Look("nstat -az TcpExtTCPSynRetrans", "grows"),
            Look("netstat -tno | grep SYN_SENT", "the same as ss"),
        ),
    )


CONDITION = Condition(
    code="connect-blackhole",
    what="connection attempts get no answer at all, neither an acceptance nor a refusal; programs hang in connect().",
    how="clients connect to a port where a packet filter drops everything.",
    make=make,
    isolated=True,
)
