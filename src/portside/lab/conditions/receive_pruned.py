"""``receive-pruned``: receive buffers that were made smaller than the window that the peer has been told."""

import socket

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import dial, listening_socket, port_of

BUFFER_BYTES = 2304  # the least that Linux gives
HELD_S = 0.5
PIECES, PIECE_BYTES = 300, 200  # 60 kB: less than the window that the client was told


def _serve(role: Role) -> None:
    """The server: it makes the buffer small once the connection is made, and does not read."""
    listener = listening_socket(8)
    role.ready(port=port_of(listener))
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        role.pause(HELD_S)
        connection.close()


def _send(role: Role, port: int) -> None:
    """The client: small segments, as many as the window lets through; then a new connection."""
    role.ready()
    while True:
        with dial(port) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            role.pause(0.1)  # until the buffer is small
            for _ in range(PIECES):
                connection.send(bytes(PIECE_BYTES))
            role.pause(HELD_S)


def make(bench: Bench) -> Scene:
    """The server and its client."""
    port = bench.start("server", _serve).port
    bench.start("client", _send, port)
    names = ("TcpExt.PruneCalled", "TcpExt.RcvPruned", "TcpExt.TCPRcvQDrop")

    def proof() -> str | None:
        called, pruned, dropped = (bench.counts.grown(name) for name in names)
        if not pruned and not dropped:
            return None
        return f"room had to be made {called} times, and {max(pruned, dropped)} segments were thrown away."

    return Scene(
        proof=proof,
        looks=(
            Look("nstat -az TcpExtPruneCalled TcpExtRcvPruned TcpExtTCPRcvCollapsed TcpExtTCPRcvQDrop", "all grow"),
            Look(f"portside watch --wide {port}", "the client sends again what was thrown away"),
            Look(
                f"ss -tnm 'sport = :{port}'",
                "rb in skmem is the small buffer; d, while a connection lasts, what was dropped",
            ),
            Look("netstat -s | grep -i -e prune -e collapse", "the same counts in words"),
        ),
    )


CONDITION = Condition(
    code="receive-pruned",
    what="receive buffers run out of memory although the window is open, and the kernel throws received data away.",
    how="a server shrinks its receive buffer after it has offered its client a large window, and does not read.",
    make=make,
)
