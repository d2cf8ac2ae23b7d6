"""``reset-burst``: a server that resets every connection, of which there are many."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import dial, listening_socket, port_of

EACH_SECOND = 150


def _serve(role: Role) -> None:
    """The server: it accepts and resets (SO_LINGER of 0 seconds)."""
    listener = listening_socket(256)
    role.ready(port=port_of(listener))
    while True:
        listener.accept()[0].close()


def _call(role: Role, port: int) -> None:
    """The clients: they connect, and wait for the reset."""
    resets = 0
    while True:
        try:
            with dial(port) as connection:
                connection.recv(1)
        except ConnectionError:
            resets += 1
            if resets == EACH_SECOND:
                role.ready(resets=resets)
        role.pause(1 / EACH_SECOND)


def make(bench: Bench) -> Scene:
    """The server and its clients."""
    port = bench.start("server", _serve).port
    resets = bench.start("clients", _call, port).facts["resets"]

    def proof() -> str | None:
        sent = bench.counts.grown("Tcp.OutRsts")
        return f"the clients got {resets} resets; the machine sent {sent}." if sent >= resets else None

    return Scene(
        proof=proof,
        looks=(
            Look("nstat -az TcpOutRsts TcpEstabResets TcpExtTCPAbortOnData", "all grow, by more than 100 a second"),
            Look(f"timeout 2 portside watch --events 'dport = :{port}'", "connections that live for a moment"),
            Look(f"ss -tlnp 'sport = :{port}'", "the server"),
            Look("netstat -s | grep -i 'resets'", "the same in words"),
        ),
    )


CONDITION = Condition(
    code="reset-burst",
    what="this machine sends many more resets than before: a crashed service, a port scan, or a program that resets.",
    how="a server resets each connection, more than 100 a second.",
    make=make,
)
