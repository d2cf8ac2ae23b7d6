"""``fin-wait-pile``: a program that has closed, and peers that have not."""

import socket

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import dial, listening_socket, port_of
from portside.lab.table import rows

CONNECTIONS = 25


def _serve(role: Role) -> None:
    """The server: it accepts, sends FIN, and waits for that of the client."""
    listener = listening_socket(64)
    role.ready(port=port_of(listener))
    waiting: list[socket.socket] = []
    while True:
        waiting.append(listener.accept()[0])
        waiting[-1].shutdown(socket.SHUT_WR)


def _stay(role: Role, port: int) -> None:
    """The clients: they never close."""
    kept = [dial(port) for _ in range(CONNECTIONS)]
    role.ready(port=port_of(kept[0]))
    role.hold()


def make(bench: Bench) -> Scene:
    """The server and its clients."""
    port = bench.start("server", _serve).port
    bench.start("clients", _stay, port)

    def proof() -> str | None:
        count = len(rows(f"state fin-wait-2 and sport = :{port}"))
        return f"{count} connections of port {port} are in FIN_WAIT2." if count == CONNECTIONS else None

    return Scene(
        port=port,
        proof=proof,
        thresholds=("fin-wait-pile.age=2s",),
        looks=(
            Look(f"portside watch 'state fin-wait-2 and sport = :{port}'", f"{CONNECTIONS}, all of the server"),
            Look(f"ss -tnp state fin-wait-2 'sport = :{port}'", "the same"),
            Look(f"ss -tnp state close-wait 'dport = :{port}'", "the other ends: the clients that do not close"),
            Look(f"netstat -tn | grep ':{port} .*FIN_WAIT2'", "the same"),
        ),
    )


CONDITION = Condition(
    code="fin-wait-pile",
    what="connections were closed here and their peers do not close them; they pile up in FIN_WAIT2.",
    how=f"a server sends FIN to {CONNECTIONS} clients, which never close.",
    make=make,
)
