"""``receiver-slow``: a program that accepts and never reads."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import accept_and_keep, dial, fill, listening_socket, port_of
from portside.lab.table import rows

BUFFER_BYTES = 64 * 1024
MOST_BYTES = 32 << 20  # the send buffer of a loopback connection grows to a few MiB


def serve_deaf(role: Role, buffer_bytes: int) -> None:
    """The server: it accepts, and never reads."""
    listener = listening_socket(8, recv_buffer_bytes=buffer_bytes)
    role.ready(port=port_of(listener))
    accept_and_keep(listener)


def _send(role: Role, port: int) -> None:
    """The client: it sends until nobody takes any more."""
    connection = dial(port)
    role.ready(sent=fill(connection, MOST_BYTES))
    role.hold()


def make(bench: Bench) -> Scene:
    """The server and its client."""
    port = bench.start("server", serve_deaf, BUFFER_BYTES).port
    bench.start("client", _send, port)

    def proof() -> str | None:
        unread = max((each.recv_q or 0 for each in rows(f"state established and sport = :{port}")), default=0)
        return (
            f"{unread} bytes wait in the receive buffer of port {port}, and nobody reads." if unread >= 16384 else None
        )

    return Scene(
        port=port,
        proof=proof,
        looks=(
            Look(
                f"portside watch --wide {port}",
                "Recv-Q at the server does not move; Send-Q at the client is what waits",
            ),
            Look(f"ss -tnpm 'sport = :{port}'", "Recv-Q, and r in skmem: the receive buffer is taken"),
            Look(f"ss -tnio 'dport = :{port}'", "the client: timer persist, and rwnd_limited near 100 %"),
            Look(f"netstat -tnp | grep ':{port} '", "Recv-Q and Send-Q"),
        ),
    )


CONDITION = Condition(
    code="receiver-slow",
    what="the program on this machine does not read what has arrived; its receive buffer is full, its window closed.",
    how="a server accepts a connection and never reads; its client sends until the buffers of both are full.",
    make=make,
)
