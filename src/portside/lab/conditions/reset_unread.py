"""``reset-unread``: a server that closes without having read what its clients have sent."""

import select

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import close_in_order, dial, listening_socket, port_of

EACH_SECOND, FIRST = 10, 5


def _serve(role: Role) -> None:
    """The server: it answers as soon as anything has come, and closes without reading that."""
    listener = listening_socket(64)
    role.ready(port=port_of(listener))
    while True:
        connection, _ = listener.accept()
        select.select([connection], [], [], 1.0)
        connection.sendall(b"503 busy\n")
        close_in_order(connection)


def _ask(role: Role, port: int) -> None:
    """The clients: they send a request, and wait for the end."""
    resets = 0
    while True:
        try:
            with dial(port) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                while connection.recv(1024):
                    pass
        except ConnectionError:
            resets += 1
            if resets == FIRST:
                role.ready(resets=resets)
        role.pause(1 / EACH_SECOND)


def make(bench: Bench) -> Scene:
    """The server and its clients."""
    port = bench.start("server", _serve).port
    resets = bench.start("clients", _ask, port).facts["resets"]

    def proof() -> str | None:
        aborted = bench.counts.grown("TcpExt.TCPAbortOnClose")
        return f"{resets} clients got a reset, because the server had not read." if aborted >= resets else None

    return Scene(
        proof=proof,
        looks=(
            Look("nstat -az TcpExtTCPAbortOnClose TcpOutRsts", f"both grow by {EACH_SECOND} a second"),
            Look(f"timeout 2 portside watch --events 'dport = :{port}'", "each connection lives for a moment"),
            Look(f"ss -tlnp 'sport = :{port}'", "the server"),
            Look("netstat -s | grep -i 'unexpected data'", "the first count in words"),
        ),
    )


CONDITION = Condition(
    code="reset-unread",
    what="a program closes before it has read everything; the kernel resets the connection, and answers may get lost.",
    how=f"a server answers and closes without reading the request, {EACH_SECOND} times a second.",
    make=make,
)
